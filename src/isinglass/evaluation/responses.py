"""What models respond to the same questions, before training and after, and whether the responses are sound."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.core.errors import ConfigError, DataError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.generation.loop import generate
from isinglass.generation.results import Generation
from isinglass.metrics.diversity import repetition
from isinglass.metrics.overlap import chrf
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.training import objectives
from isinglass.training.conversations import Conversation
from isinglass.training.dialogue import question
from isinglass.training.objective import Objective
from isinglass.training.objectives.instruction import Instruction

COPIED = 0.8  # a response is a copy of its prompt from this chrF on
REPEATED = 0.3  # and it repeats itself from this share of runs of four tokens that were there before
_TOGETHER = 8  # prompts that are answered at once


@dataclass(frozen=True)
class Response:
    """One model's response to one question, and what can be measured without a judge. Ratios are 0..1 but for `length_ratio`."""

    model: str
    place: str
    prompt: str
    reference: str
    text: str
    ended: bool  # by itself, not by the limit of tokens
    repetition: float  # share of runs of four tokens that were there before
    overlap: float  # chrF with the reference
    copied: float  # chrF with what was asked, or with the input alone
    length_ratio: float  # characters of the response for each of the reference

    @property
    def faults(self) -> list[str]:
        """What is wrong with it that anybody can see."""
        found = {
            "empty": not self.text.strip(),
            "repeats itself": self.repetition >= REPEATED,
            "copies the prompt": self.copied >= COPIED and self.copied > self.overlap,
            "does not end": not self.ended,
        }
        return [name for name, wrong in found.items() if wrong]


@dataclass(frozen=True)
class Responses:
    """Responses of all models to all questions."""

    responses: Sequence[Response]

    @property
    def table(self) -> Table:
        """One row per question: what was asked, the reference, and what each model says."""
        rows: dict[str, dict[str, Any]] = {}
        for one in self.responses:
            row = rows.setdefault(one.place, {"place": one.place, "prompt": one.prompt, "reference": one.reference})
            row[one.model] = one.text + "".join(f" [{fault}]" for fault in one.faults)
        return Table(rows.values(), title="Responses", notes=["faults of a response stand behind it in brackets"])

    @property
    def summary(self) -> Table:
        """One row per model: shares of faults, and means."""
        models = dict.fromkeys(one.model for one in self.responses)
        rows = [_measures(name, [one for one in self.responses if one.model == name]) for name in models]
        shares = [name for name in rows[0] if name not in ("model", "responses", "length ratio", "chrF")]
        notes = [
            f"repeats itself: at least {REPEATED:.0%} of its runs of four tokens; copies the prompt: chrF with it of at least {COPIED}",
            "chrF: with the reference, 0..1; length ratio: characters for each of the reference, median; greedy",
        ]
        return Table(rows, title="Quality of responses", units={**dict.fromkeys(shares, "ratio"), "responses": "count"}, notes=notes)

    def parts(self) -> list[Showable]:
        """Everything to look at."""
        return [self.summary, self.table]


def responses(
    lms: Mapping[str, LM],
    records: Sequence[Record],
    n: int = 20,
    *,
    objective: str | Objective = "instruction",
    max_tokens: int = 128,
    progress: Callable[[int], object] = lambda count: None,
) -> Responses:
    """What each model says, greedily, to the questions of `n` records, which are spread over all of them; each in its own tokens.

    `objective` is that of training: it says where the questions are and puts the template around them. `progress` is told how many
    responses have come. Raises DataError (a record that cannot be used, none at all), ConfigError (no model, another objective).

    >>> import isinglass as ig
    >>> found = responses({"before": ig.create("tiny")}, [Record({"instruction": "Hi", "output": "Ho"}, "1")], max_tokens=4)
    >>> len(found.responses), found.responses[0].ended
    (1, False)
    """
    goal = objectives.family.resolve(objective, where="objective")
    if not isinstance(goal, Instruction):
        raise ConfigError(f"objective = {str(objective)!r} asks no questions", hint="instruction(template='own')")
    if not lms:
        raise ConfigError("there is no model to respond", hint="responses({'before': lm, 'after': run.lm}, records)")
    if not records or n < 1:
        raise DataError(f"there is nothing to respond to: {len(records):,} records, of which n = {n} were asked for")
    count = min(n, len(records))
    asked = goal.read([records[number * len(records) // count] for number in range(count)])
    return Responses([one for name, lm in lms.items() for one in _of_model(name, lm, goal, asked, max_tokens, progress)])


def _of_model(
    name: str, lm: LM, goal: Instruction, asked: Sequence[Conversation], max_tokens: int, progress: Callable[[int], object]
) -> list[Response]:
    template, found = goal.template_of(lm.tokenizer), list[Response]()
    for at in range(0, len(asked), _TOGETHER):
        part = asked[at : at + _TOGETHER]
        prompts = [question(lm.tokenizer, template, one) for one in part]
        written = generate(lm, prompts, max_tokens=max_tokens, stop=template.stops)
        found += [_response(name, one, answer) for one, answer in zip(part, written, strict=True)]
        progress(len(part))
    return found


def _response(model: str, asked: Conversation, answer: Generation) -> Response:
    said, wanted, got = asked.asked, asked.reference, answer.text.strip()
    return Response(
        model, asked.place, "\n\n".join(said), wanted, got,
        ended=answer.finish in ("end", "stop"),
        repetition=repetition(answer.ids),
        overlap=chrf(got, wanted),
        copied=max(chrf(got, text) for text in said),
        length_ratio=len(got) / max(1, len(wanted.strip())),
    )  # fmt: skip


def _measures(model: str, found: Sequence[Response]) -> dict[str, Any]:
    faults = ("empty", "repeats itself", "copies the prompt")
    return {
        "model": model,
        "responses": len(found),
        "chrF": statistics.mean(one.overlap for one in found),
        "ends by itself": statistics.mean(one.ended for one in found),
        **{fault: statistics.mean(fault in one.faults for one in found) for fault in faults},
        "length ratio": statistics.median(one.length_ratio for one in found),
    }
