"""Words as bags of letter n-grams (FastText): a word's vector is the mean over its own row and those of its n-grams.

So a word that was never seen still has a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.embedding.static.table import Table


def ngrams(word: str, shortest: int, longest: int) -> list[str]:
    """The n-grams of a word between marks of its beginning and end.

    >>> ngrams("cat", 3, 4)
    ['<ca', 'cat', 'at>', '<cat', 'cat>']
    """
    marked = f"<{word}>"
    return [marked[start : start + n] for n in range(shortest, longest + 1) for start in range(len(marked) - n + 1) if n < len(marked)]


def bucket(ngram: str, buckets: int) -> int:
    """The row of an n-gram: FNV-1a over its bytes (Bojanowski et al. 2017 hash them so), which is the same on every machine.

    >>> hex(bucket("a", 2**32))  # a published test value of FNV-1a
    '0xe40c292c'
    """
    value = 2166136261
    for byte in ngram.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value % buckets


@dataclass(eq=False)
class Subwords:
    """A table of words and n-grams which is read and taught like one of words: `rows [words, most]` are the rows of each word, filled up
    with the number of rows; `parts [words]` how many they are."""

    table: Table
    rows: Int[Tensor, "words most"]
    parts: Float[Tensor, "words"]

    @classmethod
    def of(cls, words: Sequence[str], d: int, *, shortest: int, longest: int, buckets: int, generator: torch.Generator) -> Subwords:
        """A row for each word, then the buckets of n-grams; one row of zeros behind them fills up."""
        found = [[place, *rows_of(word, len(words), shortest, longest, buckets)] for place, word in enumerate(words)]
        most, filling = max(map(len, found)), len(words) + buckets
        rows = torch.full((len(words), most), filling)
        for place, own in enumerate(found):
            rows[place, : len(own)] = torch.tensor(own)
        table = Table.drawn(filling + 1, d, generator)
        table.weights[filling] = 0
        return cls(table, rows, torch.tensor([float(len(own)) for own in found]))

    def __getitem__(self, ids: Int[Tensor, "*n"]) -> Float[Tensor, "*n d"]:
        distinct, place = ids.flatten().unique(return_inverse=True)
        means = self.table.weights[self.rows[distinct]].sum(1) / self.parts[distinct, None]
        return means[place].reshape(*ids.shape, -1)

    def learn(self, ids: Int[Tensor, "*n"], gradients: Float[Tensor, "*n d"], lr: float) -> None:
        """Each of a word's rows gets its share of the word's gradient."""
        distinct, place = ids.flatten().unique(return_inverse=True)
        d = gradients.shape[-1]
        summed = torch.zeros(len(distinct), d).index_add_(0, place, gradients.reshape(-1, d)) / self.parts[distinct, None]
        rows = self.rows[distinct]
        real = rows < len(self.table.weights) - 1
        self.table.learn(rows[real], summed[:, None].expand(-1, rows.shape[1], -1)[real], lr)


def rows_of(word: str, n_words: int, shortest: int, longest: int, buckets: int) -> list[int]:
    """The rows of a word's n-grams."""
    return [n_words + bucket(gram, buckets) for gram in dict.fromkeys(ngrams(word, shortest, longest))]
