"""One sentence through six published vocabularies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isinglass.generation.lm import LM
from isinglass.show.marks.tokens import compared
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command
from isinglass.text.load import tokenizer
from isinglass.text.tokenizer import Tokenizer

ORDER = 20
NAMES = ("gpt2", "cl100k_base", "o200k_base", "bert-base-uncased", "t5", "smollm2")
# English, numbers, a rare sign, an emoji behind two spaces, code, and Russian
SENTENCE = 'The stove burns at 1,250 °C 🔥  — if temp > 99: print("Горячо!")'


def station(lm: LM) -> Station:
    vocabularies = [tokenizer(name) for name in NAMES]
    ids = {one.name: one.encode(SENTENCE) for one in vocabularies}
    back = {one.name: one.decode(ids[one.name]) for one in vocabularies}
    rows = [_row(one, ids[one.name], back[one.name]) for one in vocabularies]
    again = command("tokens compare", SENTENCE, "--with", ",".join(NAMES))
    strips = compared(
        {one.name: (pieces(one, ids[one.name]), ids[one.name]) for one in vocabularies},
        title="The same sentence, cut by six vocabularies", command=again,
        notes=("· and ▁ are spaces, ## continues a word, ‹F0 9F› are bytes that make a character only together with their neighbours",),
    )  # fmt: skip
    table = Table(rows, title="How much text a token holds", units={"vocabulary_size": "count"}, command=again)
    lossy = [row["vocabulary"] for row in rows if not row["gives_text_back"]]
    kept = Table(
        [{"vocabulary": "(the sentence)", "decoded": SENTENCE}, *({"vocabulary": name, "decoded": back[name]} for name in lossy)],
        title="What encoding and decoding loses", command=again,
    )  # fmt: skip
    counts = {row["vocabulary"]: row["tokens"] for row in rows}
    fewest, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    text = (
        f"A model never sees letters, only token ids; each vocabulary cuts the same {len(SENTENCE)} characters "
        f"({len(SENTENCE.encode())} bytes) its own way, from {counts[fewest]} tokens ({fewest}) to {counts[most]} ({most}). "
        f"Tokens are what one waits and pays for. {_loss(lossy, [n for n in NAMES if n not in lossy])}"
    )
    facts = {"sentence": SENTENCE, "tokens": counts, "lossy": {name: back[name] for name in lossy}}
    return Station("How text becomes numbers", text, (strips, table), facts, more=(kept,) if lossy else ())


def pieces(vocabulary: Tokenizer, ids: Sequence[int]) -> list[str | bytes]:
    """What chips show: the bytes of byte-level tokens, otherwise the piece as the vocabulary writes it."""
    by_bytes = isinstance(next(iter(vocabulary.algorithm.vocab), ""), bytes)
    return [vocabulary.token_bytes(id) if by_bytes else vocabulary.piece(id) for id in ids]


def _row(vocabulary: Tokenizer, ids: list[int], back: str) -> dict[str, Any]:
    return {
        "vocabulary": vocabulary.name,
        "vocabulary_size": vocabulary.vocab_size,
        "tokens": len(ids),
        "characters_per_token": len(SENTENCE) / len(ids),
        "bytes_per_token": len(SENTENCE.encode()) / len(ids),
        "gives_text_back": back == SENTENCE,
    }


def _loss(lossy: list[str], exact: list[str]) -> str:
    if not lossy:
        return "All of them give the text back exactly."
    return f"{' and '.join(lossy)} lose something of it on the way; {', '.join(exact)} give it back exactly, byte for byte."
