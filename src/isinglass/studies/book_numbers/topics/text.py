"""Text: the short story of chapter 2, counted in characters, words and tokens, and a BPE learned from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from isinglass.studies.book_numbers.number import Number, Value
from isinglass.text.decoders import Joined
from isinglass.text.load import tokenizer
from isinglass.text.pretokenize import Matches
from isinglass.text.tokenizer import Stages, Tokenizer
from isinglass.text.trainers.word import WordTrainer
from isinglass.text.training import train_tokenizer
from isinglass.training.dataset import records_of

STORY = "the-verdict.txt"
SIGNS = r",.:;?_!\"()'"
WORDS = rf"--|[{SIGNS}]|(?:(?!--)[^{SIGNS}\s])+"  # two dashes, one of the signs, or what stands between them
SENTENCE = "Jack embraced beauty through art and life."
IDS = [74, 361, 310, 109, 98, 420, 397, 100, 300, 428, 116, 121, 519, 699, 299, 808, 534]
MERGES = 742
FIRST = 258  # the book's first 258 ids: 256 characters, the sign for a space, the end of text


def numbers() -> list[Number]:
    """Chapter 2; the supplement trains its BPE on words that only white space ends."""
    split = "src/isinglass/text/trainers/word.py"
    train = f"isinglass tokens train {STORY} --vocab-size 1000 --out book-bpe"
    alphabet = "our alphabet is 256 bytes; the book's holds one more sign, for the space"
    encoding = "the same merges; ours are applied in the order they were learned (Sennrich 2016), the book's from left to right"
    return [
        _of_story("characters", 20_479, lambda path: len(story(path)), f"isinglass data show {STORY}"),
        _of_story("words and signs", 4_690, n_words, split),
        _of_story("different ones", 1_130, lambda path: words(path).vocab_size - 2, split),
        _of_story("different ones, with two special tokens", 1_132, lambda path: words(path).vocab_size, split),
        _of_story("GPT-2 tokens", 5_145, lambda path: tokenizer("gpt2").count(story(path)), "isinglass tokens show gpt2"),
        _of_story("merges of a BPE with 1,000 tokens", MERGES, n_merges, train, alphabet),
        _of_story("what our merges write for the published ids of a sentence", SENTENCE, spelled, train, "same merges, numbered alike"),
        _of_story("ids of that sentence", IDS, ids, train, encoding),
    ]


def _of_story(what: str, theirs: Value, measure: Callable[[Path], Value], shown_by: str, note: str = "") -> Number:
    return Number(chapter="2", what=f"{STORY}: {what}", theirs=theirs, measure=measure, shown_by=shown_by, note=note, file=STORY)


def story(path: Path) -> str:
    return records_of(path)[0].text


def words(path: Path) -> Tokenizer:
    """The vocabulary of words and signs, with the book's two special tokens."""
    trainer = WordTrainer(
        decoder=Joined(),
        unknown="<|unk|>",
        min_frequency=1,
        special=("<|unk|>", "<|endoftext|>"),
        pretokenizers=Stages.same(Matches(WORDS)),
    )
    return train_tokenizer(trainer, [story(path)])


def n_words(path: Path) -> int:
    return words(path).count(story(path))


def n_merges(path: Path) -> int:
    """Of our byte-level BPE with the end-of-text token."""
    trained = train_tokenizer("bpe", [story(path)], vocab_size=1000, special=("<|endoftext|>",))
    return sum(len(piece) > 1 for piece in trained.algorithm.vocab)


def merges(path: Path) -> Tokenizer:
    """As many merges of characters, ties to the pair that stands first, as in the book."""
    text = story(path)
    size = MERGES + len(set(text)) + 1  # and the unknown token
    return train_tokenizer("bpe", [text], vocab_size=size, unit="character", pattern=r" ?\S+|\s", ties="first_seen")


def renumbered(trained: Tokenizer) -> dict[str, int]:
    """The book's ids: a character has its code point, and merges follow."""
    vocab = trained.algorithm.vocab
    first = len(vocab) - MERGES
    written = {str(piece): id for piece, id in vocab.items()}  # pieces of characters are text
    return {piece: ord(piece) if len(piece) == 1 else id - first + FIRST for piece, id in written.items() if len(piece) == 1 or id >= first}


def ids(path: Path) -> Value:
    trained = merges(path)
    numbers = renumbered(trained)
    return [numbers[token.piece] for token in trained.tokens(SENTENCE)]


def spelled(path: Path) -> str:
    pieces = {id: piece for piece, id in renumbered(merges(path)).items()}
    return "".join(pieces[id] for id in IDS)
