"""Hierarchical softmax: a word is told by the turns on the way from the root of a Huffman tree to its leaf (Morin and Bengio 2005; Mikolov
et al. 2013): log2(words) decisions in place of a softmax over all words.

loss = - sum over the nodes n of the word's path of log s(sign_n x . y_n).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from isinglass.embedding.static.corpus import Vocabulary
from isinglass.embedding.static.table import Changes, Table


def huffman(counts: Sequence[int]) -> list[list[tuple[int, int]]]:
    """For each word the (inner node, sign) of its path from the root: frequent words have short paths (Huffman 1952).

    >>> [len(path) for path in huffman([8, 4, 2, 1])]
    [1, 2, 3, 3]
    """
    n = len(counts)
    heap: list[tuple[int, int]] = [(count, word) for word, count in enumerate(counts)]
    heapq.heapify(heap)
    parent: dict[int, tuple[int, int]] = {}
    for node in range(n, 2 * n - 1):
        (low, left), (high, right) = heapq.heappop(heap), heapq.heappop(heap)
        parent[left], parent[right] = (node, 1), (node, -1)
        heapq.heappush(heap, (low + high, node))
    paths = []
    for word in range(n):
        path, at = [], word
        while at in parent:
            node, sign = parent[at]
            path.append((node - n, sign))
            at = node
        paths.append(path[::-1])
    return paths


@dataclass(eq=False)
class HierarchicalSoftmax:
    """`nodes [words, longest]` and `signs` (0 behind the end of a path) of each word; `outputs` the vectors of the inner nodes."""

    outputs: Table
    nodes: Int[Tensor, "words longest"]
    signs: Float[Tensor, "words longest"]

    @classmethod
    def of(cls, vocabulary: Vocabulary, d: int) -> HierarchicalSoftmax:
        paths = huffman(vocabulary.counts)
        nodes, signs = torch.zeros(len(paths), max(map(len, paths)), dtype=torch.long), torch.zeros(len(paths), max(map(len, paths)))
        for word, path in enumerate(paths):
            nodes[word, : len(path)] = torch.tensor([node for node, _ in path])
            signs[word, : len(path)] = torch.tensor([float(sign) for _, sign in path])
        return cls(Table.zeros(len(paths) - 1, d), nodes, signs)

    def pairs(
        self,
        known: Float[Tensor, "blocks known d"],
        told: Int[Tensor, "blocks told"],
        weights: Float[Tensor, "blocks known told"],
        generator: torch.Generator,
    ) -> tuple[float, Float[Tensor, "blocks known d"], Changes]:
        """Loss, gradient of `known`, and those of the outputs; `weights` says how often a pair counts. Nothing is drawn here."""
        nodes, signs = self.nodes[told], self.signs[told]  # [blocks, told, longest]
        y = self.outputs[nodes]
        scores = torch.einsum("bkd,btld->bktl", known, y) * signs[:, None]
        counts = weights[..., None] * (signs != 0)[:, None]
        loss = -(counts * torch.nn.functional.logsigmoid(scores)).sum()
        of_scores = counts * (scores.sigmoid() - 1) * signs[:, None]
        gradient = torch.einsum("bktl,btld->bkd", of_scores, y)
        return float(loss), gradient, ((nodes, torch.einsum("bktl,bkd->btld", of_scores, known)),)

    def each(
        self,
        known: Float[Tensor, "blocks known d"],
        told: Int[Tensor, "blocks known"],
        weights: Float[Tensor, "blocks known"],
        generator: torch.Generator,
    ) -> tuple[float, Float[Tensor, "blocks known d"], Changes]:
        """`pairs` where each known vector tells one word: a block for each."""
        single, words, counts = known.flatten(0, 1)[:, None], told.flatten()[:, None], weights.flatten()[:, None, None]
        loss, gradient, changes = self.pairs(single, words, counts, generator)
        return loss, gradient.reshape(known.shape), changes

    def learn(self, changes: Changes, lr: float) -> None:
        """One step for the nodes of all paths."""
        for nodes, gradients in changes:
            self.outputs.learn(nodes, gradients, lr)
