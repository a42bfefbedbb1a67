"""Negative sampling: a true neighbour should score high, words drawn by chance low (Mikolov et al. 2013, formula 4).

For a vector x of what is known and the vector y of the word to be told: loss = -log s(x . y) - k mean_n log s(-x . y_n), s the logistic
function. In place of k words drawn for each pair stands the mean over the `shared` words drawn for a block, times k: in expectation the
same, and a product of matrices (Ji et al. 2016 share them too). A drawn word that happens to be a true neighbour is left in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.embedding.static.corpus import Vocabulary
from isinglass.embedding.static.table import Changes, Table

POWER = 0.75  # of the counts by which negatives are drawn: between evenly and by frequency


@dataclass(eq=False)
class NegativeSampling:
    """`outputs` are the vectors of the words to be told; `chances` those of drawing each word."""

    outputs: Table
    chances: Float[Tensor, "words"]
    negatives: int
    shared: int

    @classmethod
    def of(cls, vocabulary: Vocabulary, d: int, negatives: int, shared: int) -> NegativeSampling:
        counts = torch.tensor(vocabulary.counts, dtype=torch.float64) ** POWER
        return cls(Table.zeros(len(vocabulary), d), (counts / counts.sum()).float(), negatives, shared)

    def draw(self, blocks: int, generator: torch.Generator) -> Int[Tensor, "blocks shared"]:
        """The negatives of each block."""
        return torch.multinomial(self.chances, blocks * self.shared, replacement=True, generator=generator).reshape(blocks, self.shared)

    def pairs(
        self,
        known: Float[Tensor, "blocks known d"],
        told: Int[Tensor, "blocks told"],
        weights: Float[Tensor, "blocks known told"],
        generator: torch.Generator,
    ) -> tuple[float, Float[Tensor, "blocks known d"], Changes]:
        """Loss, gradient of `known`, and those of the outputs; `weights` says how often a pair counts."""
        return self.against(known, told, weights, self.draw(len(known), generator))

    def against(
        self,
        known: Float[Tensor, "blocks known d"],
        told: Int[Tensor, "blocks told"],
        weights: Float[Tensor, "blocks known told"],
        drawn: Int[Tensor, "blocks shared"],
    ) -> tuple[float, Float[Tensor, "blocks known d"], Changes]:
        """The same with given negatives."""
        y, y_drawn = self.outputs[told], self.outputs[drawn]
        scores, low = known @ y.mT, known @ y_drawn.mT
        share = weights.sum(-1, keepdim=True) * (self.negatives / self.shared)
        loss = -(weights * torch.nn.functional.logsigmoid(scores)).sum() - (share * torch.nn.functional.logsigmoid(-low)).sum()
        of_scores, of_low = weights * (scores.sigmoid() - 1), share * low.sigmoid()
        gradient = of_scores @ y + of_low @ y_drawn
        return float(loss), gradient, ((told, of_scores.mT @ known), (drawn, of_low.mT @ known))

    def learn(self, changes: Changes, lr: float) -> None:
        """One step for all told and drawn words together."""
        ids = torch.cat([ids.flatten() for ids, _ in changes])
        gradients = torch.cat([gradient.reshape(-1, gradient.shape[-1]) for _, gradient in changes])
        self.outputs.learn(ids, gradients, lr)
