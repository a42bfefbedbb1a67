"""Pages made at build time: one section per variant, from the cards in the source. A new file appears here by itself."""

from __future__ import annotations

import subprocess
import sys

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from isinglass.cli.main import VERBS
from isinglass.core.cards import Card, cards, families


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated reference pages."""
    files.append(File.generated(config, "reference/variants.md", content=_variants()))
    files.append(File.generated(config, "reference/cli.md", content=_command_line()))
    return files


def _variants() -> str:
    """Every family with its members and their cards."""
    lines = ["# Variants", "", "Each name is a file; `isinglass explain NAME` prints the same card.", ""]
    for family in families():
        lines += [f"## {family}", ""]
        for card in cards(family):
            lines += _section(card)
    return "\n".join(lines)


def _section(card: Card) -> list[str]:
    rows = [f"**{heading}.** {' '.join(text.split())}" for heading, text in card.sections.items()]
    call = f"{card.name}({card.signature})" if card.signature else card.name
    return [f"### {card.family}.{card.name}", "", card.title, "", f"`{call}`", "", *(line for row in rows for line in (row, ""))]


def _command_line() -> str:
    """The help page of each verb, as the terminal prints it."""
    lines = ["# Command line", ""]
    for verb in VERBS:
        command = [sys.executable, "-m", "isinglass", verb, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "110", "NO_COLOR": "1"}).stdout
        lines += [f"## isinglass {verb}", "", "```text", shown.strip(), "```", ""]
    return "\n".join(lines)
