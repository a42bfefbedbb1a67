from isinglass.metrics.diversity import distinct


def test_distinct_counts_different_pairs_by_hand():
    # pairs of "a b a b c": ab ba ab bc -> 3 different of 4
    assert distinct([1, 2, 1, 2, 3], 2) == 3 / 4
    assert distinct([7, 7, 7, 7], 1) == 1 / 4
    assert distinct([1, 2, 3], 2) == 1.0


def test_a_text_too_short_repeats_nothing():
    assert distinct([5], 2) == 1.0
    assert distinct([], 1) == 1.0
