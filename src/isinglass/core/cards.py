"""Cards: what a variant says about itself, read from its file without importing it.

A card is the module's docstring: a first line, then headings (What, Why, Math, Cost, Used by, Paper) each followed by its text.
"""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import isinglass
from isinglass.core.errors import VariantError, unknown
from isinglass.core.variants import Family

HEADINGS = ("What", "Why", "Math", "Format", "Cost", "Used by", "Paper", "Source")
_HEADING = re.compile(rf"^({'|'.join(HEADINGS)}):\s*", re.MULTILINE)


@dataclass(frozen=True)
class Card:
    """The card of one variant: `sections` maps heading -> text, `signature` the arguments of `build` after the context."""

    family: str
    name: str
    title: str
    sections: dict[str, str]
    signature: str
    example: dict[str, Any]
    path: Path


def read_card(family: str, path: Path) -> Card:
    """Read the card of one variant file with `ast`: nothing is imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    title, _, rest = text.partition("\n")
    parts = _HEADING.split(rest)
    sections = {heading: body.strip() for heading, body in zip(parts[1::2], parts[2::2], strict=True)}
    return Card(family, path.stem, title.strip(), sections, _signature(tree), _example(tree), path)


def _signature(tree: ast.Module) -> str:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            arguments = ast.unparse(node.args)
            return re.sub(r"^(dims|_dims)(: \w+)?(, )?", "", arguments)
    return ""


def _example(tree: ast.Module) -> dict[str, Any]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLE" and isinstance(node.value, ast.Call):
            return {k.arg: ast.literal_eval(k.value) for k in node.value.keywords if k.arg}
    return {}


@cache
def families() -> dict[str, Family[Any]]:
    """Every family of the package by name: a folder whose `__init__.py` sets `family = Family(...)`."""
    root = Path(isinglass.__file__).parent
    found: dict[str, Family[Any]] = {}
    for init in sorted(root.rglob("__init__.py")):
        if re.search(r"^family\b.*= Family", init.read_text(encoding="utf-8"), re.MULTILINE):
            dotted = ".".join(("isinglass", *init.parent.relative_to(root).parts))
            found[init.parent.name] = importlib.import_module(dotted).family
    return found


def cards(family: str | None = None) -> list[Card]:
    """Cards of one family, or of all, in order of name."""
    chosen = families() if family is None else {family: families()[family]}
    return [read_card(name, path) for name, member in chosen.items() for path in member.files().values()]


def find_card(name: str) -> Card:
    """The card of `family.name`, or of a bare name when only one family has it."""
    family, _, bare = name.rpartition(".")
    fits = [card for card in cards() if card.name == bare and family in ("", card.family)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise VariantError(
            f"{name!r} stands in several families",
            details=[f"{c.family}.{c.name}" for c in fits],
            hint=f"isinglass explain {fits[0].family}.{bare}",
        )
    everything = [f"{c.family}.{c.name}" for c in cards()]
    by_bare = {full.rpartition(".")[2]: full for full in everything}
    raise unknown("variant", name, everything if family else by_bare, more="isinglass explain", error=VariantError)
