"""`isinglass explain`: the cards of all variants, read from their files without importing them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import isinglass
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import verb
from isinglass.core.cards import Card, cards, families, find_card
from isinglass.core.errors import VariantError, closest, unknown
from isinglass.show.table import Table

EXAMPLES = (
    "isinglass explain",
    "isinglass explain sliding_window",
    "isinglass explain masks",
    "isinglass explain positions.rotary --json",
)
app = verb("explain", EXAMPLES, notes=["NAME is a variant, family.variant where two families share the name, or a family."])


@app.default
def explain(
    name: Annotated[str, Parameter(help="Without it, all families.")] = "",
    /,
    *,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What each part is, why it is, and what it costs."""
    if name and name not in families():
        card = _card(name)
        output.emit(Result(_data(card), parts=[_table(card)]))
        return
    found = cards(name or None)
    rows = [{"family": card.family, "name": card.name, "title": _without_name(card)} for card in found]
    title = f"The {name}" if name else f"{len(found)} variants in {len(families())} families"
    table = Table(rows, title=title, columns=["name", "title"] if name else None, notes=["isinglass explain NAME tells more"])
    output.emit(Result([_data(card) for card in found], parts=[table]))


def _card(name: str) -> Card:
    """The card; the nearest known name may be that of a family."""
    try:
        return find_card(name)
    except VariantError as error:
        near = closest(name, [*families(), *(card.name for card in cards())])
        if not error.message.startswith("unknown") or near not in (*families(), None):
            raise
        raise unknown("variant or family", name, families(), more="isinglass explain", error=VariantError) from None


def _data(card: Card) -> dict[str, Any]:
    return {
        "name": f"{card.family}.{card.name}",
        "title": card.title,
        "sections": card.sections,
        "signature": f"{card.name}({card.signature})",
        "example": card.example,
        "file": str(card.path.relative_to(Path(isinglass.__file__).parent)),
    }


def _table(card: Card) -> Table:
    data = _data(card)
    example = ", ".join(f"{name}={value!r}" for name, value in card.example.items())
    lines = {**card.sections, "Arguments": data["signature"], "Example": f"{card.name}({example})", "File": data["file"]}
    rows = [{"about": about, "text": " ".join(text.split())} for about, text in lines.items()]
    return Table(rows, title=f"{data['name']} · {_without_name(card)}")


def _without_name(card: Card) -> str:
    """The title without the name in front of it, which stands beside it."""
    first, colon, rest = card.title.partition(": ")
    same = first.lower().replace(" ", "_").replace("-", "_") == card.name
    return rest if colon and same else card.title
