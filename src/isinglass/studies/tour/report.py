"""The tour's report: one HTML document that needs no network, with what was run, on what, and how long it took."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import isinglass
from isinglass.core import units
from isinglass.core.files import write_atomic
from isinglass.core.runtime import cores
from isinglass.generation.lm import LM
from isinglass.show.page import Section, page
from isinglass.show.table import Table
from isinglass.studies.tour.station import Visited, command, source

PRODUCT = "Isinglass: the language-model stack you can see through"


def describe(lm: LM) -> dict[str, str]:
    """Model and machine of this run, for people."""
    weight = lm.decoder.embed_tokens.weight
    n_parameters = sum(parameter.numel() for parameter in lm.decoder.parameters())
    return {
        "model": f"{source(lm)}, {units.count(n_parameters)} parameters, {str(weight.dtype).removeprefix('torch.')} on {weight.device}",
        "machine": f"{cores()} cores, {torch.get_num_threads()} used for arithmetic, {platform.machine()}, {platform.system()}",
        "software": f"isinglass {isinglass.__version__}, torch {torch.__version__}, Python {platform.python_version()}",
    }


def facts(visited: Sequence[Visited], path: Path, seconds: float) -> dict[str, Any]:
    """What programs read: the report's path, the time it took, and the facts of each station."""
    return {"report": str(path), "seconds": round(seconds, 2), "stations": {stop.name: dict(stop.station.facts) for stop in visited}}


def write_report(path: Path, lm: LM, visited: Sequence[Visited], *, seconds: float, total: int) -> Path:
    """Write the stations visited so far, of `total`, in one step; returns the path."""
    return write_atomic(path, html(lm, visited, seconds=seconds, total=total))


def html(lm: LM, visited: Sequence[Visited], *, seconds: float, total: int) -> str:
    """The whole document."""
    again = command("tour", "--model", source(lm))
    today = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    rows = [{"what": name, "this run": value} for name, value in (describe(lm) | {"date": today, "took": units.duration(seconds)}).items()]
    stopped = [] if len(visited) == total else [f"The tour was stopped after {len(visited)} of {total} stations; this is what it had seen."]
    text = [
        "One readable implementation of the Transformer: the model you load is the model you look inside is the model that answers. "
        "Here a real one goes from text to answer; every number below was computed or measured in this run, and under each figure stands "
        "the command that makes it again.",
        *stopped,
    ]
    opening = Section("This run", text, [Table(rows, title="What ran, and where", command=again)])
    stations = [
        Section(f"{number}. {stop.station.title}", [stop.station.text], [*stop.station.items, *stop.station.more], id=stop.name)
        for number, stop in enumerate(visited, start=1)
    ]
    return page(PRODUCT, [opening, *stations])
