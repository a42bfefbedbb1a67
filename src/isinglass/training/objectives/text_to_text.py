"""Text to text: write one text after reading another, as a translation or a summary.

What: the encoder reads the source, the decoder writes the target token by token and always sees the true tokens before (teacher forcing).
Why: every task whose answer is a text is learned in the same way, by the same model.
Math: loss = -sum_t log p(y_t | y_<t, x) over the target and the token that ends it
Cost: one pass of the encoder over the source and of the decoder over the target
Used by: the Transformer of 2017 (translation), T5, BART when they are fine-tuned
Paper: Sutskever et al. 2014, Sequence to Sequence Learning with Neural Networks; Raffel et al. 2020, T5, section 2.4
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn

from isinglass.core.errors import ConfigError, DataError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.generation.prompts import decoder_start
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.two_sides import TwoSides, encoder_decoder_of, two_sides_loss

EXAMPLE = dict(source="kjv", target="web")


@dataclass(frozen=True)
class Pair:
    """What is read and what is to be written, each with the token that ends a text; `start` is what the decoder begins with."""

    read: Sequence[int]
    written: Sequence[int]
    start: int

    def __len__(self) -> int:
        return len(self.read) + len(self.written)


@dataclass(frozen=True)
class TextToText(Objective):
    """`source` and `target` are names of fields."""

    source: str
    target: str
    too_long: Literal["error", "dropped"]

    def trainee(self, lm: LM, seed: int) -> EncoderDecoder:
        return copy.deepcopy(encoder_decoder_of(lm, "text_to_text", "reads a text and writes another"))

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> list[Pair]:
        if lm.tokenizer.eos_id is None:
            raise ConfigError(
                f"the tokenizer {lm.tokenizer.name!r} has no token that ends a text: what is written would never end",
                hint="train one with special=['<pad>', '</s>', '<unk>']",
            )
        start = decoder_start(lm.tokenizer)
        placed = [(record.place, self._pair(lm, record, start)) for record in records]
        long = [(place, pair) for place, pair in placed if max(len(pair.read), len(pair.written)) > context_length]
        if long and (self.too_long == "error" or len(long) == len(placed)):
            place, pair = long[0]
            raise DataError(
                f"{place}: {max(len(pair.read), len(pair.written)):,} tokens, beyond the context of {context_length:,}; "
                f"{len(long):,} of {len(placed):,} are",
                hint="a longer context_length, or too_long='dropped' leaves them out",
            )
        return [pair for _, pair in placed if max(len(pair.read), len(pair.written)) <= context_length]

    def _pair(self, lm: LM, record: Record, start: int) -> Pair:
        read, written = (lm.tokenizer.encode(record.string(name)) for name in (self.source, self.target))
        if not read or not written:
            empty = self.target if read else self.source
            raise DataError(f"{record.place}: field {empty!r} is empty, expected text", hint="leave such records out")
        assert lm.tokenizer.eos_id is not None  # `examples` asked for it
        return Pair([*read, lm.tokenizer.eos_id], [*written, lm.tokenizer.eos_id], start)

    def lengths(self, examples: Sequence[Pair]) -> Sequence[int]:
        return [len(pair) for pair in examples]

    def collate(self, examples: Sequence[Pair], seeds: Sequence[int]) -> TwoSides:
        return TwoSides.of([pair.read for pair in examples], [pair.written for pair in examples], examples[0].start)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        return two_sides_loss(model, batch)

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        return {"loss": total / n_targets, "perplexity": math.exp(min(total / n_targets, 700))}


def build(source: str = "source", target: str = "target", too_long: Literal["error", "dropped"] = "error") -> Objective:
    """`source` and `target` name the fields that are read and written; `too_long` is what becomes of a pair that exceeds the context."""
    if source == target:
        raise VariantError(f"text_to_text: source and target are both {source!r}, expected two fields")
    if too_long not in ("error", "dropped"):
        raise VariantError(f"text_to_text: too_long = {too_long!r}, expected error or dropped")
    return TextToText(source, target, too_long)
