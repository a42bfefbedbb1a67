"""Contrast: a clean text, a corrupted one of as many tokens, and the number that tells them apart. What patching starts from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.question import Metric, Question, measured, question
from isinglass.inspection.reading import Reading, Rows, reading, token_text
from isinglass.show import format

Direction = Literal["denoise", "noise"]
_SHOWN = 24  # rows of two tokenizations in an error
MARK = "≠"  # stands before a token that differs


@dataclass(frozen=True, eq=False)
class Contrast:
    """`clean_value` and `corrupted_value` are what the question gets from either text: the effects 1 and 0."""

    clean: Reading
    corrupted: Reading
    question: Question
    clean_value: float
    corrupted_value: float

    @property
    def lm(self) -> LM:
        return self.clean.lm

    def base(self, direction: Direction) -> Reading:
        """The run that is changed: "denoise" puts clean activations into the corrupted run, "noise" the other way round."""
        return self.corrupted if direction == "denoise" else self.clean

    def source(self, direction: Direction) -> Reading:
        """The run whose activations are put in."""
        return self.clean if direction == "denoise" else self.corrupted

    def effect(self, value: float) -> float:
        """A value on the scale from 0, the corrupted run, to 1, the clean run."""
        return (value - self.corrupted_value) / (self.clean_value - self.corrupted_value)

    def first_difference(self, *, decoder_side: bool) -> int:
        """The first position at which a causal model can tell the texts apart, which is 0 for one that has read another text."""
        if decoder_side and self.clean.target is not None:
            return 0
        return next(place for place, (a, b) in enumerate(zip(*self._ids(), strict=True)) if a != b)

    def labels(self, direction: Direction, *, decoder_side: bool) -> list[str]:
        """The tokens of the run that is changed, those that differ marked."""
        ids = (self.base(direction).rows if decoder_side else self.base(direction).source).ids[0]
        others = (self.source(direction).rows if decoder_side else self.source(direction).source).ids[0]
        return [f"{MARK if a != b else ''}{token_text(self.lm, a)}" for a, b in zip(ids, others, strict=True)]

    def _ids(self) -> tuple[list[int], list[int]]:
        return self.clean.source.ids[0], self.corrupted.source.ids[0]


def contrast(
    lm: LM,
    clean: Prompt,
    corrupted: Prompt,
    *,
    answer: str | int | None = None,
    other: str | int | None = None,
    metric: Metric | None = None,
    target: Prompt | None = None,
    at: int | None = None,
) -> Contrast:
    """Both texts and the question. `answer` None is what the model expects after the clean text; `target` is what has been written.

    Raises EngineError for texts of unequal length or of the same tokens, and for a question whose answer is the same for both.
    """
    one, two = reading(lm, clean, target), reading(lm, corrupted, target)
    _check(lm, one.source, two.source)
    asked = question(one, answer, other, metric=metric, at=at)
    values = measured(one, asked), measured(two, asked)
    if not math.isclose(*values, rel_tol=1e-6, abs_tol=1e-9):
        return Contrast(one, two, asked, *values)
    raise EngineError(
        f"the {asked.text} is {values[0]:.6g} for both texts, so no patch can move it from one to the other",
        hint="ask for an answer that the change of the text makes more or less likely",
    )


def _check(lm: LM, clean: Rows, corrupted: Rows) -> None:
    first, second = clean.ids[0], corrupted.ids[0]
    if first == second:
        raise EngineError("the clean and the corrupted text have the same tokens", hint="change at least one token of the corrupted text")
    if len(first) != len(second):
        raise EngineError(
            f"the clean text has {len(first)} tokens, the corrupted one {len(second)}: patching needs as many in both",
            details=side_by_side(lm, first, second),
            hint="choose words of as many tokens; isinglass tokens show says how a text is cut",
        )


def side_by_side(lm: LM, first: list[int], second: list[int], names: tuple[str, str] = ("clean", "corrupted")) -> list[str]:
    """Both tokenizations from shortly before the first difference on, a line for each position."""
    columns = [[format.token(token_text(lm, id)) for id in ids] for ids in (first, second)]
    longest = max(len(first), len(second))
    padded = [column + ["–"] * (longest - len(column)) for column in columns]
    same = next((place for place in range(longest) if padded[0][place] != padded[1][place]), 0)
    start, end = max(0, same - 3), min(longest, max(0, same - 3) + _SHOWN)
    width = max(len(names[0]), *(len(piece) for piece in padded[0][start:end]))
    lines = [f"     {names[0]:<{width}}  {names[1]}"] + ([f"     ... {start} equal tokens"] if start else [])
    for place in range(start, end):
        a, b = padded[0][place], padded[1][place]
        lines.append(f"{place:>3}  {a:<{width}}  {b}{f'  {MARK}' if a != b else ''}")
    return lines + ([f"     ... {longest - end} more positions"] if end < longest else [])
