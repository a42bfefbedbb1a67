"""Steering: the difference of two prompts in the residual stream, added to that of a text, moves what the model says.

The vector is what leaves one layer at the last token of `toward`, less the same of `away`; it is added at every position, also at those
that are written later. Prompts of several tokens serve best: a single token is also the first, where many models keep very large values
(Sun et al. 2024, Massive Activations in Large Language Models), and a difference of those drowns all else.

Source: Turner et al. 2023, Steering Language Models With Activation Engineering.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection.before_after import BeforeAfter, before_after
from isinglass.inspection.edits import Edit
from isinglass.inspection.reading import reading
from isinglass.inspection.trace import Trace, trace
from isinglass.models.encoder import Encoder
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

LENGTH = 20  # tokens of a continuation


@dataclass(frozen=True, eq=False)
class Direction:
    """What is added, `vector`, behind layer `layer`: at the tap `name`."""

    name: str
    layer: int
    vector: Float[Tensor, "d_model"]

    def edit(self, strength: float) -> Edit:
        return Edit(name=self.name, add=self.vector * strength)


def direction(lm: LM, toward: Prompt, away: Prompt, layer: int) -> Direction:
    """From one prompt to another in what leaves a layer; of an encoder-decoder in its encoder, which reads the text.

    Raises EngineError for a layer that the model has not, an empty prompt, and two prompts with the same last state.
    """
    prefix = "encoder." if isinstance(lm.model, EncoderDecoder) else ""
    n_layers = len(reading(lm, toward).attention("encoder" if prefix else None).layers)
    if not 0 <= layer < n_layers:
        raise EngineError(f"layer {layer} does not exist", details=[f"this model has layers 0 to {n_layers - 1}"])
    name = f"{prefix}layers.{layer}.resid_post"
    one, other = (trace(lm, each, taps=[name])[name][0, -1] for each in (toward, away))
    vector = one - other
    if not float(vector.norm()) > 0:
        raise EngineError(
            "both prompts leave the same state at their last token, so there is no direction", hint="give two prompts that end differently"
        )
    return Direction(name, layer, vector)


def next_steered(lm: LM, text: Prompt, along: Direction, strength: float, *, top: int = 10, command: str | None = None) -> BeforeAfter:
    """The next token with and without the edit."""
    seen = trace(lm, text, taps=[along.name])
    length, stream = float(along.vector.norm()), float(seen[along.name][0].norm(dim=-1).median())
    added = f"added: {strength:g} times a vector of length {length:.4g}; the text's own vectors there have length {stream:.4g} (median)"
    return before_after(seen, seen.edit(along.name, add=along.vector * strength), top=top, notes=[added], command=command)


def writes(lm: LM) -> bool:
    """Whether a model continues a text."""
    return not isinstance(lm.model.body if isinstance(lm.model, HeadedModel) else lm.model, Encoder)


def continued(lm: LM, text: Prompt, edits: Sequence[Edit], length: int = LENGTH) -> Iterator[int]:
    """Greedy tokens one after the other, each by a traced pass with the edits on; ends early at an end token or a full context."""
    ids = lm.encode(text)
    written: list[int] = []
    both = isinstance(lm.model, EncoderDecoder)
    for _ in range(length):
        seen: Trace = trace(lm, ids, target=[written], edits=edits) if both else trace(lm, [*ids, *written], edits=edits)
        written.append(int(seen.logits[0, -1].argmax()))
        yield written[-1]
        if written[-1] in lm.end_ids or len(seen.ids[0]) >= lm.config.context_length:
            return


@dataclass(frozen=True, eq=False)
class Steering(Finding):
    """`next` is the next token before and after; `before` and `after` are greedy continuations, empty for a model that writes none."""

    next: BeforeAfter
    before: str
    after: str
    strength: float
    layer: int

    @property
    def continuations(self) -> Table:
        rows = [{"edit": "none", "continuation": self.before}, {"edit": f"{self.strength:g} × the difference", "continuation": self.after}]
        return Table(rows, title=f"How it goes on, greedily, steered behind layer {self.layer}")

    @property
    def parts(self) -> Sequence[Showable]:
        return (*self.next.parts, self.continuations) if self.before or self.after else self.next.parts

    @property
    def data(self) -> dict[str, Any]:
        return {
            **self.next.data,
            "layer": self.layer,
            "strength": self.strength,
            "continuations": {"before": self.before, "after": self.after},
        }


def steer(
    lm: LM,
    text: Prompt,
    *,
    toward: Prompt,
    away: Prompt,
    layer: int,
    strength: float = 1.0,
    length: int = LENGTH,
    top: int = 10,
    command: str | None = None,
) -> Steering:
    """Add `strength` times the difference of two prompts behind a layer: the next token and a greedy continuation, before and after.

    Raises EngineError for what `direction` refuses.

    >>> import isinglass as ig
    >>> steer(ig.create("tiny"), "I feel", toward="I love it", away="I hate it", layer=0, strength=4, length=3).next.divergence > 0
    True
    """
    along = direction(lm, toward, away, layer)
    found = next_steered(lm, text, along, strength, top=top, command=command)
    edits: tuple[Sequence[Edit], ...] = ((), (along.edit(strength),))
    before, after = (lm.tokenizer.decode(list(continued(lm, text, each, length))) if writes(lm) else "" for each in edits)
    return Steering(found, before, after, strength, layer)
