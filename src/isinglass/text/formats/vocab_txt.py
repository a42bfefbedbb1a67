"""BERT's `vocab.txt`: one WordPiece piece in each line, the line number being its id. Format: google-research/bert, `tokenization.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from isinglass.core.errors import TokenizerError
from isinglass.text.algorithms.wordpiece import WordPiece
from isinglass.text.decoders import Words
from isinglass.text.normalize import BertNormalizer
from isinglass.text.pretokenize import BertWords
from isinglass.text.special import AddedToken
from isinglass.text.surround import Surround
from isinglass.text.tokenizer import Stages, Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def read(path: Path) -> Tokenizer:
    """The tokenizer of a `vocab.txt`."""
    pieces = path.read_text("utf-8").removesuffix("\n").split("\n")
    return build({piece.removesuffix("\r"): id for id, piece in enumerate(pieces)}, name=path.parent.name or "bert", where=str(path))


def build(vocab: Mapping[str, int], *, name: str, where: str) -> Tokenizer:
    """A BERT tokenizer. It lowers case and drops accents when the vocabulary has no capital letter to show for them."""
    missing = [token for token in ("[UNK]", "[CLS]", "[SEP]") if token not in vocab]
    if missing:
        raise TokenizerError(f"{where} is no BERT vocabulary: it has no {', '.join(missing)}")
    uncased = not any(piece != piece.lower() for piece in vocab if not piece.startswith("["))
    cls, sep = vocab["[CLS]"], vocab["[SEP]"]
    return Tokenizer(
        name,
        WordPiece(vocab),
        Words(),
        normalizers=Stages.same(BertNormalizer(strip_accents=uncased, lowercase=uncased)),
        pretokenizers=Stages.same(BertWords()),
        added=tuple(AddedToken(token, vocab[token]) for token in SPECIAL if token in vocab),
        surround=Surround((cls, "A", sep), (cls, "A", sep, "B", sep)),
    )
