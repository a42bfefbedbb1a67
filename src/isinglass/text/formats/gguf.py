"""The tokenizer inside a GGUF file: its metadata keys `tokenizer.ggml.*`.

Keys: ggml-org/ggml, `docs/gguf.md`; kinds of tokens and names of pretokenizers as llama.cpp writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isinglass.core.errors import TokenizerError, unknown
from isinglass.text import patterns
from isinglass.text.algorithms.bpe import ByPair, ByteBpe
from isinglass.text.byte_level import raw_bytes
from isinglass.text.decoders import Plain
from isinglass.text.formats import sentencepiece, vocab_txt
from isinglass.text.pretokenize import Matches, Pretokenizer, digits
from isinglass.text.special import AddedToken
from isinglass.text.surround import Surround
from isinglass.text.tokenizer import Stages, Tokenizer

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

# How `tokenizer.ggml.pre` says to cut text. llama.cpp has some fifty names for a handful of patterns.
_PRETOKENIZERS: Mapping[str, tuple[Pretokenizer, ...]] = {
    **dict.fromkeys(("default", "gpt-2", "gpt2", "phi-2", "jina-v2-en", "mpt", "olmo", "exaone"), (Matches(patterns.GPT2),)),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), (digits(individually=True), Matches(patterns.GPT2))),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "dbrx", "smaug-bpe"), (Matches(patterns.LLAMA3),)),
    **dict.fromkeys(("qwen2", "stablelm2", "deepseek-r1-qwen"), (Matches(patterns.QWEN2),)),
    **dict.fromkeys(("gpt-4o", "llama4"), (Matches(patterns.O200K),)),
    "tekken": (Matches(patterns.TEKKEN),),
}


def read(metadata: Mapping[str, Any], *, name: str | None = None) -> Tokenizer:
    """The tokenizer that the metadata of a GGUF file describes, with its chat template."""
    kind = metadata.get("tokenizer.ggml.model")
    if kind is None:
        raise TokenizerError("this GGUF file holds no tokenizer", details=["expected the metadata key 'tokenizer.ggml.model'"])
    readers = {"gpt2": _byte_bpe, "llama": _sentencepiece, "t5": _sentencepiece, "bert": _wordpiece}
    if kind not in readers:
        raise unknown("tokenizer", str(kind), readers, where="tokenizer.ggml.model", error=TokenizerError)
    return readers[kind](_Keys(metadata), name or str(metadata.get("general.basename") or metadata.get("general.name") or "gguf"))


class _Keys:
    """The metadata without the prefix of its keys."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.metadata = metadata

    def get(self, key: str, default: Any = None) -> Any:
        return self.metadata.get(f"tokenizer.ggml.{key}", default)

    def need(self, key: str) -> Any:
        value = self.get(key)
        if value is None:
            raise TokenizerError(f"the tokenizer of this GGUF file is incomplete: 'tokenizer.ggml.{key}' is missing")
        return value

    @property
    def chat_template(self) -> str | None:
        return self.metadata.get("tokenizer.chat_template")

    def added(self, tokens: list[str]) -> tuple[AddedToken, ...]:
        kinds = enumerate(zip(tokens, self.get("token_type") or [], strict=False))
        wanted = {CONTROL: True, UNKNOWN: True, USER_DEFINED: False}
        return tuple(AddedToken(token, id, special=wanted[kind]) for id, (token, kind) in kinds if kind in wanted)

    def surround(self, *, begins: bool) -> Surround:
        bos, eos = self.get("bos_token_id"), self.get("eos_token_id")
        before = (bos,) if bos is not None and self.get("add_bos_token", begins) else ()
        after = (eos,) if eos is not None and self.get("add_eos_token", False) else ()
        return Surround.ends(before=before, after=after)


def _byte_bpe(keys: _Keys, name: str) -> Tokenizer:
    tokens: list[str] = keys.need("tokens")
    pre = keys.get("pre", "default")
    if pre not in _PRETOKENIZERS:
        raise unknown("pretokenizer", str(pre), _PRETOKENIZERS, where="tokenizer.ggml.pre", error=TokenizerError)
    added = keys.added(tokens)
    apart = {token.content for token in added}
    raw = {token: raw_bytes(token) for token in tokens if token not in apart}
    vocab = {raw[token] or token.encode(): id for id, token in enumerate(tokens) if token not in apart}
    ranks: dict[tuple[bytes, bytes], int] = {}
    for rank, line in enumerate(keys.need("merges")):
        left, _, right = line.partition(" ")
        if raw.get(left) is None or raw.get(right) is None:
            raise TokenizerError(f"merge {rank} of this GGUF file, {line!r}, names a token that is not in its vocabulary")
        ranks[raw[left], raw[right]] = rank  # type: ignore[index]
    # llama.cpp looks a whole pretoken of this family up before it merges.
    whole = vocab if pre in ("llama-bpe", "llama3", "llama-v3", "tekken") else None
    return Tokenizer(
        name,
        ByteBpe(vocab, ByPair(ranks), whole=whole),
        Plain(),
        pretokenizers=Stages.same(*_PRETOKENIZERS[pre]),
        added=added,
        surround=keys.surround(begins=False),
        bos_id=keys.get("bos_token_id"),
        eos_id=keys.get("eos_token_id"),
        chat_template=keys.chat_template,
    )


def _sentencepiece(keys: _Keys, name: str) -> Tokenizer:
    tokens: list[str] = keys.need("tokens")
    scores, kinds = keys.need("scores"), keys.need("token_type")
    unigram = keys.need("model") == "t5"
    model = sentencepiece.Model(
        [sentencepiece.Piece(*piece) for piece in zip(tokens, scores, kinds, strict=True)],
        sentencepiece.UNIGRAM if unigram else sentencepiece.BPE,
        bytes(keys.get("precompiled_charsmap", b"")),
        bool(keys.get("add_space_prefix", True)),
        bool(keys.get("remove_extra_whitespaces", unigram)),
        keys.get("bos_token_id"),
        keys.get("eos_token_id"),
        keys.surround(begins=not unigram),
    )
    return sentencepiece.build(model, name=name, chat_template=keys.chat_template)


def _wordpiece(keys: _Keys, name: str) -> Tokenizer:
    """llama.cpp stores `▁word` for a word and `ing` for what BERT writes `##ing`."""
    tokens: list[str] = keys.need("tokens")
    kinds = keys.get("token_type") or [NORMAL] * len(tokens)
    vocab: dict[str, int] = {}
    for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        plain = kind in (CONTROL, UNKNOWN) or token in vocab_txt.SPECIAL
        vocab[token if plain else token[1:] if token.startswith("▁") else f"##{token}"] = id
    return vocab_txt.build(vocab, name=name, where="the tokenizer of this GGUF file")
