"""The linear forms of encoding give what their definitions give; n-best cuts are what brute force and SentencePiece find."""

from __future__ import annotations

import math
import random
import time
from itertools import pairwise

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from random_text import random_text, tied_text

from isinglass.assets.find import find
from isinglass.core.errors import ConfigError
from isinglass.text.algorithms import bpe, wordpiece
from isinglass.text.algorithms.bpe import ByPair, ByPiece, ByteBpe, CharacterBpe, NoToken, OneToken
from isinglass.text.algorithms.linear_bpe import LinearBpe
from isinglass.text.algorithms.max_match import MaxMatch
from isinglass.text.algorithms.merging import NEVER, merge_by_heap, merge_by_scan, merge_steps
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.algorithms.unigram_nbest import best_cuts
from isinglass.text.algorithms.wordpiece import WordPiece

FIXED = settings(deadline=None, max_examples=200, database=None)
BYTE_LEVEL = ("gpt2", "cl100k_base", "o200k_base", "smollm2")


def linear(ranks):
    return LinearBpe(ranks.made(), ranks.rank)


@FIXED
@given(st.text("abc", max_size=60), st.dictionaries(st.text("abc", min_size=2, max_size=5), st.integers(0, 9), max_size=14))
def test_any_ranks_by_piece(text, ranks):
    """Ties, pieces that nothing makes, merges that come before those of their parts: the result is that of merging."""
    by_piece = ByPiece(ranks)
    assert linear(by_piece).cut(text) == merge_by_scan(list(text), by_piece.rank)


PARTS = st.text("ab", min_size=1, max_size=3)


@FIXED
@given(st.text("ab", max_size=40), st.dictionaries(st.tuples(PARTS, PARTS), st.integers(0, 12), max_size=14))
def test_any_ranks_by_pair(text, ranks):
    by_pair = ByPair(ranks)
    assert linear(by_pair).cut(text) == merge_by_scan(list(text), by_pair.rank)


def test_by_hand():
    """The example of the `bpe` crate: the longest piece is not always right, and one step back is."""
    pieces = ["a", "b", "c", "ab", "cb", "ac", "bb", "cbb", "acbb"]
    ranks = ByPiece({piece: rank for rank, piece in enumerate(pieces)})
    assert linear(ranks).cut("abacb") == ["ab", "a", "cb"]
    assert linear(ranks).cut("abacbb") == ["ab", "acbb"]
    assert linear(ranks).cut("") == [] and linear(ranks).cut("x") == ["x"]


def test_which_pieces_are_regular():
    ranks = ByPiece({"bc": 3, "abc": 1, "cd": 2, "de": 0, "cde": 5})
    made = linear(ranks).made
    assert made("abc") == (1, "a", "bc", False)  # merged before its part bc could have been, were ranks times
    assert made("cde") == (5, "c", "de", True)
    assert linear(ByPiece({"ab": 0, "bc": 1, "abcd": 2})).made("abcd") is None
    assert linear(ranks).cut("abcde") == merge_by_scan(list("abcde"), ranks.rank)


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_published_vocabularies_are_regular(name, tokenizer):
    """The condition under which undoing merges tells what crosses a border; every fiftieth piece, and the longest."""
    algorithm = tokenizer(name).algorithm
    pieces = [piece for at, piece in enumerate(algorithm.vocab) if at % 50 == 0 or len(piece) > 20]
    made = [algorithm._linear.made(piece) for piece in pieces]
    assert len(made) > 900 and all(one is not None and one.regular for one in made)


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_published_vocabularies_are_cut_alike(name, tokenizer):
    algorithm, source = tokenizer(name).algorithm, random.Random(11)
    pieces = list(algorithm.vocab)
    texts = [random_text(source, longest=20).encode() for _ in range(60)] + [tied_text(source).encode() for _ in range(20)]
    texts += [b"".join(source.choices(pieces, k=30)) for _ in range(60)]
    texts += [bytes(source.choices(letters, k=300)) for letters in (b"ab", b"etaoin ", bytes(range(256))) for _ in range(10)]
    for raw in texts:
        assert algorithm._linear.cut(raw) == merge_by_heap([raw[at : at + 1] for at in range(len(raw))], algorithm.ranks.rank)


@pytest.mark.parametrize("name", ["gpt2", "cl100k_base", "mistral-v1"])
def test_long_pretokens_take_the_linear_way(name, tokenizer, monkeypatch):
    tok, source = tokenizer(name), random.Random(12)
    texts = ["".join(source.choices(letters, k=bpe.VERY_LONG + 50)) for letters in ("a", "ab", "aeinst", "图书馆早上九点", "🙂é")]
    quick = [tok.algorithm.place(text) for text in texts]
    monkeypatch.setattr(bpe, "VERY_LONG", 1 << 30)
    assert quick == [tok.algorithm.place(text) for text in texts]


def test_a_byte_or_character_outside_of_the_vocabulary(monkeypatch):
    monkeypatch.setattr(bpe, "VERY_LONG", 0)
    ranks = ByPiece({"ab": 2})
    assert CharacterBpe({"a": 0, "b": 1, "ab": 2}, ranks, OneToken(9)).place("xyaba") == [(9, 0, 2), (2, 2, 4), (0, 4, 5)]
    assert ByteBpe({b"a": 0, b"ab": 2}, ByPiece({b"ab": 2}), whole=None).encode("abba") == (2, 0)


class Counting(LinearBpe):
    """Counts what encoding is made of: places visited, and pieces tried there."""

    steps = 0

    def _longest_at(self, text, at):
        self.steps += 1
        return super()._longest_at(text, at)

    def made(self, piece):
        self.steps += 1
        return super().made(piece)


@pytest.mark.parametrize("letters", [b"a", b"ab", b"etaoinshr", bytes(range(256))])
def test_the_work_grows_with_the_text(letters, tokenizer):
    """Counted, not timed: four times the text is four times the steps, and there are few of them for each byte."""
    ranks, source = tokenizer("gpt2").algorithm.ranks, random.Random(13)
    raw, counting, steps = bytes(source.choices(letters, k=8_000)), Counting(ranks.made(), ranks.rank), []
    counting.cut(raw)  # derives its pieces
    for size in (2_000, 8_000):
        counting.steps = 0
        counting._pairs.clear()
        counting.cut(raw[:size])
        steps.append(counting.steps)
    assert steps[1] < 4.4 * steps[0] and steps[1] < 20 * len(raw)


def test_a_megabyte_of_one_letter(tokenizer):
    for name in ("gpt2", "cl100k_base", "o200k_base", "bert-base-uncased"):
        tok = tokenizer(name)
        began = time.process_time()
        ids = tok.encode("a" * 1_000_000)
        assert time.process_time() - began < 10
        assert ids == [100] if name == "bert-base-uncased" else tok.decode(ids) == "a" * 1_000_000


@FIXED
@given(
    st.text("abc", max_size=30),
    st.sets(st.text("abc", min_size=1, max_size=6), max_size=12),
    st.sets(st.text("abc", min_size=1, max_size=6), max_size=12),
)
def test_max_match_is_greedy(word, starts, continues):
    vocab = {piece: id for id, piece in enumerate(["[UNK]", *sorted(starts), *sorted("##" + piece for piece in continues)])}
    algorithm = WordPiece(vocab)
    greedy = algorithm.greedy(word)
    whole = greedy if sum(end - start for _, start, end in greedy) == len(word) else None
    assert MaxMatch(algorithm._starts, algorithm._continues).match(word) == whole


def test_max_match_on_berts_vocabulary(tokenizer, monkeypatch):
    algorithm, source = tokenizer("bert-base-uncased").algorithm, random.Random(14)
    pieces = [piece.removeprefix("##") for piece in algorithm.vocab]
    words = ["".join(source.choices(pieces, k=source.randint(1, 6)))[:100] for _ in range(1500)]
    words += ["".join(source.choices("etaoins", k=source.randint(1, 99))) for _ in range(500)]
    slices = [algorithm.place(word) for word in words if len(word) <= wordpiece.LONG]
    monkeypatch.setattr(wordpiece, "LONG", 0)
    assert slices == [algorithm.place(word) for word in words if len(word) <= 64]
    long = WordPiece(algorithm.vocab, longest_word=10_000)
    word = "".join(source.choices("etaoins", k=10_000))
    assert long.place(word) == long.greedy(word)


def every_cut(pieces, word, unknown):
    """All cuts, as (score, pieces); a character that is no piece costs `unknown`."""
    if not word:
        return [(0.0, [])]
    firsts = {word[:end]: pieces[word[:end]] for end in range(1, len(word) + 1) if word[:end] in pieces}
    firsts = firsts if word[0] in firsts else {**firsts, word[0]: unknown}
    return [
        (score + rest, [first, *cut]) for first, score in firsts.items() for rest, cut in every_cut(pieces, word[len(first) :], unknown)
    ]


@FIXED
@given(
    st.text("abcx", max_size=7),
    st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(-300_000, -1).map(lambda n: n / 7919), min_size=1, max_size=10),
    st.integers(1, 9),
)
def test_best_cuts_are_those_of_brute_force(word, pieces, count):
    vocab = {"<unk>": 0, **{piece: id for id, piece in enumerate(pieces, 1)}}
    algorithm = Unigram(vocab, [0.0, *pieces.values()], OneToken(0), apart=["<unk>"])
    cuts = best_cuts(algorithm, word, count)
    expected = sorted(every_cut(pieces, word, min(pieces.values()) - 10), key=lambda cut: -cut[0])
    assert [cut.score for cut in cuts] == pytest.approx([score for score, _ in expected[:count]])
    total = math.fsum(math.exp(score - expected[0][0]) for score, _ in expected)
    assert [cut.probability for cut in cuts] == pytest.approx([math.exp(cut.score - expected[0][0]) / total for cut in cuts])
    spelled = [[word[start:end] for _, start, end in cut.pieces] for cut in cuts]
    assert all(pieces in [cut for _, cut in expected] for pieces in spelled) and len({tuple(cut) for cut in spelled}) == len(cuts)
    assert algorithm.fused(word, cuts[0].pieces) == algorithm.place(word)


def test_best_cuts_are_sentencepieces(tokenizer):
    """The same cuts in the same order, as long as no two have nearly the same score (SentencePiece adds in float32)."""
    algorithm = tokenizer("t5").algorithm
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(find("t5")))
    compared = 0
    for text in ("Hello world", "unbelievable", "tokenization of stoves", "The library opens at nine", "Bücher 1250", "xylophone ☃ z"):
        cuts = best_cuts(algorithm, "▁" + text.replace(" ", "▁"), 12)
        theirs = oracle.nbest_encode_as_ids(text, 12)
        apart = [a.score - b.score > 1e-3 for a, b in pairwise(cuts)]
        sure = apart.index(False) if False in apart else len(cuts) - 1
        for cut, ids in zip(cuts[:sure], theirs, strict=False):
            assert [id for id, _, _ in algorithm.fused("▁" + text.replace(" ", "▁"), cut.pieces)] == ids
            compared += 1
    assert compared > 40


def test_a_count_of_none_is_refused():
    algorithm = Unigram({"a": 0}, [0.0], NoToken())
    with pytest.raises(ConfigError, match="the number of best cuts is 0: expected at least 1"):
        best_cuts(algorithm, "a", 0)


@FIXED
@given(st.text("abc", max_size=30), st.dictionaries(st.text("abc", min_size=2, max_size=4), st.integers(0, 9), max_size=10))
def test_steps_lead_to_the_result(text, ranks):
    symbols = list(text)
    for step in merge_steps(list(text), ByPiece(ranks).rank):
        assert symbols[step.at : step.at + 2] == [step.left, step.right] and step.rank == ranks[step.left + step.right] < NEVER
        symbols[step.at : step.at + 2] = [step.left + step.right]
    assert symbols == merge_by_scan(list(text), ByPiece(ranks).rank)
