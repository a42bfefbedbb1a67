"""Learning merges: the incremental trainer takes the same steps as one that counts everything anew."""

from __future__ import annotations

import random
from typing import get_args

import pytest
from naive_training import joined, train

from isinglass.text.learning.merges import MostFrequent, MostLikely, Pieces, Ties, grown
from isinglass.text.learning.pairs import Pairs, pair, sides

ORDERS = {"frequency": MostFrequent, "likelihood": MostLikely}


def learned(words: dict[tuple[str, ...], int], *, score: str, ties: Ties, size: int) -> tuple[list[str], list[tuple[str, str]]]:
    pieces = Pieces(sorted({piece for word in words for piece in word}), joined)
    pairs = Pairs(([pieces.ids[piece] for piece in word], count) for word, count in words.items())
    list(grown(pieces, pairs, ORDERS[score](pairs, pieces, ties), size))
    return pieces.by_id, list(pieces.merges())


def random_words(rng: random.Random) -> dict[tuple[str, ...], int]:
    """Few letters, so that pairs overlap, tie, and spell the same piece in several ways."""
    letters = "abcd"[: rng.randint(1, 4)]
    marked = rng.random() < 0.5
    words = ["".join(rng.choices(letters, k=rng.randint(1, 9))) for _ in range(rng.randint(1, 8))]
    return {
        tuple(letter if at == 0 or not marked else f"##{letter}" for at, letter in enumerate(word)): rng.randint(1, 4) for word in words
    }


@pytest.mark.parametrize("score", ORDERS)
def test_incremental_equals_naive_on_1000_random_corpora(score: str) -> None:
    for seed in range(1000):
        rng = random.Random(seed)
        ties = rng.choice(get_args(Ties))
        words = random_words(rng)
        size = rng.randint(1, 40)
        assert learned(words, score=score, ties=ties, size=size) == train(words, score=score, ties=ties, size=size), (seed, words, size)


def test_counts_are_unbounded() -> None:
    huge = 10**30
    pairs = Pairs([([0, 1, 0, 1], huge), ([1, 0], 1)])
    pairs.join(pair(0, 1), 2)
    assert pairs.counts[pair(2, 2)] == huge
    assert pairs.counts[pair(1, 0)] == 1
    assert pairs.symbol_counts == {0: 1, 1: 1, 2: 2 * huge}


def test_a_pair_may_overlap_itself() -> None:
    pairs = Pairs([([0] * 5, 3)])
    assert pairs.counts[pair(0, 0)] == 12
    grown_pairs = pairs.join(pair(0, 0), 1)
    assert {sides(each): pairs.counts[each] for each in grown_pairs} == {(1, 1): 3, (1, 0): 3}
    assert list(pairs.words()) == [[1, 1, 0]]


def test_special_tokens_are_never_made_of_text() -> None:
    pieces = Pieces("<>s", lambda left, right: left + right, forbidden=("<s>",))
    pairs = Pairs([([0, 2, 1], 9)])
    list(grown(pieces, pairs, MostFrequent(pairs, pieces, "lowest_ids"), None))
    assert "<s>" not in pieces.ids
    assert len(pieces) == 4
