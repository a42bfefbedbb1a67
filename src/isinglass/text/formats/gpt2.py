"""GPT-2's own files: `vocab.bpe`, the merges in order, and `encoder.json`, the ids. The merges alone are enough.

The ids are the 256 bytes (the printable ones first), then one for each merge, then `<|endoftext|>`.
Format: openai/gpt-2, `src/encoder.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

from isinglass.core.errors import TokenizerError
from isinglass.text.byte_level import BYTE_ORDER, raw_bytes
from isinglass.text.formats.tiktoken import PUBLISHED, Published, build
from isinglass.text.patterns import GPT2
from isinglass.text.tokenizer import Tokenizer


def read(merges: Path, ids: Path | None = None) -> Tokenizer:
    """The tokenizer of a `vocab.bpe`; an `encoder.json` beside it may number the tokens otherwise."""
    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    for number, line in enumerate(merges.read_text("utf-8").splitlines(), 1):
        if not line or line.startswith("#version"):
            continue
        parts = [raw_bytes(part) for part in line.split(" ")]
        if len(parts) != 2 or None in parts:
            raise TokenizerError(f"{merges}:{number}: {line!r} is no merge: expected two byte-level symbols")
        tokens.append(b"".join(part for part in parts if part is not None))
    ranks = {token: rank for rank, token in enumerate(tokens)}
    end = "<|endoftext|>"
    published = PUBLISHED.get(len(ranks), Published(merges.stem, GPT2, {end: len(ranks)}, bos=end, eos=end))
    if ids is not None:
        _check(ranks, ids)
    return build(ranks, published, name="gpt2" if len(ranks) == 50_256 else None)


def _check(ranks: dict[bytes, int], path: Path) -> None:
    """The ids of `encoder.json` follow from the merges; a file that says otherwise belongs to other merges."""
    for piece, id in json.loads(path.read_text("utf-8")).items():
        raw = raw_bytes(piece)
        if raw in ranks and ranks[raw] != id:
            raise TokenizerError(
                f"{path} gives {piece!r} the id {id}, but its merges give {ranks[raw]}", hint="are both files of one model?"
            )
