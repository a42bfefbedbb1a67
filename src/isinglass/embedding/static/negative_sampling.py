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
from isinglass.embedding.static.table import Change, Changes, Table

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
        y = self.outputs[told]
        scores = known @ y.mT
        of_scores = weights * (scores.sigmoid() - 1)
        low, gradient, change = self._low(known, weights.sum(-1), drawn)
        loss = low - (weights * torch.nn.functional.logsigmoid(scores)).sum()
        return float(loss), gradient.baddbmm_(of_scores, y), ((told, of_scores.mT @ known), change)

    def each(
        self,
        known: Float[Tensor, "blocks known d"],
        told: Int[Tensor, "blocks known"],
        weights: Float[Tensor, "blocks known"],
        generator: torch.Generator,
    ) -> tuple[float, Float[Tensor, "blocks known d"], Changes]:
        """`pairs` where each known vector tells one word: the diagonal alone is computed."""
        y = self.outputs[told]
        scores = (known * y).sum(-1)
        of_scores = (weights * (scores.sigmoid() - 1))[..., None]
        low, gradient, change = self._low(known, weights, self.draw(len(known), generator))
        loss = low - (weights * torch.nn.functional.logsigmoid(scores)).sum()
        return float(loss), gradient.addcmul_(of_scores, y), ((told, of_scores * known), change)

    def _low(self, known: Tensor, counts: Float[Tensor, "blocks known"], drawn: Tensor) -> tuple[Tensor, Tensor, Change]:
        """What drawn words add to loss and gradients, where each known vector counts so often."""
        y = self.outputs[drawn]
        scores = known @ y.mT
        share = counts[..., None] * (self.negatives / self.shared)
        of_scores = share * scores.sigmoid()
        loss = (share * torch.nn.functional.softplus(scores)).sum()
        return loss, of_scores @ y, (drawn, of_scores.mT @ known)

    def learn(self, changes: Changes, lr: float) -> None:
        """One step for all told and drawn words together."""
        ids = torch.cat([ids.flatten() for ids, _ in changes])
        gradients = torch.cat([gradient.reshape(-1, gradient.shape[-1]) for _, gradient in changes])
        self.outputs.learn(ids, gradients, lr)
