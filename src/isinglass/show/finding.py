"""`Finding`: a result made of several tables and figures. It shows itself in a terminal and a notebook, and saves itself as a whole."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from isinglass.core.errors import IsinglassError, unknown
from isinglass.core.files import write_atomic
from isinglass.show import embed
from isinglass.show.showable import Showable
from isinglass.show.table import Table


class Finding(ABC):
    """`parts` are for people, the most telling one first; `data` is the same for machines: numbers, texts, lists and dictionaries."""

    @property
    @abstractmethod
    def parts(self) -> Sequence[Showable]:
        """Tables and figures, in the order of reading."""

    @property
    @abstractmethod
    def data(self) -> Any:
        """What `--json` prints."""

    def save(self, path: str | Path) -> Path:
        """Write to `path` in the format of its suffix, in one step. Raises ConfigError for a format that no part has."""
        return save(formats(self.data, self.parts), Path(path), f"save({str(path)!r})")

    def __str__(self) -> str:
        return "\n\n".join(part.to_terminal() for part in self.parts)

    def _repr_html_(self) -> str:
        needs = tuple(dict.fromkeys(need for part in self.parts for need in part.needs))
        return embed.shared(needs) + "\n".join(part.html_fragment() for part in self.parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        text = "\n\n".join(part.to_terminal(100, color=False) for part in self.parts)
        return {"text/plain": text, "text/html": self._repr_html_()}


def formats(data: Any, parts: Sequence[Showable]) -> dict[str, Callable[[], str | bytes]]:
    """Suffix -> maker. JSON and text hold everything, a page all parts; a table or picture format takes the first part that has it."""
    makers: dict[str, Callable[[], str | bytes]] = {".json": lambda: embed.to_json(data, indent=2) + "\n"}
    tables = [part for part in parts if isinstance(part, Table)] or [part.data for part in parts if part.data is not None]
    pictures = [part for part in parts if not isinstance(part, Table)] or list(parts)
    for some, suffixes in ((tables[:1], (".csv", ".md")), (pictures[:1], (".png", ".svg"))):
        makers |= {suffix: part.formats()[suffix] for part in some for suffix in suffixes if suffix in part.formats()}
    return makers | {".html": lambda: _page(parts), ".txt": lambda: _text(parts)}


def save(makers: dict[str, Callable[[], str | bytes]], path: Path, where: str) -> Path:
    """Write what the maker of the path's suffix makes. Raises ConfigError for a format that is not there, IsinglassError for the disk."""
    maker = makers.get(path.suffix.lower())
    if maker is None:
        raise unknown("file format", path.suffix, makers, where=where)
    content = maker()
    try:
        return write_atomic(path, content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace"))
    except OSError as fault:
        raise IsinglassError(f"cannot write {str(path)!r}: {fault.strerror or fault}") from None


def _page(parts: Sequence[Showable]) -> str:
    from isinglass.show.page import Section, page

    return page(parts[0].title, [Section(part.title, items=[part]) for part in parts]) if len(parts) > 1 else parts[0].to_html()


def _text(parts: Sequence[Showable]) -> str:
    return "\n\n".join(part.to_terminal(120, color=False) for part in parts) + "\n"
