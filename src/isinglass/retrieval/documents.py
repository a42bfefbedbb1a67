"""Documents of a folder, and the files that are none, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isinglass.core.errors import DataError

SUFFIXES = (".md", ".txt")
COLLECTION = Path(__file__).with_name("collection")  # twenty documents written for the project


@dataclass(frozen=True)
class SourceText:
    """A document by its name in the collection."""

    name: str
    text: str


@dataclass(frozen=True)
class Skipped:
    """A file that was left out."""

    name: str
    reason: str


def read_folder(folder: str | Path) -> tuple[list[SourceText], list[Skipped]]:
    """Every .md and .txt file of a folder and below, in order of path; or one file.

    Others, and those that are empty or not UTF-8, are told with the reason. Raises DataError when nothing is left.
    """
    root = Path(folder).expanduser()
    if not root.exists():
        raise DataError(f"no file or folder {str(folder)!r}", hint=f"a folder of {' and '.join(SUFFIXES)} files")
    paths = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    found, skipped = [], []
    for path in paths:
        name = path.name if root.is_file() else path.relative_to(root).as_posix()
        try:
            text = path.read_text(encoding="utf-8") if path.suffix.lower() in SUFFIXES else None
        except UnicodeDecodeError as fault:
            skipped.append(Skipped(name, f"not UTF-8: byte {fault.start}"))
            continue
        except OSError as fault:
            skipped.append(Skipped(name, f"cannot be read: {fault.strerror}"))
            continue
        if text is None:
            skipped.append(Skipped(name, f"a {path.suffix or 'nameless'} file, expected {' or '.join(SUFFIXES)}"))
        elif not text.strip():
            skipped.append(Skipped(name, "empty"))
        else:
            found.append(SourceText(name, text))
    if not found:
        details = [f"{one.name}: {one.reason}" for one in skipped[:10]]
        raise DataError(f"no document in {str(folder)!r}", details=details, hint=f"files of {' and '.join(SUFFIXES)} in UTF-8")
    return found, skipped
