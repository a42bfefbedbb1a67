"""The residual stream: the vectors that run through the layers of a stack, and how the last ones become logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.inspection.reading import Reading, Rows
from isinglass.models.encoder import Encoder
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel
from isinglass.models.heads.masked_lm import MaskedLM
from isinglass.models.transformer import Decoder
from isinglass.nn.block import CrossBlock, PostNormBlock

if TYPE_CHECKING:
    from isinglass.inspection.trace import Trace

Side = Literal["encoder", "decoder"]
After = Literal["layer", "sublayer"]


@dataclass(frozen=True)
class Place:
    """A place in the stream: its tap, and its name in tables and figures."""

    tap: str
    label: str


@dataclass(frozen=True, eq=False)
class Stream:
    """One stack of a model: `body` has its layers, positions and final norm; `rows` is the text it runs along."""

    prefix: str  # of its taps
    body: nn.Module
    rows: Rows

    @property
    def layers(self) -> Sequence[nn.Module]:
        return cast(Any, self.body).layers

    @property
    def norm(self) -> nn.Module | None:
        """The norm after the last layer; None in post-norm encoders, whose layers end with one."""
        return cast(Any, self.body).norm

    @property
    def post_norm(self) -> bool:
        """Whether a norm stands in the stream itself, so that nothing passes a layer untouched."""
        return isinstance(self.layers[0], PostNormBlock)

    @property
    def crossing(self) -> bool:
        """Whether its layers also read another text."""
        return isinstance(self.layers[0], CrossBlock)

    def tap(self, layer: int, what: str) -> str:
        return f"{self.prefix}layers.{layer}.{what}"

    def places(self, after: After = "layer") -> list[Place]:
        """What enters the first layer, then what leaves each layer, or each part of it."""
        if after not in ("layer", "sublayer"):
            raise unknown("after", after, ("layer", "sublayer"), error=EngineError)
        made = [Place(self.tap(0, "resid_pre"), "embed")]
        for layer in range(len(self.layers)):
            if after == "sublayer":
                made.append(Place(self.tap(layer, "resid_mid"), f"{layer} attention"))
                made += [Place(self.tap(layer, "resid_cross"), f"{layer} cross")] if self.crossing else []
            made.append(Place(self.tap(layer, "resid_post"), str(layer) if after == "layer" else f"{layer} mlp"))
        return made


def stream(given: Reading, side: Side | None = None) -> Stream:
    """The stack of a model; of an encoder-decoder the one of `side`, None the one that writes. EngineError for a side that is not there."""
    model = given.lm.model
    if isinstance(model, EncoderDecoder):
        sides = {"decoder": (model.decoder, given.rows), "encoder": (model.encoder, given.source)}
        name = side or "decoder"
        if name not in sides:
            raise unknown("side", name, sides, error=EngineError)
        return Stream(f"{name}.", *sides[name])
    if side is not None:
        raise EngineError(f"side = {side!r}, but this model is one stack", hint="sides belong to encoder-decoders")
    return Stream("", cast(nn.Module, model.body if isinstance(model, HeadedModel) else model), given.source)


def vocabulary_head(lm: LM) -> Callable[[Tensor], Tensor]:
    """From what leaves the final norm to logits over the vocabulary. EngineError for a model that has no such head."""
    model = lm.model
    if isinstance(model, Decoder | EncoderDecoder):
        return model.logits
    if isinstance(model, HeadedModel):
        if "masked_lm" in model.heads:
            head, embedding = cast(MaskedLM, model.heads["masked_lm"]), cast(Decoder, model.body).embed_tokens.weight
            return lambda x: nn.functional.linear(head.features(x), embedding, head.bias)
        if isinstance(model.body, Decoder):
            return model.body.logits
    heads = ", ".join(f"heads.{name}" for name in getattr(model, "heads", {}))
    raise EngineError(
        f"{lm.card.get('source', lm.config.family)} has no head over its vocabulary, so its layers cannot be read as tokens",
        details=[f"it has {heads or 'no heads, only hidden states'}"],
        hint="look at how similar its layers are, and at their norms: isinglass inspect layers --view similarity",
    )


def states(trace: Trace, names: Sequence[str], rows: Rows, row: int) -> Float[Tensor, "places time d_model"]:
    """Taps of one row behind one another, without padding; what is not kept yet is computed in one more pass."""
    row_number(rows, row)
    return torch.stack([tensor[row, -rows.lengths[row] :] for tensor in trace.several(names)])


def row_number(rows: Rows, row: int) -> int:
    if not 0 <= row < len(rows.ids):
        raise EngineError(f"row {row} does not exist", details=[f"there are rows 0 to {len(rows.ids) - 1}"])
    return row


def position_number(given: Stream, lm: LM, row: int, position: int | None) -> int:
    """A position counts from the first token, below 0 from the end; None is the last, of an encoder that of its one mask token."""
    ids = given.rows.ids[row_number(given.rows, row)]
    if position is None:
        special = lm.tokenizer.special
        masks = {special[name] for name in ("[MASK]", "<mask>") if name in special}
        found = [place for place, id in enumerate(ids) if id in masks] if isinstance(given.body, Encoder) else []
        return found[0] if len(found) == 1 else len(ids) - 1
    if not -len(ids) <= position < len(ids):
        raise EngineError(f"position {position} does not exist", details=[f"the text has positions 0 to {len(ids) - 1}"])
    return position % len(ids)
