"""Writing `tokenizer.json`, so that Hugging Face `tokenizers` and `transformers` read our vocabularies with the same ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from isinglass.core.errors import TokenizerError
from isinglass.core.files import write_atomic
from isinglass.text.algorithms.bpe import AsBytes, ByPair, ByPiece, ByteBpe, CharacterBpe, OneToken, Ranks, S, TokenEach, Unknown
from isinglass.text.algorithms.byte import Byte
from isinglass.text.algorithms.character import Character
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.algorithms.word import Word
from isinglass.text.algorithms.wordpiece import WordPiece
from isinglass.text.byte_level import symbols
from isinglass.text.decoders import Decoder, Joined, Spaces, Words
from isinglass.text.formats.tokenizer_json_stages import write_normalizers, write_pretokenizers
from isinglass.text.surround import Slot, Surround
from isinglass.text.tokenizer import Tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> Path:
    """Write `tokenizer.json`, and `tokenizer_config.json` with what it cannot hold; each file whole or not at all."""
    write_atomic(folder / "tokenizer.json", json.dumps(document(tokenizer), ensure_ascii=False))
    write_atomic(folder / "tokenizer_config.json", json.dumps(config(tokenizer), ensure_ascii=False, indent=2))
    return folder / "tokenizer.json"


def config(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of `tokenizer_config.json`."""
    named = {"bos_token": tokenizer.bos_id, "eos_token": tokenizer.eos_id}
    tokens = {key: tokenizer.piece(id) if id is not None else None for key, id in named.items()}
    template = {"chat_template": tokenizer.chat_template} if tokenizer.chat_template else {}
    return {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **tokens, **template}


def document(tokenizer: Tokenizer) -> dict[str, Any]:
    """The content of `tokenizer.json`."""
    byte_level = isinstance(tokenizer.algorithm, ByteBpe | Byte)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": token.id,
                "content": token.content,
                "single_word": token.single_word,
                "lstrip": token.lstrip,
                "rstrip": token.rstrip,
                "normalized": token.normalized,
                "special": token.special,
            }
            for token in sorted(tokenizer.added, key=lambda token: token.id)
        ],
        "normalizer": write_normalizers(tokenizer.normalizers.first),
        "pre_tokenizer": write_pretokenizers(tokenizer.pretokenizers.first, byte_level=byte_level),
        "post_processor": _surround(tokenizer),
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        if byte_level
        else _decoder(tokenizer.decoder),
        "model": _model(tokenizer),
    }


def _surround(tokenizer: Tokenizer) -> dict[str, Any] | None:
    surround = tokenizer.surround
    if surround == Surround():
        return None

    def items(slots: tuple[Slot, ...]) -> list[dict[str, Any]]:
        second = slots.index("B") if "B" in slots else len(slots)
        names = [(slot, "Sequence") if isinstance(slot, str) else (tokenizer.piece(slot), "SpecialToken") for slot in slots]
        return [{kind: {"id": name, "type_id": int(at >= second)}} for at, (name, kind) in enumerate(names)]

    used = {slot for slot in (*surround.single, *surround.pair) if isinstance(slot, int)}
    special = {tokenizer.piece(id): {"id": tokenizer.piece(id), "ids": [id], "tokens": [tokenizer.piece(id)]} for id in sorted(used)}
    return {"type": "TemplateProcessing", "single": items(surround.single), "pair": items(surround.pair), "special_tokens": special}


def _decoder(decoder: Decoder) -> dict[str, Any] | None:
    match decoder:
        case Words(continuation, cleanup):
            return {"type": "WordPiece", "prefix": continuation, "cleanup": cleanup}
        case Spaces(symbol, dropped):
            steps: list[dict[str, Any]] = [
                {"type": "Replace", "pattern": {"String": symbol}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
            ]
            steps += [{"type": "Strip", "content": " ", "start": dropped, "stop": 0}] if dropped else []
            return {"type": "Sequence", "decoders": steps}
        case Joined():
            return None  # without a decoder tokens are joined by spaces
        case _:
            return {"type": "Fuse"}


def _model(tokenizer: Tokenizer) -> dict[str, Any]:
    algorithm = tokenizer.algorithm
    added = {token.content: token.id for token in tokenizer.added}
    match algorithm:
        case ByteBpe():
            merges = [[symbols(left), symbols(right)] for left, right in _merges(algorithm.ranks, algorithm.vocab)]
            vocab = {symbols(piece): id for piece, id in algorithm.vocab.items()}
            return _bpe(vocab | added, merges, bool(algorithm.whole), None)
        case CharacterBpe():
            merges = [[left, right] for left, right in _merges(algorithm.ranks, algorithm.vocab)]
            return _bpe({**algorithm.vocab, **added}, merges, bool(algorithm.whole), algorithm.unknown)
        case Byte():
            return _bpe({symbols(piece): id for piece, id in algorithm.vocab.items()} | added, [], False, None)
        case Character():
            return _bpe({**algorithm.vocab, **added}, [], False, TokenEach(algorithm.unknown))
        case Word():
            return {"type": "WordLevel", "vocab": _by_id(algorithm.vocab), "unk_token": algorithm.unknown}
        case WordPiece():
            return {
                "type": "WordPiece",
                "unk_token": algorithm.unknown,
                "continuing_subword_prefix": algorithm.continuation,
                "max_input_chars_per_word": algorithm.longest_word,
                "vocab": _by_id(algorithm.vocab),
            }
        case Unigram():
            return _unigram(algorithm, added)
        case _:
            raise TokenizerError(f"{type(algorithm).__name__} of {tokenizer.name!r} has no form in tokenizer.json")


def _unigram(algorithm: Unigram, added: Mapping[str, int]) -> dict[str, Any]:
    """Pieces are listed by id; added tokens that the model lacks (T5's sentinels) take the places behind."""
    ids = {**added, **algorithm.vocab}
    score = dict(enumerate(algorithm.scores))
    return {
        "type": "Unigram",
        "unk_id": algorithm.unknown.id if isinstance(algorithm.unknown, OneToken) else None,
        "vocab": [[piece, score.get(id, 0.0)] for piece, id in sorted(ids.items(), key=lambda item: item[1])],
        "byte_fallback": isinstance(algorithm.unknown, AsBytes),
    }


def _bpe(vocab: Mapping[str, int], merges: list[list[str]], whole: bool, unknown: Unknown | None) -> dict[str, Any]:
    by_id = {id: piece for piece, id in vocab.items()}
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": by_id[unknown.id] if isinstance(unknown, OneToken | TokenEach) else None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": isinstance(unknown, OneToken | AsBytes),
        "byte_fallback": isinstance(unknown, AsBytes),
        "ignore_merges": whole,
        "vocab": _by_id(vocab),
        "merges": merges,
    }


def _by_id(vocab: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(vocab.items(), key=lambda item: item[1]))


def _merges(ranks: Ranks[S], vocab: Mapping[S, int]) -> Iterable[tuple[S, S]]:
    """The merges in order. Where the piece decides, every way to make it from two others is one, all with its rank."""
    if isinstance(ranks, ByPair):
        return sorted(ranks.ranks, key=ranks.ranks.__getitem__)
    if not isinstance(ranks, ByPiece):
        raise TokenizerError(f"merges in the order of {type(ranks).__name__} have no form in tokenizer.json")
    known = ranks.ranks
    pairs: list[tuple[S, S]] = []
    for piece in sorted(known, key=known.__getitem__):
        ways = [(piece[:at], piece[at:]) for at in range(1, len(piece)) if piece[:at] in vocab and piece[at:] in vocab]
        pairs += sorted(ways, key=lambda way: (vocab[way[0]], vocab[way[1]]))
    return pairs
