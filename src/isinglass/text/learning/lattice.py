"""All ways to cut all words into pieces, at once: sums over them, and the best of them.

A node is a position of the text of distinct words, an edge a piece that stands there. Edges are sorted by how far from the start of its
word they end, so that one numpy step carries every word one character further: as many steps as the longest word has characters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from isinglass.text.learning.substrings import Candidates, Floats, Ints


class Step(NamedTuple):
    """Edges `first:last` meet in `nodes`: those of the k-th node begin at `starts[k]` (counted from `first`), and are `sizes[k]`."""

    first: int
    last: int
    nodes: Ints
    starts: Ints
    sizes: Ints


@dataclass(frozen=True)
class Edges:
    """Edges in the order of a walk: `piece` leads from node `origin` to the node where the step meets."""

    origin: Ints
    piece: Ints
    steps: list[Step]


class Lattice:
    """The lattice of candidates over their own words. Scores are log-probabilities, "piece"."""

    def __init__(self, candidates: Candidates) -> None:
        spelling = candidates.spelling
        start, length = np.nonzero(candidates.standing >= 0)
        piece = candidates.standing[start, length].astype(np.int64)
        end = start + length + 1
        self._n_pieces = len(candidates.place)
        self._offset, self._word, self.counts = spelling.offset, spelling.word, spelling.counts
        self._starts = np.flatnonzero(spelling.offset == 0)
        self._ends = np.append(self._starts[1:], len(spelling.offset)) - 1
        self._onward = _walk(start, end, piece, spelling.offset[end])
        self._backward = _walk(end, start, piece, -spelling.offset[start])

    def expected_counts(self, scores: Floats) -> tuple[Floats, float]:
        """How often each piece occurs over all ways to cut the words, by their probability; and the negative log-likelihood of all words
        (the full marginal, in nats)."""
        before = self._sums(self._onward, self._starts, scores)
        after = self._sums(self._backward, self._ends, scores)
        total = before[self._ends]
        edges = self._backward
        here = np.concatenate([np.repeat(step.nodes, step.sizes) for step in edges.steps])
        words = self._word[here]
        share = np.exp(before[here] + scores[edges.piece] + after[edges.origin] - total[words])
        expected = np.bincount(edges.piece, share * self.counts[words], self._n_pieces).astype(float)
        return expected, -float(self.counts @ total)

    def best_counts(self, scores: Floats) -> Floats:
        """How often each piece occurs in the best cut (Viterbi) of every word."""
        edges = self._onward
        last = self._last_edges(scores)
        found = np.zeros(self._n_pieces)
        nodes, weights = self._ends, self.counts
        while len(nodes):
            edge = last[nodes]
            found += np.bincount(edges.piece[edge], weights, self._n_pieces)
            nodes = edges.origin[edge]
            inside = self._offset[nodes] > 0
            nodes, weights = nodes[inside], weights[inside]
        return found

    def _sums(self, edges: Edges, sources: Ints, scores: Floats) -> Floats:
        """The log of the summed probability of all ways from the sources to each node."""
        so_far = np.full(len(self._offset), -np.inf)
        so_far[sources] = 0.0
        for step in edges.steps:
            values = so_far[edges.origin[step.first : step.last]] + scores[edges.piece[step.first : step.last]]
            most = np.maximum.reduceat(values, step.starts)
            so_far[step.nodes] = most + np.log(np.add.reduceat(np.exp(values - np.repeat(most, step.sizes)), step.starts))
        return so_far

    def _last_edges(self, scores: Floats) -> Ints:
        """The last edge of the best way to each node; of equally good ones the longer piece."""
        edges = self._onward
        best, last = np.zeros(len(self._offset)), np.zeros(len(self._offset), np.int64)
        for step in edges.steps:
            values = best[edges.origin[step.first : step.last]] + scores[edges.piece[step.first : step.last]]
            most = np.maximum.reduceat(values, step.starts)
            places = np.where(values == np.repeat(most, step.sizes), np.arange(step.first, step.last), len(edges.piece))
            best[step.nodes], last[step.nodes] = most, np.minimum.reduceat(places, step.starts)
        return last


def _walk(origin: Ints, goal: Ints, piece: Ints, distance: Ints) -> Edges:
    """Edges sorted by distance, then by the node they lead to."""
    order = np.lexsort((origin, goal, distance))
    origin, goal, piece, distance = origin[order], goal[order], piece[order], distance[order]
    node_starts = np.flatnonzero(np.diff(goal, prepend=-1))
    sizes = np.diff(node_starts, append=len(goal))
    step_bounds = np.append(np.flatnonzero(np.diff(distance[node_starts], prepend=np.iinfo(np.int64).min)), len(node_starts))
    steps = []
    for low, high in zip(step_bounds[:-1].tolist(), step_bounds[1:].tolist(), strict=True):
        first = int(node_starts[low])
        last = int(node_starts[high]) if high < len(node_starts) else len(goal)
        steps.append(Step(first, last, goal[node_starts[low:high]], node_starts[low:high] - first, sizes[low:high]))
    return Edges(origin, piece, steps)
