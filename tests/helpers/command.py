"""The command line as a process."""

from __future__ import annotations

import sys


def command(*arguments: object) -> list[str]:
    """What to run for `isinglass ARGUMENTS`, without relying on an installed script."""
    return [sys.executable, "-m", "isinglass.cli.main", *map(str, arguments)]
