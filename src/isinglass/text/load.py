"""`tokenizer(name_or_path)`: a published vocabulary by name, or any vocabulary file, by what it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from isinglass.core.errors import TokenizerError, unknown
from isinglass.text.formats import gpt2, sentencepiece, tekken, tiktoken, tokenizer_json_read, vocab_txt
from isinglass.text.tokenizer import Tokenizer

Reader = Callable[[Path], Tokenizer]


def _t5(path: Path) -> Tokenizer:
    """T5's model with the 100 sentinels that its span corruption needs, which the file lacks."""
    return sentencepiece.build(sentencepiece.parse(path.read_bytes()), name="t5", sentinels=100)


def _gguf(path: Path) -> Tokenizer:
    from isinglass.assets.gguf import GGUF
    from isinglass.text.formats import gguf

    return gguf.read(GGUF(path).metadata, name=path.stem)


#: Published vocabularies: the asset that holds each, and how it is read.
NAMED: Mapping[str, tuple[str, Reader]] = {
    "gpt2": ("gpt2-vocab", gpt2.read),
    "r50k_base": ("r50k_base", tiktoken.read),
    "p50k_base": ("p50k_base", tiktoken.read),
    "cl100k_base": ("cl100k_base", tiktoken.read),
    "o200k_base": ("o200k_base", tiktoken.read),
    "bert-base-uncased": ("bert-base-uncased", vocab_txt.read),
    "t5": ("t5", _t5),
    "smollm2": ("smollm2", _gguf),
    "llama3": ("llama3", tiktoken.read),
    "mistral-v1": ("mistral-v1", sentencepiece.read),
    "tekken": ("mistral-tekken", tekken.read),
}

# What to look for in a folder, best first: tokenizer.json says everything, the others leave something to be known.
_IN_FOLDERS = ("tokenizer.json", "tekken.json", "tokenizer.model", "spiece.model", "*.tiktoken", "vocab.txt", "vocab.bpe", "*.gguf")


def tokenizer(name_or_path: str | Path) -> Tokenizer:
    """A tokenizer by name (`gpt2`, `cl100k_base`, `t5`, ...), or from a file or folder.

    Files: `tokenizer.json`, rank files (`.tiktoken`, Llama 3's `tokenizer.model`), SentencePiece models, `vocab.txt`, `vocab.bpe`,
    `tekken.json`, `.gguf`. What a file is follows from its content. Raises `TokenizerError` for what is neither a name nor such a
    file, and `AssetError` when a known vocabulary is not on this machine.

    >>> tokenizer("gpt2").decode([15496, 11, 995, 0])
    'Hello, world!'
    """
    if isinstance(name_or_path, str) and name_or_path in NAMED:
        from isinglass.assets.find import find

        asset, reader = NAMED[name_or_path]
        return replace(reader(find(asset)), name=name_or_path)
    path = Path(name_or_path)
    if path.is_dir():
        return _from_folder(path)
    if path.is_file():
        return _reader_of(path)(path)
    if path.suffix or len(path.parts) > 1:
        raise TokenizerError(
            f"no vocabulary at {str(name_or_path)!r}: there is no such file or folder", details=[f"names: {', '.join(NAMED)}"]
        )
    raise unknown("tokenizer", str(name_or_path), NAMED, more="isinglass assets list", error=TokenizerError)


def _from_folder(folder: Path) -> Tokenizer:
    for pattern in _IN_FOLDERS:
        for path in sorted(folder.glob(pattern)):
            return _reader_of(path)(path)
    raise TokenizerError(f"no vocabulary in folder {str(folder)!r}", details=[f"looked for {', '.join(_IN_FOLDERS)}"])


def _reader_of(path: Path) -> Reader:
    """The reader for a file, by its first bytes; names decide only between two kinds of JSON or of text."""
    with path.open("rb") as file:
        start = file.read(4096)
    if start.startswith(b"GGUF"):
        return _gguf
    if start.lstrip().startswith(b"{"):
        return tekken.read if b'"token_bytes"' in start else tokenizer_json_read.read
    if tiktoken.looks_like(start):
        return tiktoken.read
    if start.startswith(b"\n"):  # field 1 of a protocol buffer; no text format begins with an empty line
        return sentencepiece.read
    if start.startswith(b"#version") or path.suffix == ".bpe":
        return _gpt2_folder
    if b"[PAD]" in start or path.name == "vocab.txt":
        return vocab_txt.read
    raise TokenizerError(f"{path} is no vocabulary file that can be read", details=["expected one of " + ", ".join(_IN_FOLDERS)])


def _gpt2_folder(path: Path) -> Tokenizer:
    ids = next((other for name in ("encoder.json", "vocab.json") if (other := path.with_name(name)).is_file()), None)
    return gpt2.read(path, ids)
