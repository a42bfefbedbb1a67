"""Reading: what goes into a pass, and where its attention stands, the same for every kind of model.

A decoder and an encoder read a text. An encoder-decoder reads one and has written another (`target`), so it has three attentions:
`encoder`, `decoder` and `cross`, whose queries are what is written and whose keys are what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from isinglass.core.errors import EngineError, unknown
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt, as_list, decoder_start, encode_prompts, pad_left
from isinglass.models.encoder import Encoder
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.slots import Slots
from isinglass.nn.tap import Tap

Which = Literal["self", "encoder", "decoder", "cross"]


@dataclass(frozen=True)
class Rows:
    """Texts as ids, and as one batch that is padded on the left."""

    ids: list[list[int]]
    batch: Tensor
    slots: Slots

    @classmethod
    def of(cls, lm: LM, ids: list[list[int]]) -> Rows:
        return cls(ids, *pad_left(ids, lm.device))

    @property
    def lengths(self) -> list[int]:
        return [len(row) for row in self.ids]

    def fresh_slots(self) -> Slots:
        """The slots for one pass: what an earlier pass computed once must not be found by the next."""
        return Slots(self.slots.position, self.slots.valid)


@dataclass(frozen=True)
class AttentionSite:
    """One kind of attention of a model: how its taps are called, its layers, and the texts that its queries and keys stand for."""

    prefix: str  # "layers.{}.attention." with the layer's number to be filled in
    layers: list[Attention]
    queries: Rows
    keys: Rows

    def tap(self, layer: int, what: str) -> str:
        return self.prefix.format(layer) + what

    @property
    def causal(self) -> bool:
        return all(layer.parts.mask.causal for layer in self.layers)

    @property
    def kv_head_of(self) -> list[int]:
        """The key-value head that each query head reads (Ainslie et al. 2023)."""
        dims = self.layers[0].dims
        return [head // (dims.n_heads // dims.n_kv_heads) for head in range(dims.n_heads)]


@dataclass(frozen=True)
class Reading:
    """A model and what it is given. `run` makes one pass; everything that varies between passes is in the tap."""

    lm: LM
    source: Rows
    target: Rows | None = None

    @property
    def rows(self) -> Rows:
        """What the logits stand for: the text that is continued, or of an encoder-decoder what it has written."""
        return self.target or self.source

    def run(self, tap: Tap | None = None) -> Tensor | None:
        """One pass; the logits over the vocabulary, or None for a model that makes none (an encoder without that head)."""
        model, source = self.lm.model, self.source
        if isinstance(model, EncoderDecoder):
            target = cast(Rows, self.target)
            return model(source.batch, target.batch, slots=source.fresh_slots(), decoder_slots=target.fresh_slots(), tap=tap)
        made = model(source.batch, slots=source.fresh_slots(), tap=tap)
        if isinstance(model, HeadedModel):
            return made.get("masked_lm")
        return made if isinstance(model, Decoder) else None

    def text_of(self, name: str) -> Rows:
        """The text along which a tap's tensor runs."""
        read = self.target is not None and (name.startswith("encoder.") or ".cross_attention.k" in name or ".cross_attention.v" in name)
        return self.source if read else self.rows

    def attention(self, which: Which | None = None) -> AttentionSite:
        """One kind of attention; None is the model's only one, or the decoder's. EngineError for one that this model has not."""
        sites = self._sites()
        name = which or ("self" if "self" in sites else "decoder")
        if name not in sites:
            raise unknown("kind of attention", name, sites, error=EngineError)
        return sites[name]

    def _sites(self) -> dict[str, AttentionSite]:
        model = self.lm.model
        if isinstance(model, EncoderDecoder):
            read, written = self.source, cast(Rows, self.target)
            return {
                "encoder": AttentionSite("encoder.layers.{}.attention.", _attentions(model.encoder, "attention"), read, read),
                "decoder": AttentionSite("decoder.layers.{}.attention.", _attentions(model.decoder, "attention"), written, written),
                "cross": AttentionSite("decoder.layers.{}.cross_attention.", _attentions(model.decoder, "cross_attention"), written, read),
            }
        body = model.body if isinstance(model, HeadedModel) else model
        return {"self": AttentionSite("layers.{}.attention.", _attentions(body, "attention"), self.source, self.source)}


def _attentions(stack: nn.Module, name: str) -> list[Attention]:
    return [getattr(layer, name) for layer in cast(Any, stack).layers]


def reading(lm: LM, text: Prompt | Sequence[Prompt], target: Prompt | Sequence[Prompt] | None = None) -> Reading:
    """What goes in, as the model's own tokens. EngineError for an empty text, one too long, or a target that does not fit the model."""
    model = lm.model
    if not isinstance(model, Decoder | Encoder | HeadedModel | EncoderDecoder):
        raise EngineError(
            f"a {type(model).__name__} reads documents of sentences, which cannot be traced", hint="call its model: lm.model(ids)"
        )
    source = Rows.of(lm, encode_prompts(lm, text, max_tokens=1))
    if not isinstance(model, EncoderDecoder):
        if target is not None:
            raise EngineError("target was given, but this model writes no second text", hint="target belongs to encoder-decoders")
        return Reading(lm, source)
    written = [[]] * len(source.ids) if target is None else [_plain(lm, each) for each in as_list(target)]
    if len(written) != len(source.ids):
        raise EngineError(f"{len(source.ids)} texts and {len(written)} targets were given, expected one target for each text")
    start = decoder_start(lm.tokenizer)
    return Reading(lm, source, Rows.of(lm, encode_prompts(lm, [[start, *ids] for ids in written], max_tokens=1)))


def _plain(lm: LM, target: Prompt) -> list[int]:
    return lm.tokenizer.encode(target) if isinstance(target, str) else list(target)


def token_text(lm: LM, id: int) -> str:
    """The text of one token; bytes that are no whole character show as the vocabulary writes them."""
    text = lm.tokenizer.decode([id])
    return lm.tokenizer.piece(id) if "�" in text or not text else text


def padding(rows: Rows) -> Tensor:
    """How many columns of padding stand before each row."""
    return torch.tensor([rows.batch.shape[1] - length for length in rows.lengths], device=rows.batch.device)
