"""The language premium: what the same notice costs in other languages, beside what is lost on the way.

A low premium is no bargain when the text does not come back: BERT writes a Thai sentence as two or three unknown tokens.
Petrov et al., "Language Model Tokenizers Introduce Unfairness Between Languages", 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isinglass.show.marks.heatmap import heatmap
from isinglass.show.table import Table
from isinglass.text.audit.report import Audit, distinct
from isinglass.text.samples import PARALLEL, Language
from isinglass.text.tokenizer import Tokenizer

_REFERENCE = "English"


def audit(tokenizers: Sequence[Tokenizer]) -> Audit:
    """Tokens of the built-in notice in each language, as a multiple of English, with the share of characters that become unknown."""
    rows = [row for one in distinct(tokenizers) for row in _rows(one)]
    premium = [[row["premium"] for row in rows if row["language"] == language] for language in PARALLEL]
    names = [one.name for one in tokenizers]
    figure = heatmap(
        premium, title=f"Tokens for the same notice, as a multiple of {_REFERENCE}", rows=list(PARALLEL), columns=names,
        row_axis="language", column_axis="tokenizer", value="premium",
        notes=["where characters are lost, a low premium is no bargain: see the table"],
    )  # fmt: skip
    table = Table(rows, title="The language premium, and what is lost", units={"unknown_rate": "ratio", "characters_lost": "ratio"})
    faithful = [row for row in rows if row["characters_lost"] == 0]
    worst = max(faithful or rows, key=lambda row: row["premium"])
    lossy = sorted({row["tokenizer"] for row in rows if row["characters_lost"] > 0}, key=names.index)
    finding = f"{worst['language']} costs {worst['premium']:.1f} times {_REFERENCE} in {worst['tokenizer']}"
    finding += f"; {', '.join(lossy)} {'lose' if len(lossy) > 1 else 'loses'} characters of some languages." if lossy else "; none is lost."
    return Audit("What does the same text cost in other languages?", finding, (table,), (figure,))


def _rows(tokenizer: Tokenizer) -> list[dict[str, Any]]:
    reference = tokenizer.count(PARALLEL[_REFERENCE].text)
    return [_row(tokenizer, name, language, reference) for name, language in PARALLEL.items()]


def _row(tokenizer: Tokenizer, name: str, language: Language, reference: int) -> dict[str, Any]:
    text, tokens = language.text, tokenizer.tokens(language.text)
    unknown = [token for token in tokens if token.id in tokenizer.algorithm.unknown_ids]
    lost = {at for token in unknown for at in range(token.start, token.end) if not text[at].isspace()}
    return {
        "tokenizer": tokenizer.name,
        "language": name,
        "script": language.script,
        "tokens": len(tokens),
        "premium": len(tokens) / reference,
        "bytes_per_token": len(text.encode("utf-8")) / len(tokens),
        "unknown_rate": len(unknown) / len(tokens),
        "characters_lost": len(lost) / sum(not character.isspace() for character in text),
        "gives_text_back": tokenizer.decode([token.id for token in tokens]) == text,
    }
