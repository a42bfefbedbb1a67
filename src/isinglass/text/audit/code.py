"""What indentation costs, and whether code survives: a tokenizer that drops white space cannot write Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.text.audit.report import Audit, distinct
from isinglass.text.samples import CODE
from isinglass.text.tokenizer import Tokenizer

_WIDTHS = (1, 2, 4, 8, 12, 16, 24, 32)


def audit(tokenizers: Sequence[Tokenizer]) -> Audit:
    """The tokens of indentations, and of a function in Python."""
    indents = {one.name: [_white_tokens(one, f"x\n{' ' * width}y") for width in _WIDTHS] for one in distinct(tokenizers)}
    by_width = [
        {"indentation": f"{width} space{'s' if width > 1 else ''}", **{name: counts[at] for name, counts in indents.items()}}
        for at, width in enumerate(_WIDTHS)
    ]
    by_width += [
        {
            "indentation": f"{tabs} tab{'s' if tabs > 1 else ''}",
            **{one.name: _white_tokens(one, "x\n" + "\t" * tabs + "y") for one in tokenizers},
        }
        for tabs in (1, 2, 4)
    ]
    rows = [_row(one) for one in tokenizers]
    lossy = [row["tokenizer"] for row in rows if not row["gives_text_back"]]
    finding = f"{', '.join(lossy)} {'do' if len(lossy) > 1 else 'does'} not give the code back." if lossy else "All give the code back."
    figure = lines(
        {name: (list(_WIDTHS), counts) for name, counts in indents.items()},
        title="What indentation costs", x="spaces at the start of a line", y="tokens of white space alone",
    )  # fmt: skip
    whole = Table(rows, title=f"A function of {len(CODE.splitlines())} lines in Python", units={"white_space": "ratio"})
    return Audit(
        "What does indentation cost, and does code come back?",
        finding,
        (whole, Table(by_width, title="Tokens of white space alone, for a line break and an indentation")),
        (figure,),
    )


def _white_tokens(tokenizer: Tokenizer, text: str) -> int:
    """Tokens that hold nothing but white space of the text."""
    return sum(token.end > token.start and not text[token.start : token.end].strip() for token in tokenizer.tokens(text))


def _row(tokenizer: Tokenizer) -> dict[str, Any]:
    ids = tokenizer.encode(CODE)
    return {
        "tokenizer": tokenizer.name,
        "tokens": len(ids),
        "tokens_per_line": len(ids) / len(CODE.splitlines()),
        "characters_per_token": len(CODE) / len(ids),
        "white_space": _white_tokens(tokenizer, CODE) / len(ids),
        "gives_text_back": tokenizer.decode(ids) == CODE,
    }
