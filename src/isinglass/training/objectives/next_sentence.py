"""Next sentence: whether the second text follows the first.

What: [CLS] A [SEP] B [SEP], where B is the text after A in half of the pairs and one from another document in the other half; with
masked=True tokens are hidden as well and both heads learn at once, which is how BERT was pretrained.
Why: teaches relations between sentences, and gives [CLS] something to hold. RoBERTa later did better without it.
Math: loss = 1/N sum_i w_i CE_i, w_i = 1; with masks w_i = masks of row i, N = all masks, and -1/N sum_t log p(x_t) is added
Cost: one pass over each pair
Used by: BERT
Paper: Devlin et al. 2018, BERT, section 3.1 and appendix A.2; Liu et al. 2019, RoBERTa, section 4.2
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor, nn

from isinglass.core.errors import ConfigError, DataError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel
from isinglass.nn.loss import IGNORED
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.objectives import masked_lm
from isinglass.training.objectives.masked_lm import Maskable, MaskedLM, encoder_with, masked_loss, stream
from isinglass.training.padding import padded

EXAMPLE = dict(unit="sentence")
HEAD = "next_sentence"
FOLLOWS, DRAWN = 0, 1  # the labels, as in BERT
Unit = Literal["sentence", "line", "paragraph"]
# a sentence ends after . ! ? and the quotes behind them; abbreviations are cut too, which this task can bear
_BETWEEN = {
    "sentence": re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"'’”)\]])\s+"),
    "line": re.compile(r"\s*\n\s*"),
    "paragraph": re.compile(r"\s*\n\s*\n\s*"),
}


@dataclass(frozen=True, eq=False)
class PairBatch(Batch):
    """Pairs of texts: `targets` are labels of rows; `hidden` are the tokens that were masked, IGNORED elsewhere, None without masks."""

    hidden: Int[Tensor, "batch time"] | None = None

    @property
    def weights(self) -> Int[Tensor, "batch"]:
        """What the label of each row counts: as much as its masks, so that the sum of both losses is a sum of two means."""
        return torch.ones_like(self.targets) if self.hidden is None else (self.hidden != IGNORED).sum(dim=1)

    @property
    def n_targets(self) -> float:
        return int(self.weights.sum())


@dataclass(frozen=True)
class Neighbours:
    """Where a text stands that has another one after it in its document."""

    texts: Texts
    first: int


class Texts(Sequence[Neighbours]):
    """All texts of all documents, one after another; an example is a text that has a successor."""

    def __init__(self, lm: LM, records: Iterable[Record], unit: Unit, room: int, masks: bool) -> None:
        self.slots, self.room = list(lm.tokenizer.surround.slots(two=True)), room
        self.vocabulary = Maskable.of(lm.tokenizer) if masks else None
        self.ids: list[tuple[int, ...]] = []
        self.document: list[range] = []  # of each text: the numbers of all texts of its document
        for record in records:
            parts = [tuple(ids) for part in _BETWEEN[unit].split(record.text) if (ids := lm.tokenizer.encode(part))]
            start = len(self.ids)
            self.ids += parts
            self.document += [range(start, start + len(parts))] * len(parts)
        self.firsts = [number for number, document in enumerate(self.document) if number + 1 in document]
        self.successors = defaultdict[tuple[int, ...], set[tuple[int, ...]]](set)
        for number in self.firsts:
            self.successors[self.ids[number]].add(self.ids[number + 1])
        self._check(unit)

    def __len__(self) -> int:
        return len(self.firsts)

    def __getitem__(self, number: int) -> Neighbours:  # pyright: ignore[reportIncompatibleMethodOverride]
        return Neighbours(self, self.firsts[number])

    def drawn(self, first: int, source: np.random.RandomState) -> tuple[int, ...] | None:
        """A text from another document that never follows this one, anywhere; None when there is no such text."""
        own, total = self.document[first], len(self.ids)
        others = total - len(own)
        start = source.randint(others)
        for step in range(others):
            number = (start + step) % others
            number += len(own) if number >= own.start else 0
            if self.ids[number] not in self.successors[self.ids[first]]:
                return self.ids[number]
        return None

    def row(self, first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
        """The ids of a pair with the special tokens around them, and the segment of each: what stands before the second text is 0."""
        text, cut = dict(zip("AB", _shortened(first, second, self.room), strict=True)), self.slots.index("B")
        parts = self.slots[:cut], self.slots[cut:]
        halves = [[id for slot in part for id in ([slot] if isinstance(slot, int) else text[slot])] for part in parts]
        return halves[0] + halves[1], [0] * len(halves[0]) + [1] * len(halves[1])

    def _check(self, unit: Unit) -> None:
        n_documents = len(set(self.document))
        if not self.firsts or n_documents < 2:
            found = f"{len(self.ids):,} texts in {n_documents:,} documents, {len(self.firsts):,} of them with a successor"
            raise DataError(
                f"next_sentence needs documents of several texts, at least two of them: found {found}",
                details=[f"each record is a document, cut into texts by unit = {unit!r}"],
                hint="data = {source = ..., unit = 'paragraph'} makes each paragraph a record; of kjv each chapter",
            )


def _shortened(first: Sequence[int], second: Sequence[int], room: int) -> tuple[Sequence[int], Sequence[int]]:
    """Two texts that fit together, the longer one cut first; what is kept is the end of the first and the beginning of the second."""
    if len(first) + len(second) <= room:
        return first, second
    kept = min(len(first), max(room - len(second), (room + 1) // 2))
    return first[len(first) - kept :], second[: room - kept]


@dataclass(frozen=True)
class NextSentence(Objective):
    """`unit` cuts documents into texts; `masking` hides tokens too, None not."""

    unit: Unit
    masking: MaskedLM | None

    def trainee(self, lm: LM, seed: int) -> HeadedModel:
        return encoder_with(lm, [HEAD] if self.masking is None else [masked_lm.HEAD, HEAD], seed)

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> Texts:
        around = [slot for slot in lm.tokenizer.surround.slots(two=True) if isinstance(slot, int)]
        if len(around) < 2:
            raise ConfigError(
                f"the tokenizer {lm.tokenizer.name!r} puts nothing between two texts, so a pair would be one text",
                hint="train one that has [CLS] and [SEP]: tokenizer = 'wordpiece', or take 'bert-base-uncased'",
            )
        if context_length < len(around) + 2:
            raise ConfigError(f"context_length = {context_length}: {len(around)} special tokens leave no room for two texts")
        return Texts(lm, records, self.unit, context_length - len(around), self.masking is not None)

    def collate(self, examples: Sequence[Neighbours], seeds: Sequence[int]) -> PairBatch:
        rows = [self._row(each, stream(seed)) for each, seed in zip(examples, seeds, strict=True)]
        ids, slots = padded([row[0] for row in rows])
        segments, _ = padded([row[1] for row in rows])
        hidden = None
        if self.masking is not None:
            hidden = nn.utils.rnn.pad_sequence([torch.tensor(row[2]) for row in rows], batch_first=True, padding_value=IGNORED)
        return PairBatch(ids, slots, torch.tensor([row[3] for row in rows]), segments, hidden=hidden)

    def _row(self, example: Neighbours, source: np.random.RandomState) -> tuple[Sequence[int], list[int], Sequence[int], int]:
        """Ids, segments, what is hidden (empty without masks), and the label."""
        texts, first = example.texts, example.first
        stranger = texts.drawn(first, source) if source.random_sample() < 0.5 else None
        ids, segments = texts.row(texts.ids[first], texts.ids[first + 1] if stranger is None else stranger)
        label = FOLLOWS if stranger is None else DRAWN
        if self.masking is None or texts.vocabulary is None:
            return ids, segments, [], label
        masked, hidden = self.masking.hide(np.array(ids, dtype=np.int64), texts.vocabulary, source)
        return masked.tolist(), segments, hidden.tolist(), label

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        headed, pairs = cast(HeadedModel, model), cast(PairBatch, batch)
        body = cast(Encoder, headed.body)
        # an encoder without two segment embeddings has to find the [SEP] by itself
        segments = pairs.segments if (body.config.n_segments or 0) > 1 else None
        hidden = body.hidden(pairs.ids, slots=pairs.slots, segments=segments)
        logits = headed.heads[HEAD](hidden, pairs.slots, body.embed_tokens.weight).float()
        follows = (F.cross_entropy(logits, pairs.targets, reduction="none") * pairs.weights).sum()
        right = int((logits.argmax(dim=-1) == pairs.targets).sum())
        sums = {"right": right, "rows": len(pairs.targets), "next_sentence": follows.item()}
        if pairs.hidden is None:
            return Loss(follows, sums)
        gaps = masked_loss(headed, hidden, pairs.hidden)
        return Loss(follows + gaps, {**sums, "masked_lm": gaps.item()})

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        losses = {f"{name}_loss": sums[name] / n_targets for name in ("next_sentence", "masked_lm") if "masked_lm" in sums}
        return {"loss": total / n_targets, **losses, "accuracy": sums["right"] / max(sums["rows"], 1)}


def build(unit: Unit = "sentence", masked: bool = False) -> Objective:
    """`unit` cuts each document (a record) into texts: sentence, line or paragraph. `masked` hides tokens too, as masked_lm does."""
    return NextSentence(unit, cast(MaskedLM, masked_lm.build()) if masked else None)
