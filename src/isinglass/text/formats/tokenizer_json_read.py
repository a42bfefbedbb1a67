"""Reading `tokenizer.json`, the format of Hugging Face `tokenizers`: BPE, WordPiece, Unigram and WordLevel with their parts.

Bytes and characters have no model of their own there: they are BPE without merges.

What stands beside it in a folder and concerns text is read too: the names of the first and last token and the chat template, from
`tokenizer_config.json` and `chat_template.jinja`. Format: huggingface/tokenizers, version 1.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isinglass.core.errors import TokenizerError
from isinglass.text.algorithms.base import Algorithm
from isinglass.text.algorithms.bpe import AsBytes, ByPair, ByteBpe, CharacterBpe, NoToken, OneToken, TokenEach, Unknown, byte_pieces
from isinglass.text.algorithms.byte import Byte
from isinglass.text.algorithms.character import Character
from isinglass.text.algorithms.unigram import Unigram
from isinglass.text.algorithms.word import Word
from isinglass.text.algorithms.wordpiece import WordPiece
from isinglass.text.byte_level import raw_bytes
from isinglass.text.decoders import Decoder, Joined, Plain, Spaces, Words
from isinglass.text.formats.tokenizer_json_stages import normalizer_stages, parts_of, pretokenizer_stages
from isinglass.text.normalize import Metaspace
from isinglass.text.special import AddedToken
from isinglass.text.surround import Slot, Surround
from isinglass.text.tokenizer import Stage, Stages, Tokenizer

Json = Mapping[str, Any]
# Names of first and last tokens, for files that come without tokenizer_config.json.
_BOS = ("<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>")
_EOS = ("</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>")


def read(path: Path) -> Tokenizer:
    """The tokenizer of a `tokenizer.json` file."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return build(document, beside=_beside(path.parent), name=path.parent.name or path.stem)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise TokenizerError(f"{path} is no JSON: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise TokenizerError(f"{path} is no tokenizer.json that can be read: {type(error).__name__} {error}") from error


def _beside(folder: Path) -> dict[str, Any]:
    config = folder / "tokenizer_config.json"
    beside: dict[str, Any] = json.loads(config.read_text("utf-8")) if config.is_file() else {}
    template = folder / "chat_template.jinja"
    return {**beside, "chat_template": template.read_text("utf-8")} if template.is_file() else beside


def build(document: Json, *, beside: Json | None = None, name: str) -> Tokenizer:
    """A tokenizer from the parsed JSON; `beside` is what `tokenizer_config.json` says."""
    beside = beside or {}
    added = _added(document)
    normalizers = normalizer_stages(document.get("normalizer"))
    algorithm = _algorithm(document, added)
    ids = {token.content: token.id for token in added}
    bos, eos = (_named(beside.get(key), usual, ids) for key, usual in (("bos_token", _BOS), ("eos_token", _EOS)))
    return Tokenizer(
        name,
        algorithm,
        _decoder(document.get("decoder")) if document.get("decoder") or not isinstance(algorithm, Word) else Joined(),
        normalizers=_stages(normalizers),
        pretokenizers=_stages(pretokenizer_stages(document.get("pre_tokenizer"))),
        added=added,
        surround=_surround(document.get("post_processor"), ids),
        bos_id=bos,
        eos_id=eos,
        chat_template=_chat_template(beside.get("chat_template")),
    )


def _stages(stages: list[Stage]) -> Stages:
    return Stages(tuple(stages), tuple(stage.inner if isinstance(stage, Metaspace) else stage for stage in stages))


def _added(document: Json) -> tuple[AddedToken, ...]:
    normalizes = document.get("normalizer") is not None
    return tuple(
        AddedToken(
            token["content"],
            token["id"],
            special=token.get("special", False),
            lstrip=token.get("lstrip", False),
            rstrip=token.get("rstrip", False),
            single_word=token.get("single_word", False),
            # Without a normaliser there is no difference, and raw text is the quicker place to look.
            normalized=token.get("normalized", False) and normalizes,
        )
        for token in document.get("added_tokens") or []
    )


def _named(value: Any, usual: tuple[str, ...], ids: Mapping[str, int]) -> int | None:
    if isinstance(value, Mapping):
        value = value.get("content")
    if isinstance(value, str):
        return ids.get(value)
    return next((ids[name] for name in usual if name in ids), None)


def usual_ends(ids: Mapping[str, int]) -> tuple[int | None, int | None]:
    """The ids of the first and last token of a text, by the names that are usual for them."""
    return _named(None, _BOS, ids), _named(None, _EOS, ids)


def _chat_template(value: Any) -> str | None:
    """A template, or a list of named ones of which "default" is for chats."""
    if isinstance(value, list):
        named = {entry["name"]: entry["template"] for entry in value}
        return named.get("default")
    return value


def _algorithm(document: Json, added: tuple[AddedToken, ...]) -> Algorithm:
    model = document["model"]
    kind = model.get("type") or ("Unigram" if isinstance(model["vocab"], list) else "BPE" if "merges" in model else "WordPiece")
    special = [token.content for token in added if token.special]
    if kind == "Unigram":
        vocab = {piece: id for id, (piece, _) in enumerate(model["vocab"])}
        unknown = _unknown(model, vocab, model.get("unk_id"))
        return Unigram(vocab, [score for _, score in model["vocab"]], unknown, apart=special)
    vocab = model["vocab"]
    if kind == "WordPiece":
        inner = model.get("continuing_subword_prefix", "##")
        return WordPiece(vocab, unknown=model["unk_token"], continuation=inner, longest_word=model.get("max_input_chars_per_word", 100))
    if kind == "WordLevel":
        return Word(vocab, unknown=model["unk_token"])
    if kind != "BPE":
        raise TokenizerError(f"tokenizer.json holds a model of type {kind!r}: expected BPE, WordPiece, Unigram or WordLevel")
    for option in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(option):
            raise TokenizerError(f"tokenizer.json: model.{option} = {model[option]!r} is not supported")
    kinds = [part["type"] for part in (*parts_of(document.get("pre_tokenizer")), *parts_of(document.get("normalizer")))]
    return _byte_bpe(model, special) if "ByteLevel" in kinds else _character_bpe(model, special)


def _pairs(model: Json) -> dict[tuple[str, str], int]:
    """Merges are written "left right", or as a list where pieces may hold spaces."""
    split = (merge.partition(" ")[::2] if isinstance(merge, str) else merge for merge in model["merges"])
    return {(left, right): rank for rank, (left, right) in enumerate(split)}


def _byte_bpe(model: Json, special: list[str]) -> ByteBpe | Byte:
    apart = set(special)
    raw = {piece: raw_bytes(piece) or piece.encode("utf-8") for piece in model["vocab"] if piece not in apart}
    vocab = {raw[piece]: id for piece, id in model["vocab"].items() if piece not in apart}
    ranks = {(raw[left], raw[right]): rank for (left, right), rank in _pairs(model).items()}
    if not ranks and len(vocab) == 256 and all(len(piece) == 1 for piece in vocab):
        return Byte(vocab)
    return ByteBpe(vocab, ByPair(ranks), whole=vocab if model.get("ignore_merges") else None)


def _character_bpe(model: Json, special: list[str]) -> CharacterBpe | Character:
    vocab: dict[str, int] = model["vocab"]
    unknown = _unknown(model, vocab, vocab.get(model.get("unk_token") or ""))
    if not model["merges"] and isinstance(unknown, TokenEach) and all(len(piece) == 1 for piece in vocab.keys() - set(special)):
        return Character(vocab, unknown.id, apart=special)
    whole = {piece: id for piece, id in vocab.items() if piece not in set(special)} if model.get("ignore_merges") else None
    return CharacterBpe(vocab, ByPair(_pairs(model)), unknown, apart=special, whole=whole)


def _unknown(model: Json, vocab: Mapping[str, int], unknown_id: int | None) -> Unknown:
    as_bytes = byte_pieces(vocab) if model.get("byte_fallback") else None
    if as_bytes is not None:
        return AsBytes(as_bytes)
    if unknown_id is None:
        return NoToken()
    return OneToken(unknown_id) if model.get("fuse_unk", "unk_id" in model) else TokenEach(unknown_id)


def _decoder(part: Json | None) -> Decoder:
    parts = {one["type"]: one for one in parts_of(part)}
    if "WordPiece" in parts:
        return Words(parts["WordPiece"].get("prefix", "##"), parts["WordPiece"].get("cleanup", True))
    if "Metaspace" in parts:
        scheme = parts["Metaspace"].get("prepend_scheme") or ("always" if parts["Metaspace"].get("add_prefix_space", True) else "never")
        return Spaces(parts["Metaspace"].get("replacement", "▁"), 0 if scheme == "never" else 1)
    if "Replace" in parts and parts["Replace"].get("content") == " ":
        return Spaces(parts["Replace"]["pattern"]["String"], parts.get("Strip", {}).get("start", 0))
    known = {"ByteLevel", "ByteFallback", "Fuse"}
    if parts.keys() - known:
        raise TokenizerError(f"tokenizer.json: decoder {', '.join(sorted(parts.keys() - known))} is not supported")
    return Plain()


def _surround(part: Json | None, ids: Mapping[str, int]) -> Surround:
    for one in parts_of(part):
        if one["type"] == "TemplateProcessing":
            special = one.get("special_tokens") or {}
            return Surround(_template(one["single"], special), _template(one["pair"], special))
        if one["type"] in ("BertProcessing", "RobertaProcessing"):
            cls, sep = one["cls"][1], one["sep"][1]
            between = (sep, sep) if one["type"] == "RobertaProcessing" else (sep,)
            return Surround((cls, "A", sep), (cls, "A", *between, "B", sep))
    return Surround()


def _template(items: list[Json], special: Json) -> tuple[Slot, ...]:
    slots: list[Slot] = []
    for item in items:
        slots += [item["Sequence"]["id"]] if "Sequence" in item else special[item["SpecialToken"]["id"]]["ids"]
    return tuple(slots)
