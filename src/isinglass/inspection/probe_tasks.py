"""What a probe is asked to find: texts with labels, from a file or computed from the text alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from isinglass.core.errors import DataError, EngineError, unknown
from isinglass.data.sources import read
from isinglass.generation.lm import LM

_NOUNS = (
    ("dog", "dogs"), ("house", "houses"), ("teacher", "teachers"), ("river", "rivers"), ("letter", "letters"), ("garden", "gardens"),
    ("friend", "friends"), ("bird", "birds"), ("painter", "painters"), ("engine", "engines"), ("window", "windows"),
    ("soldier", "soldiers"),
)  # fmt: skip
_LINKS = ("near", "behind", "beside", "with")
_WORDS = (
    "red", "blue", "stone", "river", "light", "night", "bread", "green", "wind", "tree", "fire", "salt", "gold", "rain", "leaf", "moon",
)  # fmt: skip
_TEXTS, _LENGTH, _FEW = 24, 10, 6  # of the task "repeats": of 10 words drawn from 6 about half are repeated


@dataclass(frozen=True)
class ProbeTask:
    """Texts and a label for each, or a list of labels, one per token. Texts of the same group are never on both sides of a fold."""

    name: str
    texts: Sequence[str]
    labels: Sequence[str] | Sequence[Sequence[str]]
    groups: Sequence[str] | None = None

    def __post_init__(self) -> None:
        given = {"texts": len(self.texts), "labels": len(self.labels), **({"groups": len(self.groups)} if self.groups is not None else {})}
        if len(set(given.values())) > 1:
            told = ", ".join(f"{count} {name}" for name, count in given.items())
            raise EngineError(f"the task {self.name!r} has {told}, expected one label (and group) for each text")
        if not self.texts:
            raise EngineError(f"the task {self.name!r} has no texts")


def plural(lm: LM, seed: int = 0) -> ProbeTask:
    """Is the subject singular or plural? "The dog near the houses" ends in another noun, half of the time of the other number, so the
    last token itself says nothing. Subjects of the fold that is measured were not seen in learning. Needs no tokens: `lm` is not read.
    """
    draw = random.Random(seed)
    texts, labels, groups = [], [], []
    for subject in _NOUNS:
        for number, label in enumerate(("singular", "plural")):
            for other_number in (0, 1, 0, 1):
                other = draw.choice([noun for noun in _NOUNS if noun is not subject])
                texts.append(f"The {subject[number]} {draw.choice(_LINKS)} the {other[other_number]}")
                labels.append(label)
                groups.append(subject[0])
    return ProbeTask("number of the subject", texts, labels, groups)


def repeats(lm: LM, seed: int = 0) -> ProbeTask:
    """Does a token stand earlier in the text? Of every token of texts of drawn words (pool "token")."""
    draw = random.Random(seed)
    texts = [" " + " ".join(draw.choices(draw.sample(_WORDS, k=_FEW), k=_LENGTH)) for _ in range(_TEXTS)]
    labels = []
    for text in texts:
        ids = lm.encode(text)
        labels.append(["repeated" if id in ids[:place] else "new" for place, id in enumerate(ids)])
    return ProbeTask("does the token repeat an earlier one", texts, labels)


TASKS: dict[str, Callable[[LM], ProbeTask]] = {"plural": plural, "repeats": repeats}


def named_task(name: str, lm: LM) -> ProbeTask:
    """A task that comes with the package. EngineError for an unknown one."""
    if name not in TASKS:
        raise unknown("task", name, TASKS, error=EngineError)
    return TASKS[name](lm)


def task_from_file(path: str | Path, *, text: str = "text", label: str = "label") -> ProbeTask:
    """The texts and labels of a csv, tsv, json or jsonl file. Raises DataError, with file and line, for what cannot be read."""
    records = list(read(Path(path)))
    labels = [record[label] for record in records]
    for record, one in zip(records, labels, strict=True):
        if not isinstance(one, str | int | bool) or one == "":
            raise DataError(f"{record.place}: field {label!r} is {one!r}, expected a label")
    return ProbeTask(Path(path).name, [record.string(text) for record in records], [str(one) for one in labels])
