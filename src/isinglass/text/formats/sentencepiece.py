"""SentencePiece `.model` files: Unigram (T5) and BPE with byte fallback (Llama 2, Mistral v1).

Fields as in google/sentencepiece, `sentencepiece_model.proto`. Normalisation: the character map, then (if the model says so) no space
at the ends and single ones inside, then one space in front, then `▁` for every space.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from isinglass.core.errors import TokenizerError
from isinglass.text.algorithms.bpe import AsBytes, ByPiece, CharacterBpe, OneToken, Unknown, byte_pieces
from isinglass.text.algorithms.unigram_float32 import Float32Unigram
from isinglass.text.charsmap import Charsmap
from isinglass.text.decoders import Spaces
from isinglass.text.formats.protobuf import Value, fields
from isinglass.text.normalize import Normalizer, Prepend, Replace
from isinglass.text.pretokenize import crosses_words, space_words
from isinglass.text.special import AddedToken
from isinglass.text.surround import Surround
from isinglass.text.tokenizer import Stages, Tokenizer

SPACE = "▁"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
UNIGRAM, BPE = 1, 2


class Piece(NamedTuple):
    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class Model:
    """What a model file, or the metadata of a GGUF file, says."""

    pieces: list[Piece]
    algorithm: int = UNIGRAM
    charsmap: bytes = b""
    space_in_front: bool = True
    single_spaces: bool = True
    bos_id: int | None = None
    eos_id: int | None = None
    surround: Surround = field(default_factory=Surround)


def parse(raw: bytes) -> Model:
    """The parts of a `.model` file."""
    pieces: list[Piece] = []
    trainer: dict[int, Value] = {}
    normalizer: dict[int, Value] = {}
    for number, value in fields(raw):
        if number == 1 and isinstance(value, bytes):
            one = dict(fields(value))
            pieces.append(Piece(cast("bytes", one.get(1, b"")).decode(), cast("float", one.get(2, 0.0)), cast("int", one.get(3, NORMAL))))
        elif number == 2 and isinstance(value, bytes):
            trainer = dict(fields(value))
        elif number == 3 and isinstance(value, bytes):
            normalizer = dict(fields(value))
    if not pieces:
        raise TokenizerError("this is no SentencePiece model: it has no pieces")
    if trainer.get(24):
        raise TokenizerError("this SentencePiece model writes spaces behind words (treat_whitespace_as_suffix), which is not read here")
    ids = {piece.text: id for id, piece in enumerate(pieces) if piece.kind == CONTROL}
    return Model(
        pieces,
        cast("int", trainer.get(3, UNIGRAM)),
        cast("bytes", normalizer.get(2, b"")),
        bool(normalizer.get(3, 1)),
        bool(normalizer.get(4, 1)),
        ids.get("<s>"),
        ids.get("</s>"),
    )


def read(path: Path) -> Tokenizer:
    """The tokenizer of a SentencePiece model. Models with a beginning put it before a text, those without put their end behind."""
    model = parse(path.read_bytes())
    return build(model, name=path.stem)


def build(model: Model, *, name: str, sentinels: int = 0, chat_template: str | None = None) -> Tokenizer:
    """A tokenizer from the parts; `sentinels` appends T5's `<extra_id_N>`, which are numbered from the end."""
    if model.algorithm not in (UNIGRAM, BPE):
        raise TokenizerError(f"SentencePiece model type {model.algorithm} of {name!r} is not known: expected 1 (Unigram) or 2 (BPE)")
    vocab = {piece.text: id for id, piece in enumerate(model.pieces)}
    apart = [piece.text for piece in model.pieces if piece.kind in (UNKNOWN, CONTROL, BYTE)]
    algorithm = _unigram(model, vocab, apart) if model.algorithm == UNIGRAM else _bpe(model, vocab, apart)
    added = [AddedToken(piece.text, id) for id, piece in enumerate(model.pieces) if piece.kind in (UNKNOWN, CONTROL)]
    if model.algorithm == BPE:  # a Unigram model finds them among its other pieces
        added += [AddedToken(piece.text, id, special=False) for id, piece in enumerate(model.pieces) if piece.kind == USER_DEFINED]
    count = len(model.pieces)
    added += [AddedToken(f"<extra_id_{at}>", count + sentinels - 1 - at) for at in range(sentinels)]
    words = (space_words(),) if SPACE in vocab and not crosses_words(vocab.keys() - set(apart)) else ()
    return Tokenizer(
        name,
        algorithm,
        Spaces(dropped=1 if model.space_in_front else 0),
        normalizers=Stages.same(*_normalizers(model)),
        pretokenizers=Stages.same(*words),
        added=tuple(added),
        surround=_surround(model),
        bos_id=model.bos_id,
        eos_id=model.eos_id,
        chat_template=chat_template,
    )


def _normalizers(model: Model) -> list[Normalizer]:
    # The patterns say "start" and "end" by what stands beside, because `^` and `$` mean lines in some engines that read our files.
    stages: list[Normalizer] = [Charsmap(model.charsmap)] if model.charsmap else []
    if model.single_spaces:
        stages += [Replace(" {2,}", " "), Replace(r"(?<![\s\S]) ", ""), Replace(rf"[ {SPACE}]+(?![\s\S])", "")]
    if model.space_in_front:
        stages.append(Prepend(SPACE))
    return [*stages, Replace(" ", SPACE)]


def _surround(model: Model) -> Surround:
    if model.surround != Surround():
        return model.surround
    if model.bos_id is not None:
        return Surround.ends(before=(model.bos_id,))
    return Surround.ends(after=(model.eos_id,)) if model.eos_id is not None else Surround()


def _unknown(model: Model, vocab: Mapping[str, int]) -> Unknown:
    as_bytes = byte_pieces(vocab)
    if as_bytes is not None:
        return AsBytes(as_bytes)
    return OneToken(next((id for id, piece in enumerate(model.pieces) if piece.kind == UNKNOWN), 0))


def _unigram(model: Model, vocab: Mapping[str, int], apart: list[str]) -> Float32Unigram:
    """Pieces marked unused do not come out of text either. User-defined ones keep the score of the file, which is 0: the best."""
    unused = [piece.text for piece in model.pieces if piece.kind == UNUSED]
    return Float32Unigram(vocab, [piece.score for piece in model.pieces], _unknown(model, vocab), apart=[*apart, *unused])


def _bpe(model: Model, vocab: Mapping[str, int], apart: list[str]) -> CharacterBpe:
    """Ranks by falling score, which is how SentencePiece orders merges."""
    kept = set(vocab) - set(apart)
    order = {score: rank for rank, score in enumerate(sorted({piece.score for piece in model.pieces}, reverse=True))}
    ranks = {piece.text: order[piece.score] for piece in model.pieces if piece.text in kept}
    return CharacterBpe(vocab, ByPiece(ranks), _unknown(model, vocab), apart=apart)
