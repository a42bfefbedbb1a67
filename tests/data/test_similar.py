"""Equal and similar texts: MinHash beside exact Jaccard, clusters beside all pairs, and what the steps say of each copy."""

from __future__ import annotations

import random
import time
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError
from isinglass.data.similar import HASHES, bands, clusters, fingerprint, jaccard, shingles, signatures
from isinglass.data.sources import read
from isinglass.data.step import CorpusStep, Item, Passed, Refused, Verdict
from isinglass.data.steps import family


def sift(expression: str, texts: list[str]) -> list[Verdict]:
    step = family.resolve(expression)
    assert isinstance(step, CorpusStep)
    return list(step.sift(Item(f"line {n}", text) for n, text in enumerate(texts, start=1)))


def test_fingerprints_see_through_spacing_and_unicode_forms():
    assert fingerprint("cafe\u0301  au\nlait ") == fingerprint("café au lait")
    assert fingerprint("a") != fingerprint("A")


def test_shingles_and_jaccard_by_hand():
    assert shingles("The cat, the CAT sat", 2) == {"the cat", "cat the", "cat sat"}
    assert shingles("one two", 5) == {"one two"} and shingles("?!", 5) == frozenset()
    assert jaccard(frozenset("abc"), frozenset("bcd")) == 0.5
    assert jaccard(frozenset(), frozenset()) == 0.0


@given(st.integers(1, 400), st.integers(0, 400), st.integers(0, 400), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_minhash_agrees_with_jaccard(common, only_a, only_b, seed):
    """The share of equal hashes is the Jaccard similarity within five standard errors of sampling."""
    names = [f"{seed} {n}" for n in range(common + only_a + only_b)]
    a, b = frozenset(names[: common + only_a]), frozenset(names[:common] + names[common + only_a :])
    exact = jaccard(a, b)
    estimate = float((lambda rows: (rows[0] == rows[1]).mean())(signatures(iter([a, b]))))
    assert abs(estimate - exact) <= 5 * (exact * (1 - exact) / HASHES) ** 0.5 + 1 / HASHES


def test_minhash_is_not_biased():
    """Over many pairs of similarity 1/3 the mean lies within three standard errors."""
    sets = [frozenset(f"{pair} {n}" for n in range(50 * side, 100 + 50 * side)) for pair in range(300) for side in (0, 1)]
    rows = signatures(iter(sets))
    mean = float((rows[0::2] == rows[1::2]).mean())
    assert abs(mean - 1 / 3) < 3 * (2 / 9 / HASHES / 300) ** 0.5


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0])
def test_bands_find_a_pair_at_the_threshold(threshold):
    n_bands, rows = bands(threshold)
    assert n_bands * rows <= HASHES
    assert 1 - (1 - threshold**rows) ** n_bands >= 0.99


def by_all_pairs(texts: list[str], threshold: float, size: int) -> tuple[int, ...]:
    """Clusters the slow way: every pair, then the smallest member of each connected part."""
    sets = [shingles(text, size) for text in texts]
    first = list(range(len(texts)))
    for a, b in combinations(range(len(texts)), 2):
        if jaccard(sets[a], sets[b]) >= threshold:
            low, high = sorted((first[a], first[b]))
            first = [low if one == high else one for one in first]
    return tuple(first)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_clusters_are_those_of_all_pairs(seed):
    """Copies with a few changed words, near the threshold and far from it."""
    draw = random.Random(seed)
    originals = [[f"w{draw.randrange(500)}" for _ in range(draw.randrange(30, 60))] for _ in range(6)]
    texts = []
    for _ in range(30):
        words = list(draw.choice(originals))
        for _ in range(draw.choice([0, 0, 1, 2, 5])):
            words[draw.randrange(len(words))] = "changed"
        texts.append(" ".join(words))
    assert clusters(texts, threshold=0.7, shingle=2).first == by_all_pairs(texts, 0.7, 2)


def test_verses_of_the_bible_are_clustered_as_by_all_pairs():
    texts = [record.text for record in read("kjv")][2400:3000]  # the law, which repeats itself
    found = clusters(texts, threshold=0.6, shingle=3)
    assert found.first == by_all_pairs(texts, 0.6, 3)
    assert len(set(found.first)) < len(texts)
    for match in found.matches:
        assert match.similarity == jaccard(shingles(texts[match.first], 3), shingles(texts[match.second], 3)) >= 0.6


def test_many_copies_and_many_texts_of_one_template_take_no_longer_than_others():
    draw = random.Random(0)
    template = [f"t{n}" for n in range(60)]
    texts = ["the same text again and again and again"] * 20_000
    texts += [" ".join([*template, *(f"w{draw.randrange(9999)}" for _ in range(30))]) for _ in range(1000)]
    began = time.process_time()
    found = clusters(texts)
    assert time.process_time() - began < 20
    assert set(found.first[:20_000]) == {0}


def test_exact_duplicates_keep_the_first_and_name_it():
    assert sift("exact_duplicates", ["a b", "c", "a  b\n", "a b"]) == [
        Passed("a b"),
        Passed("c"),
        Refused("exact_duplicates", "same as line 1"),
        Refused("exact_duplicates", "same as line 1"),
    ]


def test_near_duplicates_keep_one_of_each_cluster_and_name_the_match():
    words = [f"word{n}" for n in range(40)]
    a, b, c = " ".join(words), " ".join([*words, "more"]), " ".join([*words, "more", "words"])
    verdicts = sift("near_duplicates(threshold=0.96, shingle=2)", [a, "another text", c, b])
    # a and c are too far apart; b, which comes last, links them
    assert verdicts == [
        Passed(a),
        Passed("another text"),
        Refused("near_duplicates", "linked by others to line 1"),
        Refused("near_duplicates", "similarity 0.975 to line 1"),
    ]
    chain = sift("near_duplicates(threshold=0.96, shingle=2)", [a, b, c])
    assert chain[2] == Refused("near_duplicates", "similarity 0.976 to line 2, in the cluster of line 1")


def test_texts_without_words_are_no_duplicates_of_each_other():
    assert sift("near_duplicates", ["!!!", "???"]) == [Passed("!!!"), Passed("???")]


@pytest.mark.parametrize("threshold", [0, 0.05, 1.01])
def test_a_threshold_out_of_range(threshold):
    with pytest.raises(ConfigError, match=rf"threshold = {threshold}, expected 0.1 to 1"):
        clusters(["a"], threshold=threshold)


def test_repeated_lines():
    pages = [f"My Site\nHome | About\n\nText number {n}.\nMore\n\n(c) My Site" for n in range(6)]
    verdicts = sift("repeated_lines", [*pages, "My Site", "A page of its own\nwith My Site in it\nand an end"])
    assert verdicts[:6] == [Passed(f"Text number {n}.", ("repeated_lines.removed",)) for n in range(6)]
    assert verdicts[6] == Refused("repeated_lines.empty", "only 'My Site' and the like")
    assert verdicts[7] == Passed("A page of its own\nwith My Site in it\nand an end")
    # four texts are too few to say, and a line that few texts share stays
    assert sift("repeated_lines", pages[:4]) == [Passed(page) for page in pages[:4]]
    assert sift("repeated_lines(share=1.0)", [*pages, "x\ny"])[0] == Passed(pages[0])
