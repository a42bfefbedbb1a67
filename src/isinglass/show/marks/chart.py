"""What the charts share: Altair's description without data, put together with its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def specification(chart: Any, rows: Iterable[Mapping[str, Any]], *, height: int) -> dict[str, Any]:
    """The Vega-Lite dict of an Altair chart over `NamedData("rows")`, with `rows` inside; colours and fonts come from the theme later."""
    spec = chart.properties(height=height).to_dict()
    spec.pop("config", None)  # Altair's defaults would override the theme's
    return {**spec, "data": {"values": list(rows)}}


def source() -> Any:
    """The place in a chart where the rows will stand."""
    import altair

    return altair.NamedData("rows")
