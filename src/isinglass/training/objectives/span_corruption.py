"""Span corruption: what stood in the gaps of a text.

What: random spans of a text are cut out, a sentinel is left in the place of each; the decoder writes what each sentinel stands for.
Why: an encoder-decoder learns to read and to write at once, and targets are short: most of the text is only read.
Math: n tokens give round(share n) that are cut, in round(share n / mean_span) spans; both exact, lengths drawn evenly
Cost: the encoder reads (1 - share) n + spans, the decoder writes share n + spans + 1 tokens
Used by: T5, mT5, FLAN-T5 (before it was instructed), UL2 (its R-denoiser)
Paper: Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer, sections 3.1.4 and 3.3.4
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from isinglass.core.errors import ConfigError, VariantError
from isinglass.data.records import Record
from isinglass.data.windows import Windows
from isinglass.generation.lm import LM
from isinglass.generation.prompts import decoder_start
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.objectives.masked_lm import running_ids, stream
from isinglass.training.two_sides import TwoSides, encoder_decoder_of, two_sides_loss

EXAMPLE = dict(mean_span=3.0)
_SENTINEL = re.compile(r"<extra_id_(\d+)>")  # T5's names; what stands first in a text is 0


@dataclass(frozen=True)
class Frame:
    """The ids that stand around text: sentinels in their order, what the decoder begins with, and what ends both sides (maybe nothing)."""

    sentinels: tuple[int, ...]
    start: int
    end: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Frame:
        """ConfigError for a vocabulary without sentinels, or without a token to begin with."""
        numbered = {int(found[1]): id for name, id in tokenizer.special.items() if (found := _SENTINEL.fullmatch(name))}
        sentinels = tuple(numbered[number] for number in sorted(numbered))
        if len(sentinels) < 2:
            raise ConfigError(
                f"the tokenizer {tokenizer.name!r} has no sentinels, which stand for what is cut out",
                details=[f"looked for the special tokens <extra_id_0>, <extra_id_1>, ...; found {len(sentinels)}, expected 2 or more"],
                hint="take 't5', or train one with them: \"unigram(special=['<pad>', '</s>', '<unk>', '<extra_id_0>', ...])\"",
            )
        return cls(sentinels, decoder_start(tokenizer), () if tokenizer.eos_id is None else (tokenizer.eos_id,))

    def corrupted(self, ids: NDArray[np.int64], spans: Sequence[tuple[int, int]]) -> tuple[list[int], list[int]]:
        """What is read and what is to be written when `spans` (begin, end), in order and apart, are cut out: figure 2 of the paper."""
        source, target, at = list[int](), list[int](), 0
        for number, (begin, end) in enumerate(spans):
            source += [*ids[at:begin].tolist(), self.sentinels[number]]
            target += [self.sentinels[number], *ids[begin:end].tolist()]
            at = end
        source += ids[at:].tolist()
        return [*source, *self.end], [*target, self.sentinels[len(spans)], *self.end]


@dataclass(frozen=True)
class Counts:
    """How many of `length` tokens are cut out, and in how many spans."""

    length: int
    cut: int
    spans: int

    @classmethod
    def of(cls, length: int, share: float, mean_span: float) -> Counts:
        """At least one token is cut and one stays; each span has one token or more, and one before it."""
        cut = min(max(round(length * share), 1), length - 1)
        return cls(length, cut, min(max(round(cut / mean_span), 1), cut, length - cut))

    @property
    def read(self) -> int:
        """Tokens and sentinels that the encoder reads."""
        return self.length - self.cut + self.spans

    @property
    def written(self) -> int:
        """Tokens and sentinels that the decoder writes."""
        return self.cut + self.spans + 1

    def drawn(self, source: np.random.RandomState) -> list[tuple[int, int]]:
        """The spans, as (begin, end), with something that stays before each, and behind the last one maybe nothing.

        T5's own code lets every text end with a span, so that a single span would always be its end; figure 2 does not.
        """
        kept, cut = _parts(self.length - self.cut + 1, self.spans + 1, source)[:-1], _parts(self.cut, self.spans, source)
        ends = np.cumsum(kept + cut)
        return list(zip((ends - cut).tolist(), ends.tolist(), strict=True))


def _parts(n: int, count: int, source: np.random.RandomState) -> NDArray[np.int64]:
    """n as a sum of `count` whole numbers above 0, each such sum as likely as any other."""
    cuts = np.sort(source.permutation(n - 1)[: count - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [n]]))


@dataclass(frozen=True)
class Whole:
    """A piece of text, and how it is to be corrupted."""

    ids: NDArray[np.int64]
    counts: Counts
    frame: Frame


class Pieces(Sequence[Whole]):
    """Running text cut into pieces of the one length that fills the encoder after corruption; the last piece reaches back."""

    def __init__(self, lm: LM, records: Iterable[Record], counts: Counts, frame: Frame) -> None:
        self.counts, self.frame = counts, frame
        self.windows = Windows(running_ids(lm.tokenizer, records), counts.length - 1, counts.length)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> Whole:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Whole(self.windows[number], self.counts, self.frame)


@dataclass(frozen=True)
class SpanCorruption(Objective):
    """`share` of the tokens are cut out, in spans of `mean_span` tokens on average."""

    share: float
    mean_span: float

    def trainee(self, lm: LM, seed: int) -> EncoderDecoder:
        return copy.deepcopy(encoder_decoder_of(lm, "span_corruption", "reads a text and writes its gaps"))

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> Pieces:
        frame = Frame.of(lm.tokenizer)
        counts = self.filling(context_length - len(frame.end))
        if counts.spans >= len(frame.sentinels):
            raise ConfigError(
                f"context_length = {context_length:,} makes {counts.spans} spans, which need {counts.spans + 1} sentinels; "
                f"the tokenizer {lm.tokenizer.name!r} has {len(frame.sentinels)}",
                hint="a shorter context_length, a larger mean_span, or a tokenizer with more <extra_id_N>",
            )
        return Pieces(lm, records, counts, frame)

    def filling(self, room: int) -> Counts:
        """The longest piece of text of which neither side is longer than `room` tokens after corruption."""
        found = None
        for length in range(2, max(2 * room, 2) + 2):
            counts = Counts.of(length, self.share, self.mean_span)
            if max(counts.read, counts.written) > room:
                break
            found = counts
        if found is None:
            raise ConfigError(f"context_length leaves room for {room} tokens, expected 3 at least", hint="set context_length to 16 or more")
        return found

    def collate(self, examples: Sequence[Whole], seeds: Sequence[int]) -> TwoSides:
        sides = [each.frame.corrupted(each.ids, each.counts.drawn(stream(seed))) for each, seed in zip(examples, seeds, strict=True)]
        return TwoSides.of([read for read, _ in sides], [written for _, written in sides], examples[0].frame.start)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        return two_sides_loss(model, batch)

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        return {"loss": total / n_targets, "perplexity": math.exp(min(total / n_targets, 700))}


def build(share: float = 0.15, mean_span: float = 3.0) -> Objective:
    """`share` of the tokens are cut out, in spans of `mean_span` tokens on average."""
    if not 0 < share < 1:
        raise VariantError(f"span_corruption: share = {share!r}, expected more than 0 and less than 1")
    if not 1 <= mean_span < math.inf:
        raise VariantError(f"span_corruption: mean_span = {mean_span!r}, expected at least 1 token")
    return SpanCorruption(share, mean_span)
