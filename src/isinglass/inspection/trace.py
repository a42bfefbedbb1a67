"""Trace: what a forward pass computed, by the names of its places (taps).

`layers.N.` + resid_pre, attention.q_raw, .k_raw, .q, .k, .v, .scores, .weights, .z, .out, resid_mid, mlp.gate, mlp.up, mlp.pre,
mlp.post, resid_post; and embed, norm, logits. Only what is asked for is kept; what is asked for later is computed by running again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core.errors import EngineError, closest
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt, encode_prompts, pad_left
from isinglass.inspection.predictions import NextTokens, next_tokens
from isinglass.nn.attention.slots import Slots
from isinglass.show.marks.attention_grid import AttentionGrid


class Recorder:
    """A tap that keeps the places whose names match a pattern, and notes every name it was asked for."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        self.kept: dict[str, Tensor] = {}
        self.seen: list[str] = []

    def wants(self, name: str) -> bool:
        self.seen.append(name)
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        # a copy, so that nothing the model does later, and nothing the reader does, changes the other's numbers
        self.kept[name] = x.detach().clone()
        return x


@dataclass(frozen=True, eq=False)
class Trace:
    """One pass of a model over a text or a batch of texts. `ids` are the exact tokens that went in, padding excluded.

    `trace["layers.3.attention.z"]` gives a tensor with the batch first; a batch of unequal texts is padded on the left.
    """

    lm: LM
    ids: list[list[int]]
    logits: Float[Tensor, "batch time vocab"]
    _kept: dict[str, Tensor] = field(repr=False)
    _batch: tuple[Tensor, Slots] = field(repr=False)
    prompts: tuple[str, ...] = ()

    @property
    def tokens(self) -> list[list[str]]:
        """The text of each token of each row, special ones included."""
        return [[token_text(self.lm, id) for id in row] for row in self.ids]

    def __getitem__(self, name: str) -> Tensor:
        """A tap's tensor; the model runs again when it was not kept. Raises EngineError for a name that is no tap of this model."""
        if name not in self._kept:
            _, kept = _run(self.lm, *self._batch, [name])
            self._kept.update(kept)
        return self._kept[name]

    def kernel(self, layer: int) -> str:
        """Which kernel computed a layer's attention in this trace: looking at scores or weights calls for the reference."""
        looked_at = {f"layers.{layer}.attention.{what}" for what in ("scores", "weights")} & self._kept.keys()
        kernel = self.lm.decoder.layers[layer].attention.parts.kernel  # type: ignore[union-attr]
        return "reference" if looked_at else type(kernel).__name__.lower()

    def attention_weights(self, row: int = 0) -> Float[Tensor, "layers heads query key"]:
        """Attention of every layer and head of one row; padding and the keys of a prefix adapter are cut away."""
        names = [f"layers.{layer}.attention.weights" for layer in range(self.lm.config.n_layers)]
        if not all(name in self._kept for name in names):
            _, kept = _run(self.lm, *self._batch, ["layers.*.attention.weights"])
            self._kept.update(kept)
        n = len(self.ids[row])  # padding, and the keys of a prefix adapter, stand before them
        return torch.stack([self._kept[name][row, :, -n:, -n:] for name in names])

    def attention(self, layer: int = 0, head: int = 0, *, row: int = 0) -> AttentionGrid:
        """The attention maps of all layers and heads, opened at one of them; shows itself in a page, a notebook or a terminal."""
        config = self.lm.config
        focus = (_within(layer, config.n_layers, "layer"), _within(head, config.attention.n_heads, "head"))
        group = config.attention.n_heads // config.n_kv_heads
        return AttentionGrid(
            self.attention_weights(row).float().numpy(force=True),
            self.tokens[row],
            title="Where each token looks: attention weights of all layers and heads",
            causal=all(block.attention.parts.mask.causal for block in self.lm.decoder.layers),  # type: ignore[union-attr]
            kv_head_of=[number // group for number in range(config.attention.n_heads)],
            focus=focus,
        )

    def next_tokens(self, top: int = 10, temperatures: Sequence[float] = (1.0,), *, row: int = 0, command: str | None = None) -> NextTokens:
        """The most likely next tokens after one row, at several temperatures; `command` is printed as what makes it again."""
        prompt = self.lm.tokenizer.decode(self.ids[row])
        return next_tokens(
            self.logits[row, -1], lambda id: token_text(self.lm, id), prompt, top=top, temperatures=temperatures, command=command
        )


def trace(lm: LM, text: Prompt | Sequence[Prompt], *, taps: Sequence[str] = ()) -> Trace:
    """Run the model once over a text, ids, or a batch of either, keeping the named taps (`*` matches any part of a name).

    Raises EngineError for an empty text, one longer than the context, or a tap that this model does not have.

    >>> import isinglass as ig
    >>> ig.trace(ig.load("smollm2"), "The capital of France is")["layers.3.attention.z"].shape
    torch.Size([1, 9, 5, 64])
    """
    encoded = encode_prompts(lm, text, max_tokens=1)
    batch = pad_left(encoded, lm.device)
    logits, kept = _run(lm, *batch, taps)
    return Trace(lm, encoded, logits, kept, batch)


def _run(lm: LM, ids: Tensor, slots: Slots, patterns: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
    """One pass with a recorder; every pattern must have matched something."""
    recorder = Recorder(patterns)
    with torch.inference_mode():
        # fresh slots: what one pass computed once must not be found by the next
        logits = lm.decoder(ids, slots=Slots(slots.position, slots.valid), tap=recorder)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in recorder.kept):
            raise _unknown_tap(pattern, recorder.seen)
    return logits, recorder.kept


def _unknown_tap(name: str, seen: Sequence[str]) -> EngineError:
    """Lists each kind of tap once, with N for the layer."""
    kinds = dict.fromkeys(re.sub(r"^layers\.\d+", "layers.N", known) for known in seen)
    near = closest(name, seen)
    return EngineError(f"unknown tap {name!r}", details=[f"known: {', '.join(kinds)}"], hint=f"did you mean {near!r}?" if near else "")


def token_text(lm: LM, id: int) -> str:
    """The text of one token; bytes that are no whole character show as the vocabulary writes them."""
    text = lm.tokenizer.decode([id])
    return lm.tokenizer.piece(id) if "�" in text or not text else text


def _within(number: int, size: int, what: str) -> int:
    if not 0 <= number < size:
        raise EngineError(f"{what} {number} does not exist", details=[f"this model has {what}s 0 to {size - 1}"])
    return number
