"""Causal language modelling: which token comes next.

What: every token of a window is predicted from those before it.
Why: text is its own label, so there is no end of it; predicting it well takes grammar, facts and reasoning.
Math: loss = -1/N sum_t log p(x_t | x_<t)
Cost: one pass over the text; no label needed
Used by: GPT-2, Llama, Mistral: all decoders
Paper: Radford et al. 2019, Language Models are Unsupervised Multitask Learners
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.data.records import Record
from isinglass.data.windows import Windows
from isinglass.generation.lm import LM
from isinglass.models.transformer import Decoder, Model
from isinglass.nn.adapter import AdaptedLinear, adapters_on
from isinglass.nn.attention.masks.documents import Documents
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block
from isinglass.nn.loss import chunked_cross_entropy
from isinglass.training.objective import Batch, Loss, Objective

EXAMPLE = dict(documents="apart")


@dataclass(frozen=True, eq=False)
class TextBatch(Batch):
    """A batch of running text, with the bytes its targets stand for."""

    n_bytes: int = 0


@dataclass(frozen=True)
class TextWindow:
    """length + 1 tokens, and the document each is of."""

    ids: NDArray[np.int64]
    documents: NDArray[np.int64]
    n_bytes: int


class TextWindows(Sequence[TextWindow]):
    """Windows over all documents one after another, each ended by the end-of-text token where the vocabulary has one."""

    def __init__(self, lm: LM, records: Iterable[Record], length: int, stride: int) -> None:
        tok = lm.tokenizer
        end = [] if tok.eos_id is None else [tok.eos_id]
        texts = [np.array(tok.encode(record.text) + end, dtype=np.int32) for record in records]
        ids = np.concatenate(texts) if texts else np.empty(0, np.int32)
        self.windows = Windows(ids, length, stride)
        self.documents = np.repeat(np.arange(len(texts), dtype=np.int32), [len(text) for text in texts])
        special = frozenset(tok.special.values())
        # bits per byte is about the text: special tokens stand for none
        widths = np.array([0 if id in special else len(tok.token_bytes(id)) for id in range(tok.vocab_size)], dtype=np.int64)
        self.bytes_before = np.concatenate([[0], widths[ids].cumsum()])

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> TextWindow:  # pyright: ignore[reportIncompatibleMethodOverride]
        start = self.windows.start(number)
        end = start + self.windows.length + 1
        n_bytes = int(self.bytes_before[end] - self.bytes_before[start + 1])
        return TextWindow(self.windows[number], self.documents[start:end].astype(np.int64), n_bytes)


@dataclass(frozen=True)
class CausalLM(Objective):
    """`stride` is the distance of windows in tokens (None: their length); `documents` "apart" hides each document from the next."""

    one_shape = True

    stride: int | None
    documents: Literal["joined", "apart"]

    def trainee(self, lm: LM, seed: int) -> Model:
        model = copy.deepcopy(lm.decoder)
        if self.documents == "apart":
            hide_documents(model)
        return model

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> TextWindows:
        return TextWindows(lm, records, context_length, self.stride or context_length)

    def collate(self, examples: Sequence[TextWindow], seeds: Sequence[int]) -> TextBatch:
        ids = torch.from_numpy(np.stack([example.ids for example in examples]))
        slots = Slots.first(ids[:, :-1])
        if self.documents == "apart":
            documents = torch.from_numpy(np.stack([example.documents for example in examples]))[:, :-1]
            slots = Slots(_positions(documents), document=documents)
        return TextBatch(ids[:, :-1], slots, ids[:, 1:], n_bytes=sum(example.n_bytes for example in examples))

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        decoder = cast(Decoder, model)
        hidden = decoder.hidden(batch.ids, slots=batch.slots)
        return Loss(next_token_loss(decoder, hidden, batch.targets), {"bytes": cast(TextBatch, batch).n_bytes})

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        loss = total / n_targets
        return {"loss": loss, "perplexity": math.exp(min(loss, 700)), "bits_per_byte": total / max(sums["bytes"], 1) / math.log(2)}


def hide_documents(model: Decoder) -> None:
    """Let every layer see only tokens of the same document, where slots number documents."""
    for layer in model.layers:
        attention = cast(Block, layer).attention
        attention.parts = replace(attention.parts, mask=attention.parts.mask & Documents())


def next_token_loss(decoder: Decoder, hidden: Tensor, targets: Tensor) -> Tensor:
    """The sum of nats over the targets, without ever holding all logits."""
    return chunked_cross_entropy(hidden, output_weight(decoder), targets)


def output_weight(decoder: Decoder) -> Tensor:
    """The matrix from hidden states to logits, an adapter's change included."""
    head = decoder.lm_head
    if isinstance(head, AdaptedLinear):
        return head.whole() if adapters_on() else head.weight
    return decoder.embed_tokens.weight if head is None else cast(nn.Linear, head).weight


def _positions(documents: Tensor) -> Tensor:
    """Places within each document: every document begins at 0."""
    places = torch.arange(documents.shape[1]).expand_as(documents)
    begins = torch.cat([torch.zeros_like(documents[:, :1], dtype=torch.bool), documents[:, 1:] != documents[:, :-1]], dim=1)
    return places - places.masked_fill(~begins, 0).cummax(dim=1).values


def build(stride: int | None = None, documents: str = "joined") -> Objective:
    """`stride` is in tokens; `documents` is joined (one stream) or apart (no attention from one document to another)."""
    if documents not in ("joined", "apart"):
        raise VariantError(f"causal_lm: documents = {documents!r}, expected 'joined' or 'apart'")
    return CausalLM(stride, documents)  # type: ignore[arg-type]
