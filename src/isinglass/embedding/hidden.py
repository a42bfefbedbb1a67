"""The hidden states of a model for texts: what embeddings are pooled from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from isinglass.core.errors import ConfigError, EngineError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import pad_left
from isinglass.models.encoder import Encoder
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.slots import Slots
from isinglass.nn.tap import Tap


@dataclass
class Kept:
    """A tap that keeps the stream at the places asked for."""

    names: frozenset[str]
    found: dict[str, Tensor] = field(default_factory=dict)

    def wants(self, name: str) -> bool:
        return name in self.names

    def __call__(self, name: str, x: Tensor) -> Tensor:
        self.found[name] = x
        return x


@dataclass(frozen=True, eq=False)
class Batch:
    """Some texts by their `places` in the whole: `states [layers, batch, time, d_model]`, `valid [batch, time]` (False: padding, on the
    left), and their ids without padding."""

    places: Sequence[int]
    ids: Sequence[Sequence[int]]
    states: Float[Tensor, "layers batch time d_model"]
    valid: Bool[Tensor, "batch time"]


@dataclass(frozen=True, eq=False)
class Reader:
    """The part of a model that reads a text: `run(ids, slots, tap)` gives its output; layer 0 is the embedding, layer k the stream after
    block k."""

    kind: Literal["encoder", "decoder"]
    embed_tokens: nn.Embedding
    n_layers: int
    context_length: int
    run: Callable[[Tensor, Slots, Tap], Tensor]


def reader(lm: LM) -> Reader:
    """An encoder, a decoder, or the encoder of an encoder-decoder. Raises EngineError for a model that reads no single text."""
    model: Any = lm.model.body if isinstance(lm.model, HeadedModel) else lm.model
    if isinstance(model, EncoderDecoder):
        stack = model.encoder
        run = lambda ids, slots, tap: stack(model.embed_tokens(ids), slots, tap=tap)  # noqa: E731
        return Reader("encoder", model.embed_tokens, len(stack.layers), model.config.context_length, run)
    if isinstance(model, Encoder | Decoder):
        kind = "decoder" if isinstance(model, Decoder) else "encoder"
        run = lambda ids, slots, tap: model.hidden(ids, slots=slots, tap=tap)  # noqa: E731
        return Reader(kind, model.embed_tokens, len(model.layers), model.config.context_length, run)
    name = lm.card.get("source", lm.config.family)
    raise EngineError(f"{name} reads sentences of a document, not one text", hint="take an encoder or a decoder, such as minilm")


def fits(lm: LM, text: str) -> bool:
    """Whether the model reads a text whole."""
    return len(lm.encode(text)) <= reader(lm).context_length


def token_ids(lm: LM, texts: Sequence[str]) -> list[list[int]]:
    """Ids of each text with the model's special tokens. Raises ConfigError for an empty text and for one beyond the context length."""
    longest, found = reader(lm).context_length, []
    for number, text in enumerate(texts, start=1):
        ids = lm.encode(text)
        if not ids:
            raise ConfigError(f"text {number} is empty: it has no tokens", hint="leave it out")
        if len(ids) > longest:
            raise ConfigError(
                f"text {number} has {len(ids):,} tokens, the model reads at most {longest:,}", hint="split it: isinglass rag index does"
            )
        found.append(ids)
    return found


def hidden_states(lm: LM, ids: Sequence[Sequence[int]], layers: Sequence[int | None], *, batch_size: int = 32) -> Iterator[Batch]:
    """The stream of each text at some layers (None: the model's output, after its last norm), texts of like length together.

    Raises ConfigError for a layer that is not there.
    """
    body = reader(lm)
    for layer in layers:
        if layer is not None and not 0 <= layer <= body.n_layers:
            last = f"{body.n_layers} (after the last block)"
            raise ConfigError(f"layer = {layer!r}, expected 0 (the embedding) to {last}, or none for the output")
    names = {layer: "embed" if layer == 0 else f"layers.{layer - 1}.resid_post" for layer in layers if layer is not None}
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    for begin in range(0, len(order), batch_size):
        places = order[begin : begin + batch_size]
        rows = [list(ids[place]) for place in places]
        batch, slots = pad_left(rows, lm.device)
        tap = Kept(frozenset(names.values()))
        with torch.inference_mode():
            output = body.run(batch, slots, tap)
        states = torch.stack([output if layer is None else tap.found[names[layer]] for layer in layers])
        valid = slots.valid if slots.valid is not None else torch.ones_like(batch, dtype=torch.bool)
        yield Batch(places, rows, states, valid)
