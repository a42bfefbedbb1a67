"""Translate: an encoder-decoder reads each text and writes it anew, in the language it was trained to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from isinglass.generation.lm import LM
from isinglass.generation.rewriting import rewrite
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table


@dataclass(frozen=True)
class Translated(Finding):
    """Texts and their translations; `ended` is False where the limit of tokens cut one off."""

    texts: tuple[str, ...]
    translations: tuple[str, ...]
    ended: tuple[bool, ...]
    command: str | None = None

    @property
    def table(self) -> Table:
        """A row for each text."""
        rows = [{"text": text, "translation": new} for text, new in zip(self.texts, self.translations, strict=True)]
        cut = self.ended.count(False)
        notes = [f"{cut} cut off by the limit of tokens"] if cut else []
        return Table(rows, title="Translations", notes=notes, command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return [{**row, "ended": ended} for row, ended in zip(self.table.rows, self.ended, strict=True)]


def translate(
    lm: LM, texts: Sequence[str], *, strategy: str = "greedy", max_tokens: int | None = None, seed: int = 0, command: str | None = None
) -> Translated:
    """Each text as the model writes it anew. Raises what `generation.rewriting.rewrite` raises."""
    found = rewrite(lm, texts, strategy=strategy, max_tokens=max_tokens, seed=seed)
    ended = tuple(one.finish == "end" for one in found)
    return Translated(tuple(texts), tuple(one.text.strip() for one in found), ended, command)
