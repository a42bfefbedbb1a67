"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# the names that tempfile and whole_folder give: .NAME.abcd1234, with the suffix of a file, or .NAME.old
_LEFT = re.compile(r"\.(?P<name>.+?)\.(?:[a-z0-9_]{8}(?:\.\w+)?|(?P<old>old))")


@contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, on any error it is removed.

    >>> with atomic("out.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; give the result what an ordinary open() would have given
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: Path | str, content: str | bytes) -> Path:
    """Write text (UTF-8) or bytes to `path` in one step, creating its folder; returns the path."""
    with atomic(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return Path(path)


@contextmanager
def whole_folder(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder beside `path`; on success it takes the place of `path`, on any error it is removed.

    At no moment does `path` hold half of the new content; cut off in between the two renamings, it may be missing.

    >>> with whole_folder("results") as staging:
    ...     _ = (staging / "a.txt").write_text("whole")
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield staging
        for file in staging.rglob("*"):
            if file.is_file():
                _to_disk(file)
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            path.replace(old)
        staging.chmod(0o755)  # mkdtemp makes folders private
        staging.replace(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what writers of this module that were killed left in a folder; a folder that had stepped aside for a new one comes back."""
    for path in folder.glob(".*"):
        kept = _LEFT.fullmatch(path.name)
        if kept and kept["old"] and not path.with_name(kept["name"]).exists():
            path.replace(path.with_name(kept["name"]))
        elif kept and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif kept:
            path.unlink(missing_ok=True)


def _to_disk(file: Path) -> None:
    """Until this returns, a power cut could leave a file with a name and no content."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
