"""Tokens that no text gives, and tokens a model hardly learned.

A vocabulary is made from other text than the model is trained on, and from other rules than it is used with. Tokens that never turned
up were hardly trained, and a model that meets one says strange things ("SolidGoldMagikarp", Rumbelow and Watkins 2023). Rules find the
unreachable ones; embeddings of an unusual size can point to the rest (Land and Bartolo, "Fishing for Magikarp", 2024).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log
from statistics import fmean, pstdev
from typing import Any, Literal

from isinglass.core.errors import ShapeError
from isinglass.show import format
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table
from isinglass.text.algorithms.bpe import ByteBpe
from isinglass.text.audit.report import Audit, distinct, shown
from isinglass.text.tokenizer import Tokenizer

#: Strings that are one token of GPT-2 and became known for what they did to models (Rumbelow and Watkins, 2023).
KNOWN = (" SolidGoldMagikarp", " petertodd", " TheNitromeFan", "StreamerBot", " externalToEVA", "rawdownload", " davidjl")

Reach = Literal["text", "inside a character", "no text found", "added", "unused id"]
# A piece that only continues a word needs something in front of it.
_BEFORE = ("a", "e", "i", "o", "s", "t", "1", "b", "c", "d", "m", "p", "x", "z", " a", "k", "q", "2", "9")


def audit(tokenizers: Sequence[Tokenizer], *, most: int = 30) -> Audit:
    """How many tokens of each vocabulary a text can give, the unreachable ones, and the known glitch strings as tokens."""
    reached = {one.name: reach(one) for one in distinct(tokenizers)}
    counts = [{"tokenizer": name, "ids": len(kinds), **_counted(kinds)} for name, kinds in reached.items()]
    lost = [
        {"tokenizer": one.name, "id": id, "piece": one.piece(id)}
        for one in tokenizers
        for id in [id for id, kind in enumerate(reached[one.name]) if kind == "no text found"][:most]
    ]
    known = [{"string": format.token(text), **{one.name: shown(one, one.tokens(text)) for one in tokenizers}} for text in KNOWN]
    tables = [Table(counts, title="What gives each token"), Table(known, title="Known glitch strings")]
    tables += [Table(lost, title=f"Tokens that no text was found for (at most {most} of each)")] if lost else []
    worst = [f"{row['no text found']:,} of {row['tokenizer']}" for row in counts if row["no text found"]]
    finding = f"No text was found for {', '.join(worst)}." if worst else "Every token comes out of some text."
    return Audit("Which tokens can no text give?", finding, tuple(tables))


def audit_embeddings(tokenizer: Tokenizer, norms: Sequence[float], *, most: int = 30) -> Audit:
    """The tokens with the smallest embeddings of a model. `norms[id]` is the length of a token's embedding.

    `deviations` says how far the logarithm of the norm lies from the mean, in standard deviations. Raises ShapeError when there are fewer
    norms than ids.
    """
    if len(norms) < tokenizer.vocab_size:
        raise ShapeError(f"{len(norms):,} embedding norms for the {tokenizer.vocab_size:,} ids of {tokenizer.name!r}")
    logs = [log(max(norm, 1e-30)) for norm in norms[: tokenizer.vocab_size]]
    mean, spread = fmean(logs), pstdev(logs) or 1.0
    kinds = reach(tokenizer)
    smallest = sorted(range(tokenizer.vocab_size), key=lambda id: (norms[id], id))[:most]
    rows = [
        {
            "id": id,
            "piece": "" if kinds[id] == "unused id" else tokenizer.piece(id),
            "norm": norms[id],
            "deviations": (logs[id] - mean) / spread,
            "reached_by": kinds[id],
        }
        for id in smallest
    ]
    by_kind = [
        {"reached_by": kind, "tokens": len(some), "mean_norm": fmean(some), "smallest": min(some)}
        for kind in dict.fromkeys(kinds)
        if (some := [norms[id] for id, one in enumerate(kinds) if one == kind])
    ]
    figure = bars(
        [f"{row['piece']} ({row['id']})" for row in rows[:20]], [row["norm"] for row in rows[:20]],
        title="The smallest embeddings", axis="norm",
    )  # fmt: skip
    far = sum((one - mean) / spread < -3 for one in logs)
    finding = f"{far:,} of {len(logs):,} are more than 3 deviations smaller than usual; the smallest is {rows[0]['piece']!r}."
    notes = ["a hint, no proof: some models keep the embeddings of frequent tokens small, and of unused ones as large as they were born"]
    tables = (Table(rows, title="The smallest embeddings", notes=notes), Table(by_kind, title="Embeddings by what reaches the token"))
    return Audit("Which embeddings are unusually small?", finding, tables, (figure,))


def reach(tokenizer: Tokenizer) -> list[Reach]:
    """What gives each token, by id: text, bytes inside a character, or nothing that was found.

    A token counts as reached when its own text gives it, alone or behind one of a few beginnings. Bytes that are no text alone are
    reached when merging gives them.
    """
    added, used = {token.id for token in tokenizer.added}, set(tokenizer.algorithm.vocab.values())
    return ["added" if id in added else _reach(tokenizer, id) if id in used else "unused id" for id in range(tokenizer.vocab_size)]


def _reach(tokenizer: Tokenizer, id: int) -> Reach:
    raw = tokenizer.token_bytes(id)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        algorithm = tokenizer.algorithm
        stays = not isinstance(algorithm, ByteBpe) or algorithm.cut(raw) == [raw]
        return "inside a character" if stays else "no text found"
    first = tokenizer.first_bytes(id).decode("utf-8")
    if any(tokenizer.encode(one) == [id] for one in dict.fromkeys((first, text))):
        return "text"
    return "text" if any(id in tokenizer.encode(before + text) for before in (*_BEFORE, text[:1])) else "no text found"


def _counted(kinds: Sequence[Reach]) -> dict[str, Any]:
    counted = Counter(kinds)
    columns: tuple[Reach, ...] = ("text", "inside a character", "no text found", "added", "unused id")
    return {kind: counted[kind] for kind in columns}
