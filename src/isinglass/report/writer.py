"""What writes a document in one format. The formats stand in `writers/`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from isinglass.report.document import Document


class Writer(ABC):
    """Writes documents in one format; a module of `writers/` names its `SUFFIX` and builds one."""

    @abstractmethod
    def write(self, document: Document, path: Path) -> Path:
        """Write `document` to `path` in one step, creating its folder; returns the path."""
