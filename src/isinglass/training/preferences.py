"""Preferences: of two responses to a prompt, which one people liked better; as pairs of ids, and as batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from isinglass.core.errors import DataError
from isinglass.data.records import Record
from isinglass.nn.loss import IGNORED
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.objective import Batch
from isinglass.training.padding import padded
from isinglass.training.prompting import Prompting, fitting, response_ids


@dataclass(frozen=True)
class Preferred:
    """Ids of a prompt and of two responses to it, end tokens included."""

    prompt: Sequence[int]
    chosen: Sequence[int]
    rejected: Sequence[int]

    @property
    def texts(self) -> tuple[list[int], list[int]]:
        """The prompt with each response behind it: chosen, rejected."""
        return [*self.prompt, *self.chosen], [*self.prompt, *self.rejected]


@dataclass(frozen=True)
class Preferences:
    """Where a record holds a preference: `prompting` makes the prompt, `chosen` and `rejected` are the names of fields."""

    prompting: Prompting
    chosen: str
    rejected: str

    def read(self, tokenizer: Tokenizer, records: Iterable[Record], context_length: int) -> list[Preferred]:
        """The pairs of all records; two equal responses prefer nothing and are left out.

        A response is cut where the context ends. Raises DataError, with file and line, for a missing field, a prompt that leaves no room
        for a response, and when nothing is left.
        """
        pairs = [self._pair(tokenizer, record, context_length) for record in records]
        kept = [pair for pair in pairs if pair.chosen != pair.rejected]
        if not kept:
            raise DataError(
                f"in all {len(pairs):,} records {self.chosen!r} and {self.rejected!r} are the same, so nothing is preferred",
                hint="name the two fields: chosen='...', rejected='...'",
            )
        return kept

    def _pair(self, tokenizer: Tokenizer, record: Record, context_length: int) -> Preferred:
        prompt = self.prompting.ids(tokenizer, self.prompting.text(record))
        responses = [response_ids(tokenizer, record.string(name)) for name in (self.chosen, self.rejected)]
        chosen, rejected = (fitting(prompt, response, context_length, record.place) for response in responses)
        return Preferred(prompt, chosen, rejected)


@dataclass(frozen=True, eq=False, kw_only=True)
class PairBatch(Batch):
    """Chosen rows first, the rejected ones below them in the same order; `targets` has one entry for each pair.

    `responses` are the tokens that each place is to say: those of responses, IGNORED for those of prompts and for padding.
    """

    responses: Int[Tensor, "batch time"]


def pair_rows(pairs: Sequence[Preferred]) -> tuple[list[list[int]], list[int]]:
    """The rows of a `PairBatch`, and how long the prompt of each is."""
    rows = [pair.texts[side] for side in (0, 1) for pair in pairs]
    return rows, [len(pair.prompt) for pair in pairs] * 2


def pair_batch(pairs: Sequence[Preferred]) -> PairBatch:
    """Pairs as one batch, padded on the right."""
    rows, prompts = pair_rows(pairs)
    ids, slots = padded(rows)
    first = torch.zeros(len(pairs), dtype=torch.long)  # the label of each pair: its first row is the better one
    return PairBatch(ids, slots, first, responses=response_targets(rows, prompts))


def response_targets(rows: Sequence[Sequence[int]], prompts: Sequence[int]) -> Int[Tensor, "batch time"]:
    """What each place is to say next: the tokens behind a row's prompt, the last one included, IGNORED elsewhere.

    >>> response_targets([[7, 8, 9, 2], [7, 5]], prompts=[2, 1]).tolist()
    [[-100, 9, 2, -100], [5, -100, -100, -100]]
    """
    targets = torch.full((len(rows), max(map(len, rows))), IGNORED)
    for target, row, prompt in zip(targets, rows, prompts, strict=True):
        target[prompt - 1 : len(row) - 1] = torch.tensor(row[prompt:])
    return targets
