import math

import pytest

from isinglass.metrics.diversity import bleu, distinct, repetition, self_bleu


def test_distinct_counts_different_pairs_by_hand():
    # pairs of "a b a b c": ab ba ab bc -> 3 different of 4
    assert distinct([1, 2, 1, 2, 3], 2) == 3 / 4
    assert distinct([7, 7, 7, 7], 1) == 1 / 4
    assert distinct([1, 2, 3], 2) == 1.0


def test_a_text_too_short_repeats_nothing():
    assert distinct([5], 2) == 1.0
    assert distinct([], 1) == 1.0


def test_repetition_is_what_was_there_before():
    # runs of 4: abca bcab cabc abca -> the last was there
    assert repetition([1, 2, 3, 1, 2, 3, 1]) == 1 / 4
    assert repetition([5] * 9) == 5 / 6
    assert repetition([1, 2, 3]) == 0.0


def test_bleu_of_papineni_by_hand():
    """Example 2 of the paper's section 2.1: "the" seven times against two references; a run counts as often as one reference has it."""
    the, cat, mat, on, there, a, is_ = range(7)
    references = [[the, cat, is_, on, the, mat], [there, is_, a, cat, on, the, mat]]
    assert bleu([the] * 7, references, n=1) == pytest.approx(2 / 7)


def test_bleu_by_hand():
    # against 1 2 3 4 5: words 4/5, pairs 3/4 (12 23 34), of equal length
    assert bleu([1, 2, 3, 4, 9], [[1, 2, 3, 4, 5]], n=2) == pytest.approx(math.sqrt(4 / 5 * 3 / 4))
    # shorter than its reference: exp(1 - 5/3)
    assert bleu([1, 2, 3], [[1, 2, 3, 4, 5]], n=2) == pytest.approx(math.exp(1 - 5 / 3))
    # no pair matches: it counts as 0.1 of one of the two
    assert bleu([1, 3, 5], [[1, 2, 3, 4, 5]], n=2) == pytest.approx(math.sqrt(1 * 0.1 / 2) * math.exp(1 - 5 / 3))
    assert bleu([7, 8], [[1, 2]]) == 0.0
    assert bleu([], [[1, 2]]) == 0.0
    assert bleu([4], [[4]]) == 1.0


def test_self_bleu_is_the_mean_over_the_texts():
    alike, other = [1, 2, 3, 4, 5], [6, 7, 8, 9]
    assert self_bleu([alike, alike, alike]) == pytest.approx(1.0)
    assert self_bleu([alike, other]) == 0.0
    assert self_bleu([alike, alike, other]) == pytest.approx(2 / 3)
    assert self_bleu([alike]) is None
