"""`train_tokenizer`: options, streams, errors, round trips."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, TokenizerError, VariantError
from isinglass.text.algorithms.word import Word
from isinglass.text.trainer import PiecesLearned, TextRead, Trained
from isinglass.text.trainers import family
from isinglass.text.training import train_tokenizer, training_tokenizer

TEXTS = ["The quick brown fox jumps over the lazy dog.", "the lazier dogs jumped quickly", "foxes, dogs and 42 hens"] * 3


def test_options_are_arguments_of_the_expression_too() -> None:
    written = train_tokenizer("wordpiece(score='frequency', special=['[UNK]'])", TEXTS, vocab_size=80)
    given_as_options = train_tokenizer("wordpiece", TEXTS, vocab_size=80, score="frequency", special=["[UNK]"])
    built = train_tokenizer(family.resolve("wordpiece(score='frequency', special=['[UNK]'])"), TEXTS, vocab_size=80)
    overridden = train_tokenizer("wordpiece(score='likelihood', special=['[UNK]'])", TEXTS, vocab_size=80, score="frequency")
    assert written.fingerprint == given_as_options.fingerprint == built.fingerprint == overridden.fingerprint
    assert ig.train_tokenizer is train_tokenizer


@pytest.mark.parametrize("algorithm", family.names())
def test_training_is_deterministic_and_reads_texts_once(algorithm: str) -> None:
    once = train_tokenizer(algorithm, iter(TEXTS))
    assert once.fingerprint == train_tokenizer(algorithm, TEXTS).fingerprint
    assert once.tokens("dogs") and once.name == algorithm


@pytest.mark.parametrize(
    "algorithm", ["bpe", "wordpiece", "wordpiece(score='frequency')", "unigram", "character", "word", "bpe(unit='character')"]
)
def test_the_largest_possible_vocabulary_is_told_and_possible(algorithm: str) -> None:
    with pytest.raises(ConfigError, match=r"vocab_size = 100000 is too large for this corpus: the largest possible is \d+ \(") as caught:
        train_tokenizer(algorithm, TEXTS, vocab_size=100_000)
    largest = int(caught.value.hint.removeprefix("vocab_size=").partition(",")[0])
    assert caught.value.hint == f"vocab_size={largest}, or more text"
    assert train_tokenizer(algorithm, TEXTS, vocab_size=largest).vocab_size == largest
    assert train_tokenizer(algorithm, TEXTS).vocab_size == largest
    with pytest.raises(ConfigError, match="too large"):
        train_tokenizer(algorithm, TEXTS, vocab_size=largest + 1)


@pytest.mark.parametrize("size", range(50, 86, 5))
@pytest.mark.parametrize("algorithm", ["unigram", "wordpiece", "bpe(unit='character')"])
def test_the_vocabulary_is_as_large_as_asked(algorithm: str, size: int) -> None:
    assert train_tokenizer(algorithm, TEXTS, vocab_size=size).vocab_size == size


@pytest.mark.parametrize(
    ("algorithm", "size", "told"),
    [
        ("bpe", 255, "vocab_size = 255 is too small: special tokens and the alphabet take 256"),
        ("byte", 200, "vocab_size = 200 is too small: special tokens and the 256 bytes take 256"),
        ("byte", 300, "vocab_size = 300 is too large for this corpus: the largest possible is 256 (there are 256 bytes)"),
        ("character", 1, "vocab_size = 1 is too small: special tokens and one character take 2"),
        ("word(min_frequency=5)", 100, "the largest possible is 3 (2 words occur at least 5 times)"),
        ("unigram", 5, "vocab_size = 5 is too small: special tokens and the characters take 35"),
        ("bpe(min_frequency=3)", 1000, "no pair of pieces is left that occurs 3 times"),
        ("bpe", 0, "vocab_size = 0: expected at least 1"),
        ("bpe(special=('a', 'a'))", 300, "special = ['a', 'a']: 'a' is given twice"),
    ],
)
def test_impossible_vocabularies(algorithm: str, size: int, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train_tokenizer(algorithm, TEXTS, vocab_size=size)
    assert told in str(caught.value)


@pytest.mark.parametrize("algorithm", ["byte", "bpe", "bpe(unit='character')", "character", "wordpiece", "unigram"])
def test_a_special_token_is_no_character(algorithm: str) -> None:
    with pytest.raises(ConfigError, match=r"special = \[.*'f'\]: 'f' is also a piece of the alphabet") as caught:
        train_tokenizer(algorithm, TEXTS, special=["f"])
    assert caught.value.hint == "call it '<f>'"


def test_texts_that_are_none() -> None:
    with pytest.raises(DataError, match="texts is one str of length 5: expected a list of texts") as caught:
        train_tokenizer("bpe", "hello")
    assert caught.value.hint == "train_tokenizer(algorithm, [text])"
    with pytest.raises(DataError, match="texts: item 1 is int 7: expected str"):
        train_tokenizer("bpe", ["a", 7])  # type: ignore[list-item]
    with pytest.raises(DataError, match="nothing to train on: 2 texts with 3 characters hold no word"):
        train_tokenizer("word", [" ", "\n "])


def test_unknown_names() -> None:
    with pytest.raises(VariantError, match="unknown trainer 'bpee' in algorithm") as caught:
        train_tokenizer("bpee", TEXTS)
    assert "did you mean 'bpe'?" in caught.value.hint
    with pytest.raises(VariantError, match="got an unexpected keyword argument 'patern'"):
        train_tokenizer("bpe", TEXTS, patern="gpt2")
    with pytest.raises(VariantError, match="wordpiece: score = 'likely': Input should be 'likelihood' or 'frequency'"):
        train_tokenizer("wordpiece", TEXTS, score="likely")
    with pytest.raises(ConfigError, match=r"unknown pattern 'gpt3' in bpe\(pattern=...\)"):
        train_tokenizer("bpe", TEXTS, pattern="gpt3")
    with pytest.raises(TokenizerError, match=r"pattern '\(' of the vocabulary cannot be read: missing \)"):
        train_tokenizer("bpe", TEXTS, pattern="(")
    with pytest.raises(ConfigError, match=r"options \['score'\] belong to the trainer, which is made already"):
        train_tokenizer(family.resolve("wordpiece"), TEXTS, score="frequency")


def test_progress_is_a_loop_that_may_be_left() -> None:
    events = list(training_tokenizer("bpe", TEXTS, vocab_size=270))
    assert events[0] == TextRead(sum(map(len, TEXTS)))
    assert [event.done for event in events if isinstance(event, PiecesLearned)] == list(range(257, 271))
    assert isinstance(events[-1], Trained) and events[-1].tokenizer.vocab_size == 270
    started = training_tokenizer("bpe", itertools.repeat("endless text"))
    assert isinstance(next(started), TextRead)
    started.close()  # type: ignore[attr-defined] # a generator


def test_unigram_progress_ends_at_its_total() -> None:
    passes = [event for event in training_tokenizer("unigram", TEXTS, vocab_size=40) if isinstance(event, PiecesLearned)]
    assert passes[-1].done == passes[-1].total == len(passes)


def test_memory_does_not_grow_with_the_corpus() -> None:
    """Ten times the text with the same words takes no more memory."""

    def stream(n: int) -> Iterator[str]:
        return (f"word{at % 500} and other words" for at in range(n))

    def peak(n: int) -> int:
        tracemalloc.start()
        train_tokenizer("bpe", stream(n), vocab_size=300)
        result = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return result

    assert peak(20_000) < 1.2 * peak(2_000)


def test_halves_of_surrogate_pairs_are_trained_on_as_replacement_characters() -> None:
    tokenizer = train_tokenizer("character", ["a\ud800b"])
    assert tokenizer.decode(tokenizer.encode("a\ud800")) == "a\ufffd"
    assert train_tokenizer("bpe", ["a\ud800b"], vocab_size=258).vocab_size == 258


def test_a_word_vocabulary_without_its_unknown_token() -> None:
    algorithm = Word({"the": 0})
    assert algorithm.encode("the") == (0,)
    assert algorithm.unknown_ids == frozenset()
    with pytest.raises(TokenizerError, match="word 'cat' is not in the vocabulary, and neither is the unknown token '<unk>'"):
        algorithm.encode("cat")


def test_special_tokens_come_first_and_end_texts() -> None:
    tokenizer = train_tokenizer("bpe", TEXTS, vocab_size=300, special=["<s>", "</s>"])
    assert tokenizer.special == {"<s>": 0, "</s>": 1}
    assert (tokenizer.bos_id, tokenizer.eos_id) == (0, 1)
    assert tokenizer.encode("<s>the") != tokenizer.encode("<s>the", special="parse")
    bert = train_tokenizer("wordpiece", TEXTS, vocab_size=80)
    ids = bert.encode("dogs", pair="foxes", add_special=True)
    assert [ids[0], ids[-1]] == [bert.special["[CLS]"], bert.special["[SEP]"]]


BYTE_LEVEL = [train_tokenizer("byte", []), train_tokenizer("bpe", TEXTS, vocab_size=300), train_tokenizer("bpe(pattern='o200k')", TEXTS)]


@settings(derandomize=True, deadline=None)
@given(st.text())
def test_byte_level_round_trip_of_any_text(text: str) -> None:
    for tokenizer in BYTE_LEVEL:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.count(text) == len(ids)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text(min_size=1), min_size=1, max_size=5))
def test_character_units_bring_back_what_they_were_trained_on(texts: list[str]) -> None:
    for algorithm in ("character", "bpe(unit='character', pattern='(?s:.+)')"):
        tokenizer = train_tokenizer(algorithm, texts)
        assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == texts


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.text(alphabet="abc \n,é", min_size=1), min_size=1, max_size=5))
def test_words_after_spaces_come_back(texts: list[str]) -> None:
    """`▁` in front of a text is one space, so a text that begins with one loses it."""
    for algorithm in ("bpe(unit='character')", "unigram"):
        tokenizer = train_tokenizer(algorithm, texts)
        assert [tokenizer.decode(tokenizer.encode(text)) for text in texts] == [text.removeprefix(" ") for text in texts]


def test_merging_8192_times_takes_seconds() -> None:
    """1.1 MB with as many distinct words as prose has; 3 s of processor time is what it may take (measured: 1)."""
    words = ("".join(letters) for letters in itertools.product("bdfgklmnprstvz", "aeiou", "bdfgklmnprstvz", "aeiou", "nrst"))
    known = list(itertools.islice(words, 0, None, 2))
    text = " ".join(known[at * at % len(known)] + known[at * 7919 % len(known)][: at % 5] for at in range(170_000))
    assert 1_000_000 < len(text) < 1_400_000
    began = time.process_time()
    tokenizer = train_tokenizer("bpe", [text], vocab_size=256 + 8192)
    assert time.process_time() - began < 3
    assert tokenizer.vocab_size == 8448
