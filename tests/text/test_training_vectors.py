"""Training gives the worked examples of papers, courses and other projects' tests."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pytest
from given_pieces import given_pieces

from isinglass.text.algorithms.bpe import OneToken
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.byte_level import BYTE_ORDER
from isinglass.text.learning.expectation import Weighed
from isinglass.text.learning.lattice import Lattice
from isinglass.text.learning.merges import MostLikely, Pieces
from isinglass.text.learning.pairs import Pairs, pair
from isinglass.text.learning.substrings import Candidates, Spelling, candidates
from isinglass.text.learning.words import Words
from isinglass.text.tokenizer import Tokenizer
from isinglass.text.trainers.wordpiece import joined, symbols
from isinglass.text.training import train_tokenizer

COURSE = [
    "This is the Hugging Face Course.",
    "This chapter is about tokenization.",
    "This section shows several tokenizer algorithms.",
    "Hopefully, you will be able to understand how they are trained and generate tokens.",
]
WHOLE = r"(?s:.+)"
WORDS = r"\S+"


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    return [token.piece for token in tokenizer.tokens(text)]


def learned(tokenizer: Tokenizer, first: int) -> list[str]:
    """The pieces in the order they were learned, from an id on."""
    return [tokenizer.piece(id) for id in range(first, tokenizer.vocab_size)]


@pytest.mark.parametrize("ties", ["lowest_ids", "first_seen"])
def test_wikipedia_example(ties: str) -> None:
    tokenizer = train_tokenizer("bpe", ["aaabdaaabac"], vocab_size=259, pattern=WHOLE, ties=ties)
    as_minbpe = [id if id >= 256 else BYTE_ORDER[id] for id in tokenizer.encode("aaabdaaabac")]
    assert as_minbpe == [258, 100, 258, 97, 99]


def test_huggingface_trainer_example() -> None:
    text = "roses are are red voilets blue BERT is is big and so GPT-2"
    tokenizer = train_tokenizer("bpe", [text], unit="character", pattern=WORDS, min_frequency=2)
    assert learned(tokenizer, 1) == [*"-2BEGPRTabdegilnorstuv", "re", "are", "is"]


def test_course_bpe() -> None:
    tokenizer = train_tokenizer("bpe", COURSE, vocab_size=256 + 19, ties="first_seen")
    expected = "Ġt is er Ġa Ġto en Th This ou se Ġtok Ġtoken nd Ġis Ġth Ġthe in Ġab Ġtokeni"
    assert learned(tokenizer, 256) == expected.split()
    assert pieces(tokenizer, "This is not a token.") == ["This", "Ġis", "Ġ", "n", "o", "t", "Ġa", "Ġtoken", "."]


@pytest.mark.parametrize(
    ("word", "merges"),
    # SentencePiece goes on with pairs that no longer occur; up to there the order is the same.
    [("abracadabra", "ab ra abra ad cad abracad abracadabra"), ("hellohe", "he ll llo hello hellohe")],
)
def test_sentencepiece_bpe(word: str, merges: str) -> None:
    tokenizer = train_tokenizer("bpe(unit='character', ties='shortest')", [word], pattern=WORDS)
    assert learned(tokenizer, 1 + len(set(word))) == merges.split()


def test_course_wordpiece() -> None:
    tokenizer = train_tokenizer("wordpiece", COURSE, vocab_size=70, ties="first_seen")
    expected = """
        [PAD] [UNK] [CLS] [SEP] [MASK] ##a ##b ##c ##d ##e ##f ##g ##h ##i ##k ##l ##m ##n ##o ##p ##r ##s ##t ##u ##v ##w ##y ##z , . C F H
        T a b c g h i s t u w y ab ##fu Fa Fac ##ct ##ful ##full ##fully Th ch ##hm cha chap chapt ##thm Hu Hug Hugg sh th is ##thms ##za
        ##zat ##ut"""
    assert learned(tokenizer, 0) == expected.split()
    assert pieces(tokenizer, "Hugging") == ["Hugg", "##i", "##n", "##g"]
    assert pieces(tokenizer, "HOgging") == ["[UNK]"]


def likelihoods(words: dict[str, int]) -> tuple[MostLikely, Pieces[str]]:
    alphabet = Pieces[str](sorted({symbol for word in words for symbol in symbols(word)}), joined)
    pairs = Pairs(([alphabet.ids[symbol] for symbol in symbols(word)], count) for word, count in words.items())
    return MostLikely(pairs, alphabet, "lowest_ids"), alphabet


def test_course_pair_scores() -> None:
    words: dict[str, int] = {}
    for word in " ".join(COURSE).replace(".", " .").replace(",", " ,").split():
        words[word] = words.get(word, 0) + 1
    order, alphabet = likelihoods(words)
    scores = {("T", "##h"): 0.125, ("##h", "##i"): 0.03409090909090909, ("i", "##s"): 0.1, ("a", "##b"): 0.2}
    for (left, right), score in scores.items():
        key = order.key(pair(alphabet.ids[left], alphabet.ids[right]))
        assert key is not None
        assert -key[0] == score


def test_course_toy_wordpiece_joins_gs_first() -> None:
    order, alphabet = likelihoods({"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5})
    best = min(filter(None, map(order.key, order.pairs.counts)))
    assert best[-1] == pair(alphabet.ids["##g"], alphabet.ids["##s"])
    assert -best[0] == 1 / 20


TOY = {"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
TOY_PIECES = dict(h=15, u=36, g=20, hu=15, ug=20, p=17, pu=17, n=16, un=16, b=4, bu=4, s=5, hug=15, gs=5, ugs=5)


def best_loss(words: Mapping[str, int], frequency: Mapping[str, int], of: int) -> tuple[float, float]:
    """What the best cuts of all words cost, in nats, where a piece has the probability frequency / of; and how many pieces they have."""
    scores = np.log(np.array([*frequency.values()]) / of)
    best = Lattice(given_pieces(words, frequency)).best_counts(scores)
    return -float(best @ scores), float(best.sum())


def test_course_unigram_toy() -> None:
    loss, n_pieces = best_loss(TOY, TOY_PIECES, 210)
    assert sum(TOY_PIECES.values()) == 210
    assert loss == pytest.approx(169.8, abs=0.05)
    assert n_pieces == 10 + 2 * (5 + 12 + 4 + 5)  # "hug" is one piece, all other words are two
    without = {piece: frequency for piece, frequency in TOY_PIECES.items() if piece != "hug"}
    assert best_loss(TOY, without, 210)[0] - loss == pytest.approx(23.5, abs=0.05)
    without = {piece: frequency for piece, frequency in TOY_PIECES.items() if piece != "pu"}
    assert best_loss(TOY, without, 210)[0] == pytest.approx(loss)


def test_course_unhug() -> None:
    vocab = {piece: id for id, piece in enumerate(["?", *TOY_PIECES])}
    algorithm = Unigram(vocab, [0.0, *(math.log(frequency / 210) for frequency in TOY_PIECES.values())], OneToken(0), apart=["?"])
    ids = algorithm.encode("unhug")
    assert [list(vocab)[id] for id in ids] == ["un", "hug"]
    assert math.exp(sum(algorithm.scores[id] for id in ids)) == pytest.approx(0.005442, abs=5e-7)


def test_course_unigram_loss_of_its_corpus() -> None:
    """All characters, and the most frequent of all substrings (of equal ones the first seen), 300 in all.

    The course's 413.1 is too high by 1 for each of the 31 words: its sums of logarithms begin at 1, the neutral element of products.
    """
    words = Counter("▁" + word for text in COURSE for word in text.split())
    characters: Counter[str] = Counter()
    substrings: Counter[str] = Counter()
    for word, count in words.items():
        for start, end in itertools.combinations(range(len(word) + 1), 2):
            (characters if end - start == 1 else substrings)[word[start:end]] += count
    frequency = dict(characters) | dict(substrings.most_common(300 - len(characters)))
    loss, _ = best_loss(words, frequency, sum(frequency.values()))
    assert words.total() == 31
    assert loss + 31 == pytest.approx(413.1037764, abs=1e-6)


def test_huggingface_seeds() -> None:
    """A seed counts as often as it occurs times its length, 26 in all."""
    weighed = Weighed(candidates(Spelling.of({"This is a": 1, "こんにちは友達": 1}), most=1000))
    expected = dict.fromkeys("si ", 2) | dict.fromkeys("Thaこんにちは友達", 1) | {"is ": 6, "s ": 4}
    scores = dict(zip(weighed.candidates.pieces(), weighed.scores.tolist(), strict=True))
    assert scores == pytest.approx({piece: math.log(covered / 26) for piece, covered in expected.items()})


PEN = {"magnanimity": 5, "Pineapple": 6, "i have an apple and a pen": 1, "Overly": 6, "Available": 3}


def shrunk(candidates: Candidates, size: int) -> str:
    weighed = Weighed(candidates)
    assert list(weighed.shrinking(size))
    return " ".join(sorted(weighed.candidates.pieces()))


def pen_words() -> Counter[str]:
    words: Counter[str] = Counter()
    for sentence, count in PEN.items():
        words.update(dict.fromkeys(sentence.replace(" ", " ▁").split(), count))
    return words


def test_sentencepiece_unigram_as_its_test_was() -> None:
    """27 seeds: a sentence counted once there, and as often as it occurs afterwards."""
    found = candidates(Spelling.of({sentence.replace(" ", "▁"): 1 for sentence in PEN}), most=1000)
    seeds = {piece: frequency for piece, frequency in zip(found.pieces(), found.frequency, strict=True) if "▁" not in piece[1:]}
    assert len(seeds) == 27
    words = pen_words()
    counts = Words(words).characters()
    final = "A O P a an apple b d e g h i l le m n p r t v ve y ▁ ▁an"
    assert shrunk(given_pieces(words, seeds | counts), len(final.split())) == final


def test_sentencepiece_unigram_of_0_2_3() -> None:
    """53 seeds: now a sentence counts as often as it occurs from the beginning, as here."""
    found = candidates(Spelling.of(pen_words()), most=1000)
    assert len(found.pieces()) == 53
    final = "A Available O Overly P Pineapple a b d e g h i l m magnanimity n p r t v y ▁ ▁an"
    assert shrunk(found, len(final.split())) == final


def test_huggingface_word_level_order() -> None:
    counts = dict(the=25, roses=22, are=24, voilets=10, blue=16, red=12)
    text = " ".join(word for word, count in counts.items() for _ in range(count))
    tokenizer = train_tokenizer("word", [text], vocab_size=6)
    assert learned(tokenizer, 1) == ["the", "are", "roses", "blue", "red"]


def test_marginal_by_hand() -> None:
    """Two ways to cut "ab": one piece, or two."""
    lattice = Lattice(given_pieces({"ab": 2}, {"a": 1, "b": 1, "ab": 1}))
    expected, loss = lattice.expected_counts(np.log([0.5, 0.2, 0.3]))
    assert loss == pytest.approx(-2 * math.log(0.1 + 0.3))
    assert expected == pytest.approx([2 * 0.25, 2 * 0.25, 2 * 0.75])
