"""`about(tokenizer)`: what a tokenizer is made of, in tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass
from typing import Any

from isinglass.show import format
from isinglass.show.table import Table
from isinglass.text.tokenizer import Stages, Tokenizer

_SAMPLE = 24
_LONGEST = 12
_SHOWN_SPECIAL = 12


def about(tokenizer: Tokenizer) -> list[Table]:
    """What it is; its longest pieces; and a sample of its ids, evenly taken from the whole vocabulary.

    >>> from isinglass.text.load import tokenizer
    >>> about(tokenizer("gpt2"))[0].rows[1]
    {'about': 'algorithm', 'what': 'ByteBpe'}
    """
    return [_facts(tokenizer), _longest(tokenizer), _sample(tokenizer)]


def _facts(tokenizer: Tokenizer) -> Table:
    special = list(tokenizer.special.items())
    listed = ", ".join(f"{name} {id}" for name, id in special[:_SHOWN_SPECIAL])
    more = f" and {len(special) - _SHOWN_SPECIAL} more" if len(special) > _SHOWN_SPECIAL else ""
    unknown = sorted(tokenizer.algorithm.unknown_ids)
    rows = {
        "name": tokenizer.name,
        "algorithm": type(tokenizer.algorithm).__name__,
        "ids": f"{tokenizer.vocab_size:,}",
        "pieces": f"{len(tokenizer.algorithm.vocab):,}",
        "normalizer": _stages(tokenizer.normalizers),
        "pretokenizer": _stages(tokenizer.pretokenizers),
        "decoder": _part(tokenizer.decoder),
        "special tokens": f"{len(special)}: {listed}{more}" if special else "none",
        "put around a text": " ".join(_slot(tokenizer, slot) for slot in tokenizer.surround.slots(two=False)),
        "unknown token": ", ".join(f"{tokenizer.piece(id)} {id}" for id in unknown) or "none",
        "fingerprint": tokenizer.fingerprint,
    }
    return Table([{"about": name, "what": what} for name, what in rows.items()], title=f"What {tokenizer.name} is")


def _longest(tokenizer: Tokenizer) -> Table:
    """By what a piece adds to a text, in characters; bytes that are no text count each."""
    pieces = sorted(tokenizer.algorithm.vocab.items(), key=lambda item: (-len(item[0]), item[1]))[:_LONGEST]
    rows = [{"id": id, "length": len(symbol), "piece": format.token(symbol)} for symbol, id in pieces]
    units = "bytes" if rows and isinstance(pieces[0][0], bytes) else "characters"
    lengths = Counter(len(symbol) for symbol in tokenizer.algorithm.vocab)
    usual = sum(length * count for length, count in lengths.items()) / max(1, lengths.total())
    return Table(rows, title="The longest pieces", notes=[f"lengths in {units}; the mean of all pieces is {usual:.2f}"])


def _sample(tokenizer: Tokenizer) -> Table:
    by_id = sorted((id, symbol) for symbol, id in tokenizer.algorithm.vocab.items())
    step = max(1, len(by_id) // _SAMPLE)
    rows: list[dict[str, Any]] = [{"id": id, "piece": format.token(symbol)} for id, symbol in by_id[::step]]
    return Table(rows, title=f"Every {step:,}th piece" if step > 1 else "All pieces")


def _slot(tokenizer: Tokenizer, slot: int | str) -> str:
    return tokenizer.piece(slot) if isinstance(slot, int) else "TEXT"


def _stages(stages: Stages) -> str:
    return ", then ".join(map(_part, stages.first)) or "none"


def _part(part: object) -> str:
    """A part with its settings, long ones shortened."""
    if not is_dataclass(part):
        return type(part).__name__
    settings = [f"{one.name}={_short(getattr(part, one.name))}" for one in fields(part) if one.repr]
    return f"{type(part).__name__}({', '.join(settings)})"


def _short(value: object) -> str:
    return f"({len(value):,} bytes)" if isinstance(value, bytes) else repr(value)
