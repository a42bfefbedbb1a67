"""Random strings against tiktoken, sentencepiece and tokenizers: the ids must be equal, the places must be right."""

from __future__ import annotations

import random
from itertools import islice
from typing import Any

import pytest
import regex
import sentencepiece
import tiktoken
import tokenizers
from random_text import random_text, tied_text

from isinglass.assets.find import find
from isinglass.text.charsmap import Charsmap, GraphemeCharsmap
from isinglass.text.formats import tokenizer_json_read

from .conftest import rank_pattern

MARKS = regex.compile(r"[\p{M}\p{Cf}]")
BYTE_LEVEL = ("gpt2", "r50k_base", "p50k_base", "cl100k_base", "o200k_base", "llama3", "tekken")


def differences(ours, theirs, count: int, most: int = 3, make=random_text) -> list[tuple[str, Any, Any]]:
    """The first strings, of `count` random ones, that two encoders do not agree on."""
    source = random.Random(20_240_601)
    texts = (make(source) for _ in range(count))
    return list(islice(((text, mine, other) for text in texts if (mine := ours(text)) != (other := theirs(text))), most))


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_tiktoken(name, tokenizer, fuzz_count):
    tok = tokenizer(name)
    shift = min(tok.algorithm.vocab.values())
    ranks = {piece: id - shift for piece, id in tok.algorithm.vocab.items()}
    special = {} if shift else dict(tok.special)
    oracle = tiktoken.Encoding(name, pat_str=rank_pattern(name), mergeable_ranks=ranks, special_tokens=special)
    assert differences(tok.encode, lambda text: [id + shift for id in oracle.encode_ordinary(text)], fuzz_count) == []
    if special:

        def theirs(text):
            return oracle.encode(text, allowed_special="all")

        assert differences(lambda text: tok.encode(text, special="parse"), theirs, fuzz_count) == []


def test_lone_surrogates_count_as_tiktoken_counts_them(tokenizer):
    tok = tokenizer("gpt2")
    oracle = tiktoken.Encoding("gpt2", pat_str=rank_pattern("gpt2"), mergeable_ranks=dict(tok.algorithm.vocab), special_tokens={})
    for text in ["\ud83d\ude42", "a\ud83db", "\ude42\ud83d", "x \udfff", "\ud83d\ud83d\ude42 \ud83d"]:
        assert tok.encode(text) == oracle.encode_ordinary(text)


def test_sentencepiece_bpe(tokenizer, fuzz_count):
    tok = tokenizer("mistral-v1")
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(find("mistral-v1")))
    assert differences(tok.encode, oracle.encode, fuzz_count) == []


def test_sentencepiece_unigram(tokenizer, fuzz_count):
    """Equal, ties included: SentencePiece breaks them by the rounding of its float32 sum over all the text before."""
    tok = tokenizer("t5")
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(find("t5")))
    assert differences(tok.encode, oracle.encode, fuzz_count) == []
    assert differences(tok.encode, oracle.encode, fuzz_count, make=tied_text) == []

    def long_text(source):
        return "".join(random_text(source) + tied_text(source, longest=1) for _ in range(60))

    assert differences(tok.encode, oracle.encode, 3 + fuzz_count // 100, make=long_text) == []


def test_ties_have_places_and_a_count(tokenizer, fuzz_count):
    """`tokens` and `count` see the same cut as `encode`; the places are those of SentencePiece's pieces."""
    tok = tokenizer("t5")
    oracle = sentencepiece.SentencePieceProcessor(model_file=str(find("t5")))

    def ours(text):
        tokens = tok.tokens(text)
        return [token.id for token in tokens], tok.count(text), [text[token.start : token.end] for token in tokens]

    def theirs(text):
        pieces = oracle.encode(text, out_type=str)
        return oracle.encode(text), len(pieces), [piece.removeprefix("▁") for piece in pieces]

    def letters(source):
        return "".join(source.choice("ab") for _ in range(source.randint(1, 60)))

    assert differences(lambda text: ours(text)[:2], lambda text: theirs(text)[:2], fuzz_count, make=tied_text) == []
    assert differences(ours, theirs, fuzz_count, make=letters) == []


def hugging_face(path) -> tokenizers.Tokenizer:
    loaded = tokenizers.Tokenizer.from_file(str(path))
    loaded.no_padding()
    loaded.no_truncation()
    return loaded


@pytest.mark.parametrize("asset", ["bert-tokenizer-json", "t5-tokenizer-json"])
def test_published_tokenizer_json(asset, fuzz_count):
    tok, oracle = tokenizer_json_read.read(find(asset)), hugging_face(find(asset))

    def ours(text):
        return tok.encode(text, special="parse", add_special=True)

    assert differences(ours, lambda text: oracle.encode(text).ids, fuzz_count) == []


def test_places_in_normalised_text(fuzz_count):
    """BERT's places as `tokenizers` gives them; but a mark that is dropped counts with its letter here, and to nothing there."""
    tok, oracle = tokenizer_json_read.read(find("bert-tokenizer-json")), hugging_face(find("bert-tokenizer-json"))

    def ours(text):
        text = MARKS.sub("", text)
        return [(token.start, token.end) for token in tok.tokens(text, special="parse")]

    def theirs(text):
        return oracle.encode(MARKS.sub("", text), add_special_tokens=False).offsets

    assert differences(ours, theirs, fuzz_count) == []


@pytest.mark.parametrize("name", ["bert-base-uncased", "smollm2"])
def test_special_strings_as_text(name, tokenizer, fuzz_count, tmp_path):
    tok = tokenizer(name)
    oracle = hugging_face(tok.save(tmp_path))
    oracle.encode_special_tokens = True
    assert differences(tok.encode, lambda text: oracle.encode(text, add_special_tokens=False).ids, fuzz_count) == []


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased", "t5", "smollm2", "mistral-v1", "cl100k_base"])
def test_saved_tokenizer_json(name, tokenizer, fuzz_count, tmp_path):
    tok = tokenizer(name)
    path = tok.save(tmp_path)
    oracle = hugging_face(path)
    again = tokenizer_json_read.read(path)

    def theirs(text):
        return oracle.encode(text).ids if maps_agree(tok, text) else None

    def ours(text):
        return tok.encode(text, special="parse", add_special=True) if maps_agree(tok, text) else None

    assert differences(ours, theirs, fuzz_count) == []

    def reloaded(text):
        return again.encode(text, special="parse", add_special=True)

    assert differences(reloaded, lambda text: oracle.encode(text).ids, fuzz_count) == []
    assert (again.special, again.bos_id, again.eos_id, again.chat_template) == (tok.special, tok.bos_id, tok.eos_id, tok.chat_template)
    assert (again.fingerprint == tok.fingerprint) == (name != "t5")
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["tokenizer.json", "tokenizer_config.json"]


def maps_agree(tok, text: str) -> bool:
    """`tokenizers` applies a character map to graphemes, which loses marks behind some letters (see charsmap.py); not so SentencePiece."""
    maps = [stage for stage in tok.normalizers.first if isinstance(stage, Charsmap)]
    return all(stage.apply(text) == GraphemeCharsmap(stage.blob).apply(text) for stage in maps)


def test_smollm2_decodes_as_tokenizers_does(tokenizer, fuzz_count, tmp_path):
    tok = tokenizer("smollm2")
    oracle = hugging_face(tok.save(tmp_path))
    source = random.Random(5)
    for _ in range(fuzz_count):
        ids = [source.randrange(tok.vocab_size) for _ in range(source.randint(0, 12))]
        assert tok.decode(ids, skip_special=True) == oracle.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("asset", ["bert-tokenizer-json", "t5-tokenizer-json"])
def test_words_decode_as_tokenizers_does(asset, fuzz_count):
    tok, oracle = tokenizer_json_read.read(find(asset)), hugging_face(find(asset))
    source = random.Random(6)
    for _ in range(fuzz_count):
        ids = oracle.encode(random_text(source)).ids
        assert tok.decode(ids, skip_special=True) == oracle.decode(ids, skip_special_tokens=True)
