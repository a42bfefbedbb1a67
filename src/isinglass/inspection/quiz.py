"""A quiz: beginnings of sentences with the answers that count as right. Some have none, since several are as good or none is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from isinglass.core.errors import DataError


@dataclass(frozen=True)
class QuizItem:
    """The beginning of a sentence, its kind ("fact", "trick", ...), and the answers that count as right; none where there is none.

    >>> QuizItem("The capital of France is", "fact", ("Paris",)).matched(" paris, of course.")
    ' paris'
    """

    prompt: str
    kind: str
    accepted: tuple[str, ...] = ()

    def matched(self, continuation: str) -> str | None:
        """What of a continuation is an accepted answer at its beginning, up to the end of a word; None when it begins otherwise."""
        plain = continuation.lstrip()
        spaces = len(continuation) - len(plain)
        for answer in sorted(self.accepted, key=len, reverse=True):
            after = plain[len(answer) : len(answer) + 1]
            if plain[: len(answer)].casefold() == answer.casefold() and not after.isalnum():
                return continuation[: spaces + len(answer)]
        return None


def read_quiz(path: str | Path | None = None) -> list[QuizItem]:
    """The items of a TOML file, or of the set that comes with the package: a table per kind, a line `"prompt" = ["answer", ...]` per item.

    Raises DataError, with the file, for what is no such file or holds no item.

    >>> kinds = [item.kind for item in read_quiz()]
    >>> len(kinds), sorted(set(kinds))
    (96, ['ambiguous', 'arithmetic', 'fact', 'grammar', 'sequence', 'trick', 'word'])
    """
    where = "the questions of the package" if path is None else str(path)
    try:
        content = resources.files("isinglass.inspection").joinpath("questions.toml") if path is None else Path(path)
        kinds = tomllib.loads(content.read_text("utf-8"))
    except OSError as fault:
        raise DataError(f"cannot read {where!r}: {fault.strerror or fault}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise DataError(
            f"{where}: broken TOML: {fault}", hint='a table per kind: [fact], then lines "The capital of Italy is" = ["Rome"]'
        ) from None
    items = [_item(prompt, kind, answers, where) for kind, table in kinds.items() for prompt, answers in _table(table, kind, where).items()]
    if not items:
        raise DataError(f"{where} holds no question", hint='[fact], then lines "The capital of Italy is" = ["Rome"]')
    return items


def _table(value: Any, kind: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{where}: {kind} = {value!r} stands outside of a kind", hint=f'put it under one: [fact], then "{kind}" = ["..."]')
    return value


def _item(prompt: str, kind: str, answers: Any, where: str) -> QuizItem:
    if not prompt.strip() or prompt != prompt.rstrip():
        raise DataError(f"{where}: the question {prompt!r} in [{kind}] is empty or ends in a space", hint="the space belongs to the answer")
    if not isinstance(answers, list) or not all(isinstance(one, str) and one.strip() for one in answers):
        raise DataError(f"{where}: {prompt!r} = {answers!r}, expected a list of answers", hint='["Rome"], or [] where there is none')
    return QuizItem(prompt, kind, tuple(one.strip() for one in answers))
