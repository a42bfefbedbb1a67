"""Overlap with a reference: values worked out by hand, the formula written out, and what must hold for any texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isinglass.metrics.overlap import chrf, f_score, word_f1

TEXTS = st.text("abc ", max_size=12)


def test_chrf_by_hand() -> None:
    """abcd beside abce: 3 of 4 single characters, 2 of 3 pairs (ab, bc), 1 of 2 triples (abc), 0 of 1 of four; beta drops out as P = R."""
    assert chrf("abcd", "abce") == pytest.approx((3 / 4 + 2 / 3 + 1 / 2 + 0) / 4)


def test_recall_counts_more() -> None:
    """ab beside abab: pairs and single characters of ab are all right (P = 1), R is 2 of 4 and 1 of 3; F2 = 5 P R / (4 P + R)."""
    recall = (2 / 4 + 1 / 3) / 2
    assert chrf("ab", "abab") == pytest.approx(5 * recall / (4 + recall))
    assert chrf("abab", "ab") == pytest.approx(5 * recall / (4 * recall + 1)) and chrf("abab", "ab") > chrf("ab", "abab")


def test_white_space_does_not_count_and_case_does() -> None:
    assert chrf("a b\nc", "abc") == 1.0
    assert chrf("ABC", "abc") == 0.0


def test_nothing_has_no_overlap() -> None:
    assert chrf("", "") == chrf("", "abc") == chrf("abc", " ") == 0.0


def naive_chrf(text: str, reference: str) -> float:
    ours, theirs = text.replace(" ", ""), reference.replace(" ", "")
    precisions, recalls = [], []
    for n in range(1, 7):
        mine = [ours[i : i + n] for i in range(len(ours) - n + 1)]
        wanted = [theirs[i : i + n] for i in range(len(theirs) - n + 1)]
        if mine and wanted:
            left, shared = list(wanted), 0
            for run in mine:
                if run in left:
                    left.remove(run)
                    shared += 1
            precisions.append(shared / len(mine))
            recalls.append(shared / len(wanted))
    if not precisions:
        return 0.0
    p, r = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    return 5 * p * r / (4 * p + r) if p + r else 0.0


@given(TEXTS, TEXTS)
def test_chrf_is_its_formula(text: str, reference: str) -> None:
    assert chrf(text, reference) == pytest.approx(naive_chrf(text, reference))


@given(TEXTS.filter(str.strip))
def test_a_text_is_like_itself(text: str) -> None:
    assert chrf(text, text) == word_f1(text, text) == 1.0


@given(TEXTS, TEXTS)
def test_shares_and_symmetry(text: str, reference: str) -> None:
    assert 0 <= chrf(text, reference) <= 1
    assert word_f1(text, reference) == pytest.approx(word_f1(reference, text))


def test_word_f1_by_hand() -> None:
    """the cat, the: 2 of 3 words are right (the twice), 2 of 4 were found."""
    assert word_f1("The cat the", "the dog sees the") == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert word_f1("", "") == 1.0 and word_f1("a", "") == 0.0


def test_f_score_by_hand() -> None:
    assert f_score(0.5, 1.0, 1.0) == pytest.approx(2 / 3)
    assert f_score(0.0, 0.0, 2.0) == 0.0
