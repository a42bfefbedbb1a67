"""Training gives what the published trainers give: ids of Hugging Face `tokenizers`, the likelihood of `sentencepiece`."""

from __future__ import annotations

import io
import math
import random
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from given_pieces import given_pieces
from tokenizers import models, normalizers, pre_tokenizers, trainers

from isinglass.assets.find import find
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.learning.expectation import Weighed
from isinglass.text.learning.lattice import Lattice
from isinglass.text.learning.substrings import Spelling, candidates
from isinglass.text.load import tokenizer as load
from isinglass.text.tokenizer import Tokenizer
from isinglass.text.trainers.unigram import SEEDS
from isinglass.text.training import train_tokenizer


@cache
def corpus(n_characters: int) -> list[str]:
    """Lines from the middle of the King James Version, which is mostly ASCII, with everything that stands there."""
    text = find("kjv").read_text("utf-8")
    return text[1_000_000 : 1_000_000 + n_characters].split("\n")


def huggingface_bpe(texts: list[str], vocab_size: int, special: list[str]) -> tokenizers.Tokenizer:
    theirs = tokenizers.Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    theirs.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False, initial_alphabet=alphabet, special_tokens=special)
    )
    return theirs


def vocabulary(ours: Tokenizer) -> dict[str, int]:
    return {ours.piece(id): id for id in range(ours.vocab_size)}


def test_byte_level_bpe_equals_huggingface_on_1_mb_at_8192() -> None:
    lines = corpus(1_000_000)
    theirs = huggingface_bpe(lines, 8192, ["<|endoftext|>"])
    ours = train_tokenizer("bpe", iter(lines), vocab_size=8192, special=["<|endoftext|>"])
    assert vocabulary(ours) == theirs.get_vocab()
    assert [ours.encode(line) for line in lines] == [encoding.ids for encoding in theirs.encode_batch(lines)]


def test_byte_level_bpe_equals_huggingface_on_random_corpora() -> None:
    """Few letters and runs, so that the same piece is made in several ways and counts tie."""
    for seed in range(60):
        rng = random.Random(seed)
        letters = "abcé"[: rng.randint(1, 4)]
        texts = [" ".join("".join(rng.choices(letters, k=rng.randint(1, 12))) for _ in range(rng.randint(1, 20))) for _ in range(3)]
        most = huggingface_bpe(texts, 10_000, []).get_vocab_size()
        size = rng.randint(256, most)
        theirs, ours = huggingface_bpe(texts, size, []), train_tokenizer("bpe", texts, vocab_size=size)
        assert vocabulary(ours) == theirs.get_vocab(), seed
        assert ours.encode(texts[0][::-1]) == theirs.encode(texts[0][::-1]).ids, seed


def test_frequency_wordpiece_equals_huggingface_on_1_mb_at_8192() -> None:
    """Their marked characters are numbered as a hash map of the day has them, and their ties follow from that: so we are told this order."""
    lines = corpus(1_000_000)
    theirs = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    theirs.normalizer = normalizers.BertNormalizer(lowercase=True)
    theirs.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    theirs.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=8192, show_progress=False, special_tokens=special))
    by_id = sorted(theirs.get_vocab(), key=theirs.get_vocab().__getitem__)
    alphabet = [piece for piece in by_id if len(piece.removeprefix("##")) == 1]
    ours = train_tokenizer("wordpiece(score='frequency', case='lowered')", lines, vocab_size=8192, alphabet=alphabet)
    assert vocabulary(ours) == theirs.get_vocab()
    assert [ours.encode(line) for line in lines] == [encoding.ids for encoding in theirs.encode_batch(lines, add_special_tokens=False)]


SIZE = 2000


@cache
def unigram_words() -> Counter[str]:
    return Counter(f"▁{word}" for line in corpus(300_000) for word in line.split())


@cache
def unigram_seeds() -> dict[str, int]:
    """The substrings our trainer begins with, and how often they occur."""
    found = candidates(Spelling.of(unigram_words()), most=SEEDS)
    return dict(zip(found.pieces(), map(int, found.frequency), strict=True))


def sentence_seeds() -> dict[str, int]:
    """As sentencepiece looks for them: in whole sentences, where only another character, or the end of the sentence, ends a word."""
    sentences = "".join("".join(f"▁{word}" for word in line.split()) + "\n" for line in corpus(300_000) if line.strip())
    found = candidates(Spelling.of({sentences: 1}), most=SEEDS)
    seeds = dict(zip(found.pieces(), map(int, found.frequency), strict=True))
    return {piece: frequency for piece, frequency in seeds.items() if "▁" not in piece[1:] and "\n" not in piece}


def sentencepiece_unigram(seeds_file: str = "") -> dict[str, float]:
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(" ".join(line.split()) for line in corpus(300_000) if line.strip()),
        model_writer=model,
        vocab_size=SIZE,
        model_type="unigram",
        normalization_rule_name="identity",
        character_coverage=1.0,
        split_by_unicode_script=False,
        split_by_number=False,
        num_threads=1,
        minloglevel=2,
        max_sentence_length=1_000_000,
        seed_sentencepieces_file=seeds_file,
    )
    theirs = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return {theirs.id_to_piece(id): theirs.get_score(id) for id in range(3, SIZE)}


def our_unigram() -> dict[str, float]:
    ours = train_tokenizer("unigram", corpus(300_000), vocab_size=SIZE)
    assert isinstance(ours.algorithm, Unigram)
    return {piece: ours.algorithm.scores[id] for piece, id in ours.algorithm.vocab.items() if id >= 3}


def test_unigram_learns_what_sentencepiece_learns_from_the_same_seeds(tmp_path: Path) -> None:
    """Our seeds for both: the losses of the 1,997 learned pieces are within 1 %, before and after both are weighed anew."""
    file = tmp_path / "seeds.tsv"
    file.write_text("".join(f"{piece}\t{frequency}\n" for piece, frequency in unigram_seeds().items() if len(piece) > 1), encoding="utf-8")
    ours, theirs = our_unigram(), sentencepiece_unigram(str(file))
    assert len(ours) == len(theirs) == SIZE - 3
    assert len(ours.keys() & theirs.keys()) >= 0.94 * len(ours)  # measured: 0.942
    assert fitted_loss(ours) == pytest.approx(fitted_loss(theirs), rel=0.01)  # measured: -0.6 %
    assert loss(ours) == pytest.approx(
        loss(theirs), rel=0.011
    )  # measured: -1.01 %, of which 0.3 as they do not weigh again after the last cut


def test_unigram_learns_what_sentencepiece_learns_from_the_seeds_of_sentences() -> None:
    """Its own kind of seeds for both."""
    weighed = Weighed(given_pieces(unigram_words(), sentence_seeds()))
    assert list(weighed.shrinking(SIZE - 3))
    ours, theirs = dict(zip(weighed.candidates.pieces(), weighed.scores.tolist(), strict=True)), sentencepiece_unigram()
    assert len(ours.keys() & theirs.keys()) >= 0.97 * len(ours)  # measured: 0.971
    assert fitted_loss(ours) == pytest.approx(fitted_loss(theirs), rel=0.01)  # measured: -0.7 %


def test_unigram_fits_better_than_sentencepiece_by_words_before_a_space() -> None:
    """Each with its own seeds: ours, which end where words end, have words that are always followed by a space; its own do not."""
    ours, theirs = our_unigram(), sentencepiece_unigram()
    assert len(ours) == len(theirs) == SIZE - 3
    assert 0.905 < fitted_loss(ours) / fitted_loss(theirs) < 0.92  # measured: 0.912
    lost = unigram_seeds().keys() - sentence_seeds().keys()
    assert "▁unto" in lost  # 770 times in this text
    assert not theirs.keys() & lost
    assert len((ours.keys() - theirs.keys()) & lost) > 0.85 * len(ours.keys() - theirs.keys())  # measured: 0.855


def fitted_loss(scores: dict[str, float]) -> float:
    """The loss of the pieces at their best scores: ten passes of plain expectation maximisation."""
    found = given_pieces(unigram_words(), scores)
    lattice, fitted = Lattice(found), np.array([*scores.values()])
    for _ in range(10):
        expected, _ = lattice.expected_counts(fitted)
        fitted = np.log(np.maximum(expected, 1e-9) / expected.sum())
    return loss(dict(zip(scores, fitted.tolist(), strict=True)))


def loss(scores: dict[str, float]) -> float:
    """The negative log-likelihood of all words over all cuts (full marginal), by the forward algorithm, word by word; scores are
    normalised first, so that none gains by adding up to more than 1."""
    total = math.log(sum(map(math.exp, scores.values())))
    result = 0.0
    for word, count in unigram_words().items():
        so_far = [1.0] + [0.0] * len(word)
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - 16), end):
                score = scores.get(word[start:end])
                if score is not None:
                    so_far[end] += so_far[start] * math.exp(score - total)
        result -= count * math.log(so_far[-1])
    return result


ALGORITHMS = [
    "character",
    "word",
    "word(spaces='kept')",
    "byte",
    "byte(special=('<pad>', '</s>'))",
    "bpe",
    "bpe(special=('<|endoftext|>',), pattern='cl100k')",
    "bpe(unit='character')",
    "bpe(unit='character', pattern='\\\\S+|\\\\s+', ties='shortest')",
    "wordpiece",
    "wordpiece(score='frequency', case='lowered')",
    "unigram",
]
STRANGE = "To be, or not to be: that  is the\n question — 𝕏 naïve <unk> [UNK] </s> ##s ▁x <|endoftext|>\tMoses' law\n\n  end. "


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_saved_tokenizers_load_in_tokenizers_and_again_here(algorithm: str, tmp_path: Path) -> None:
    lines = corpus(20_000)
    sizes = {"bpe": 400, "wordpiece": 300, "unigram": 300}
    ours = train_tokenizer(algorithm, lines, vocab_size=sizes.get(algorithm.partition("(")[0]))
    theirs = tokenizers.Tokenizer.from_file(str(ours.save(tmp_path)))
    again = load(tmp_path)
    assert again.fingerprint == ours.fingerprint
    assert type(again.algorithm) is type(ours.algorithm)
    for text in [*lines[:100], STRANGE]:
        ids = ours.encode(text, special="parse")
        assert ids == theirs.encode(text, add_special_tokens=False).ids == again.encode(text, special="parse")
        assert ours.encode(text, add_special=True, special="parse") == theirs.encode(text).ids
        assert [token.id for token in ours.tokens(text, special="parse")] == ids
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False) == again.decode(ids)


def test_a_word_level_file_of_tokenizers_is_read(tmp_path: Path) -> None:
    theirs = tokenizers.Tokenizer(models.WordLevel(unk_token="[UNK]"))
    theirs.pre_tokenizer = pre_tokenizers.Whitespace()
    theirs.train_from_iterator(["the cat, the dog"], trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False))
    theirs.save(str(tmp_path / "tokenizer.json"))
    ours = load(tmp_path)
    text = "the bird, the dog"
    assert ours.encode(text) == theirs.encode(text).ids
    assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text).ids, skip_special_tokens=False) == "the [UNK] , the dog"
