"""A table of vectors that learns: rows are read by number, and only the rows that were read are changed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Change = tuple[Int[Tensor, "*n"], Float[Tensor, "*n d"]]  # rows of a table and their gradients
Changes = tuple[Change, ...]


@dataclass(eq=False)
class Table:
    """Rows with the sums of their squared gradients (Adagrad, Duchi et al. 2011).

    Gradients of a batch are added up per row. Plain steps would then be too long for frequent words, which stand in a batch hundreds of
    times; Adagrad's are as long as ever.
    """

    weights: Float[Tensor, "rows d"]
    squares: Float[Tensor, "rows d"]

    @classmethod
    def drawn(cls, rows: int, d: int, generator: torch.Generator) -> Table:
        """Even between -1/2d and 1/2d, as word2vec begins."""
        return cls((torch.rand(rows, d, generator=generator) - 0.5) / d, torch.zeros(rows, d))

    @classmethod
    def zeros(cls, rows: int, d: int) -> Table:
        return cls(torch.zeros(rows, d), torch.zeros(rows, d))

    def __getitem__(self, ids: Int[Tensor, "*n"]) -> Float[Tensor, "*n d"]:
        return torch.nn.functional.embedding(ids, self.weights)

    def learn(self, ids: Int[Tensor, "*n"], gradients: Float[Tensor, "*n d"], lr: float) -> None:
        """One step for the rows of `ids`, each with the sum of its gradients."""
        rows, place = ids.flatten().unique(return_inverse=True)
        summed = torch.zeros(len(rows), gradients.shape[-1]).index_add_(0, place, gradients.reshape(-1, gradients.shape[-1]))
        squares = self.squares.index_select(0, rows).addcmul_(summed, summed)
        self.squares.index_copy_(0, rows, squares)
        self.weights.index_add_(0, rows, summed.div_(squares.sqrt_().add_(1e-8)), alpha=-lr)
