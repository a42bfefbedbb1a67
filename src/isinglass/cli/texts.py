"""Text a verb is given: as an argument, from stdin (`-`), or from a file."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from isinglass.cli.verb import option
from isinglass.core.errors import ConfigError, DataError


def _not_an_option(_: Any, value: str | None) -> None:
    """A mistyped option must not be taken for the text."""
    if value is not None and re.fullmatch(r"--\w[\w-]*", value):
        raise ValueError("no option of this verb; as a text, give it on stdin with -")


_TEXT = Parameter(help="The text; - reads stdin.", allow_leading_hyphen=True, validator=_not_an_option)
Text = Annotated[str, _TEXT]
OptionalText = Annotated[str | None, _TEXT]
File = Annotated[Path | None, option("A UTF-8 text file in place of TEXT.", "--file")]


def one_text(text: str | None, file: Path | None) -> str:
    """The text of an argument, of stdin (`-`) or of a file. Raises ConfigError for none, for both, and for the path of a file as text."""
    if (text is None) == (file is None):
        problem = "no text was given" if file is None else "give either a TEXT or --file, not both"
        raise ConfigError(problem, hint='"A text.", - for stdin, or --file text.txt')
    if file is not None:
        return read_file(file)
    refuse_path(text or "")
    return read_text(text or "")


def refuse_path(text: str) -> None:
    """A file's path would be taken for the text. Raises ConfigError."""
    if re.fullmatch(r"\S+\.\w+", text) and Path(text).is_file():
        raise ConfigError(f"the text {text!r} is the path of a file", hint=f"--file {text} reads the file; on stdin (-) it is a text")


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
