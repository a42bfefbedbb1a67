"""Text a verb is given: as an argument, from stdin (`-`), or from a file."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isinglass.core.errors import DataError


def _not_an_option(_: Any, value: str | None) -> None:
    """A mistyped option must not be taken for the text."""
    if value is not None and re.fullmatch(r"--\w[\w-]*", value):
        raise ValueError("no option of this verb; as a text, give it on stdin with -")


_TEXT = Parameter(help="The text; - reads stdin.", allow_leading_hyphen=True, validator=_not_an_option)
Text = Annotated[str, _TEXT]
OptionalText = Annotated[str | None, _TEXT]


def read_text(text: str) -> str:
    """The text itself, or what stands on stdin for `-`."""
    return decoded(sys.stdin.buffer.read(), "stdin") if text == "-" else text


def read_file(path: Path) -> str:
    """A UTF-8 file. Raises DataError, with the place of a byte that is not UTF-8."""
    try:
        return decoded(path.read_bytes(), str(path))
    except OSError as fault:
        raise DataError(f"cannot read {str(path)!r}: {fault.strerror}") from None


def decoded(content: bytes, where: str) -> str:
    """Text of UTF-8 bytes; line ends stay as they are."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        raise DataError(
            f"{where!r} is not UTF-8: byte 0x{content[fault.start]:02x} at offset {fault.start:,} (line {line:,})",
            hint=f"convert it first: iconv -f latin1 -t utf-8 {where}" if where != "stdin" else "convert it first with iconv",
        ) from None
