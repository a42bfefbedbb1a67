"""Attribution: how much each token of the input contributes to the number that is asked, from gradients.

Gradient x input is the first-order share of each token. Integrated gradients add gradients up along the straight way from a baseline to the
text, so that the shares sum to f(text) - f(baseline), which is checked and shown (completeness). Both are taken of what enters the first
block: token embeddings with what positions and norms make of them.

Source: Sundararajan, Taly, Yan 2017, Axiomatic Attribution for Deep Networks; Simonyan et al. 2013 (gradients).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.contrast import side_by_side
from isinglass.inspection.gradients import gradients
from isinglass.inspection.question import Metric, Question, question
from isinglass.inspection.reading import Reading, Rows, reading, token_text
from isinglass.inspection.trace import traced
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.show import format
from isinglass.show.finding import Finding
from isinglass.show.marks.tokens import Strip, TokenStrips
from isinglass.show.showable import Showable
from isinglass.show.table import Table

AttributionMethod = Literal["integrated", "gradient"]
METHODS = ("integrated", "gradient")
_TOGETHER = 8  # steps that go through the model at once: their activations are kept for the way back
# A model that begins with a norm turns sharply near an embedding of zero, so steps from there are laid closer to it: at t^3.
_FROM_ZERO = 3


@dataclass(frozen=True, eq=False)
class TokenAttribution(Finding):
    """`scores` are each token's share of `question`; `value` is that of the text, `baseline` that of the baseline (None for gradients)."""

    method: AttributionMethod
    question: str
    tokens: tuple[str, ...]
    ids: tuple[int, ...]
    scores: Float[Tensor, "time"]
    value: float
    baseline: float | None
    baseline_text: str
    steps: int
    command: str | None = None

    @property
    def error(self) -> float | None:
        """How far the sum of the scores is from f(text) - f(baseline)."""
        return None if self.baseline is None else float(self.scores.sum()) - (self.value - self.baseline)

    @property
    def parts(self) -> Sequence[Showable]:
        named = {"integrated": f"integrated gradients, {self.steps} steps from {self.baseline_text}", "gradient": "gradient x input"}
        notes = [f"{self.question}: {self.value:.4g}", named[self.method]]
        if self.baseline is not None and self.error is not None:
            whole = self.value - self.baseline
            notes.append(f"sum of the shares {float(self.scores.sum()):.4g}, f(text) - f(baseline) {whole:.4g}, error {self.error:.2g}")
            if abs(self.error) > 0.05 * abs(whole):
                notes.append("the error is above 5 %: take more steps, or a text as the baseline")
        shares = self.scores.tolist()
        strips = [
            Strip(name, self.tokens, self.ids, tuple(max(sign * share, 0.0) for share in shares))
            for name, sign in (("raises it", 1), ("lowers it", -1))
        ]
        shown = TokenStrips(strips, title=f"Which tokens make the {self.question}", value="share", command=self.command, notes=notes)
        return shown, Table(self._rows(), title="The same in numbers")

    @property
    def data(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "metric": self.question,
            "value": self.value,
            "baseline": self.baseline,
            "baseline_text": self.baseline_text,
            "steps": self.steps,
            "completeness_error": self.error,
            "tokens": self._rows(),
        }

    def _rows(self) -> list[dict[str, Any]]:
        triples = enumerate(zip(self.tokens, self.ids, self.scores.tolist(), strict=True))
        return [{"position": place, "token": format.token(text), "id": id, "share": share} for place, (text, id, share) in triples]


def attribute(
    lm: LM,
    text: Prompt,
    *,
    answer: str | int | None = None,
    other: str | int | None = None,
    metric: Metric | None = None,
    method: AttributionMethod = "integrated",
    steps: int = 32,
    baseline: Prompt | None = None,
    target: Prompt | None = None,
    at: int | None = None,
    command: str | None = None,
) -> TokenAttribution:
    """Each token's share of what is asked (`question`); of an encoder-decoder the tokens that are read.

    `baseline` is a text of as many tokens where integrated gradients begin; None begins at embeddings of zero, from where large models
    take a way with sharp turns: the completeness error says how far to trust it, and a text as the baseline makes it small.
    Raises EngineError for steps < 1, and for a baseline of another length.

    >>> import isinglass as ig
    >>> found = attribute(ig.create("tiny"), "abc", answer="x")
    >>> abs(found.error) < 1e-3
    True
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS, error=EngineError)
    if steps < 1:
        raise EngineError(f"steps = {steps!r}, expected at least 1")
    given = reading(lm, text, target)
    asked = question(given, answer, other, metric=metric, at=at)
    ids = given.source.ids[0]
    name = "encoder.embed" if isinstance(lm.model, EncoderDecoder) else "embed"
    entering = traced(given, taps=[name])[name].clone()
    start, start_text = _baseline(lm, baseline, ids, name, entering, target)
    if method == "gradient":
        value, found = gradients(given, asked, [name])
        scores, base = (found[name][1] * entering).double()[0].sum(-1), None
    else:
        value, _ = gradients(given, asked, [name])
        base = float(gradients(given, asked, [name], {name: start})[0])
        scores = _integrated(given, asked, name, (start, entering), steps, _FROM_ZERO if baseline is None else 1)
    tokens = tuple(token_text(lm, id) for id in ids)
    used, begun = (steps, start_text) if method == "integrated" else (1, "")
    return TokenAttribution(method, asked.text, tokens, tuple(ids), scores.cpu(), float(value), base, begun, used, command)


def _integrated(
    given: Reading, asked: Question, name: str, between: tuple[Tensor, Tensor], steps: int, power: int
) -> Float[Tensor, "time"]:
    """(end - start) times the mean gradient between them, at t^power for t by Gauss-Legendre, which needs few steps on a smooth way."""
    start, end = between
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    along, total = (nodes + 1) / 2, torch.zeros_like(end, dtype=torch.float64)
    places, shares = along**power, weights / 2 * power * along ** (power - 1)
    for at in range(0, steps, _TOGETHER):
        some, share = (torch.tensor(x[at : at + _TOGETHER], dtype=end.dtype, device=end.device)[:, None, None] for x in (places, shares))
        _, found = gradients(_repeated(given, len(some)), asked, [name], {name: start + some * (end - start)})
        total += (found[name][1] * share).double().sum(0, keepdim=True)
    return (total * (end - start)).sum(-1)[0]


def _repeated(given: Reading, rows: int) -> Reading:
    """The same text several times, as one batch."""
    source = Rows.of(given.lm, given.source.ids * rows)
    return Reading(given.lm, source, None if given.target is None else Rows.of(given.lm, given.target.ids * rows))


def _baseline(lm: LM, baseline: Prompt | None, ids: list[int], name: str, entering: Tensor, target: Prompt | None) -> tuple[Tensor, str]:
    """What enters the first block at the baseline, and how it is called."""
    if baseline is None:
        return torch.zeros_like(entering), "embeddings of zero"
    other = reading(lm, baseline, target)
    if len(other.source.ids[0]) != len(ids):
        raise EngineError(
            f"the text has {len(ids)} tokens, the baseline {len(other.source.ids[0])}: expected as many in both",
            details=side_by_side(lm, ids, other.source.ids[0], ("text", "baseline")),
        )
    return traced(other, taps=[name])[name].clone(), repr(lm.tokenizer.decode(other.source.ids[0]))
