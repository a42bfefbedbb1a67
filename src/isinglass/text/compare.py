"""Texts through several tokenizers: how many tokens, how much text each holds, what is unknown, and whether the text comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from isinglass.core.errors import ConfigError
from isinglass.show.figure import Figure
from isinglass.show.marks.tokens import Piece
from isinglass.show.table import Table
from isinglass.text.tokenizer import Special, Token, Tokenizer


@dataclass(frozen=True)
class Cut:
    """A text as one tokenizer cuts it."""

    tokenizer: Tokenizer
    text: str
    special: Special = "text"

    @cached_property
    def tokens(self) -> list[Token]:
        """The tokens with their places in the text."""
        return self.tokenizer.tokens(self.text, special=self.special)

    def pieces(self) -> list[Piece]:
        """What chips show: the bytes of byte-level tokens, otherwise the piece as the vocabulary writes it."""
        by_bytes = isinstance(next(iter(self.tokenizer.algorithm.vocab), ""), bytes)
        return [self.tokenizer.token_bytes(token.id) if by_bytes else token.piece for token in self.tokens]

    def summary(self) -> dict[str, Any]:
        """One row of the comparison."""
        n, n_bytes = len(self.tokens), len(self.text.encode("utf-8", "replace"))
        unknown = sum(token.id in self.tokenizer.algorithm.unknown_ids for token in self.tokens)
        return {
            "tokenizer": self.tokenizer.name,
            "vocabulary": self.tokenizer.vocab_size,
            "tokens": n,
            "characters_per_token": len(self.text) / n if n else None,
            "bytes_per_token": n_bytes / n if n else None,
            "unknown_rate": unknown / n if n else None,
            "gives_text_back": self.tokenizer.decode([token.id for token in self.tokens]) == self.text,
        }

    def known_bytes_per_token(self) -> float:
        """Like bytes per token, without the characters that became unknown tokens; 0 for an empty text."""
        unknown = self.tokenizer.algorithm.unknown_ids
        lost = {at for token in self.tokens if token.id in unknown for at in range(token.start, token.end)}
        known = "".join(character for at, character in enumerate(self.text) if at not in lost)
        return len(known.encode("utf-8", "replace")) / max(1, len(self.tokens))

    def rows(self) -> list[dict[str, Any]]:
        """One row per token."""
        return [token._asdict() for token in self.tokens]


@dataclass(frozen=True)
class Comparison:
    """All cuts: for each text, one by each tokenizer."""

    cuts: Mapping[str, Sequence[Cut]]

    @property
    def table(self) -> Table:
        """One row for each text and tokenizer."""
        rows = [{"text": name, **cut.summary()} for name, cuts in self.cuts.items() for cut in cuts]
        return Table(rows, title="Each text by each tokenizer", units={"unknown_rate": "ratio"})

    @property
    def counts(self) -> Table:
        """One row for each text, with its characters, its bytes, and a column of token counts for each tokenizer."""
        rows = [
            {"text": name, "characters": len(cuts[0].text), "in_utf8": len(cuts[0].text.encode("utf-8", "replace"))}
            | {cut.tokenizer.name: len(cut.tokens) for cut in cuts}
            for name, cuts in self.cuts.items()
        ]
        return Table(rows, title="How many tokens it takes")

    @property
    def figure(self) -> Figure:
        """Bytes per token: texts down, tokenizers across."""
        from isinglass.show.marks.heatmap import heatmap  # NumPy comes with it

        names = [cut.tokenizer.name for cut in next(iter(self.cuts.values()))]
        return heatmap(
            [[cut.known_bytes_per_token() for cut in cuts] for cuts in self.cuts.values()],
            title="How much text a token holds", rows=list(self.cuts), columns=names,
            row_axis="text", column_axis="tokenizer", value="bytes per token",
            notes=["text that became unknown tokens counts for nothing: it is not held"],
        )  # fmt: skip


def compare(tokenizers: Sequence[Tokenizer], texts: Mapping[str, str], *, special: Special = "text") -> Comparison:
    """Every text through every tokenizer. Raises ConfigError when there are no texts or no tokenizers.

    >>> from isinglass.text.load import tokenizer
    >>> compare([tokenizer("gpt2")], {"greeting": "Hello, world!"}).table.rows[0]["tokens"]
    4
    """
    if not tokenizers or not texts:
        raise ConfigError(f"nothing to compare: {len(tokenizers)} tokenizers and {len(texts)} texts, expected at least one of each")
    return Comparison({name: [Cut(one, text, special) for one in tokenizers] for name, text in texts.items()})
