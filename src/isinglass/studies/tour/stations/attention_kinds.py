"""What each kind of attention costs as the text grows, measured now, and which pairs of tokens it looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch

from isinglass.core import units
from isinglass.evaluation.attention_costs import KINDS, Cost, measuring, summary
from isinglass.generation.lm import LM
from isinglass.nn.attention import masks
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.slots import Slots
from isinglass.show.figure import Figure
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.marks.lines import lines
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command, source

ORDER = 65
MEASURED = ("full", "sliding window", "flash", "linear")
LENGTHS = (256, 512, 1024, 2048)
DIMS = Dims(d_model=64, n_heads=1, n_kv_heads=1, d_head=64, context_length=LENGTHS[-1])
_ROUNDS = 5
_PICTURED = 24  # tokens: few enough for a picture
PATTERNS: Mapping[str, str] = {
    "causal": "causal",
    "sliding window": "causal & sliding_window(5)",
    "Longformer": "sliding_window(4) | global_tokens(2)",
    "BigBird": "sliding_window(3) | global_tokens(2) | random_blocks(2, 1)",
}


def station(lm: LM) -> Station:
    with _one_thread():
        costs = list(measuring(MEASURED, LENGTHS, dims=DIMS, rounds=_ROUNDS))
    fitted = summary(costs)
    pictures = {name: pattern(mask) for name, mask in PATTERNS.items()}
    shares = {name: float(allowed.mean()) for name, allowed in pictures.items()}
    again = command("bench attention", "--kinds", ",".join(MEASURED), "--lengths", ",".join(map(str, LENGTHS)), "--heads", "1")
    table = Table(
        [_row(row, [cost for cost in costs if cost.kind == row["kind"]]) for row in fitted],
        title=f"Measured at {LENGTHS[-1]:,} tokens, and the power of the length, fitted beside theory", command=again,
        notes=["one head of 64 features, one thread; short texts flatten a power: fixed costs do not grow"],
    )  # fmt: skip
    facts = {
        "lengths": list(LENGTHS),
        "seconds": {kind: [cost.time_seconds for cost in costs if cost.kind == kind] for kind in MEASURED},
        "extra_bytes": {kind: [cost.extra_bytes for cost in costs if cost.kind == kind] for kind in MEASURED},
        "powers": {row["kind"]: {name: row[name] for name in ("time", "time in theory", "memory", "memory in theory")} for row in fitted},
        "share_of_pairs": shares,
    }
    by_time, by_memory = _figure(costs, "time", again), _figure(costs, "memory", again)
    masks_again = command("tour", "--model", source(lm), "--only", "attention_kinds")
    drawn = [_picture(name, PATTERNS[name], allowed, masks_again) for name, allowed in pictures.items()]
    return Station(
        "Other ways to look", _text(facts["seconds"], facts["extra_bytes"], shares), (by_time, table), facts, (by_memory, *drawn)
    )


def pattern(expression: str) -> torch.Tensor:
    """1 where a token (row) may look at another (column), else 0."""
    slots = Slots.first(torch.zeros(1, _PICTURED, dtype=torch.long))
    return masks.family.resolve(expression, DIMS).allow(slots, slots)[0].float()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Work of a millisecond gains nothing from a second thread, and waits for it where others use the processor too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _text(seconds: Mapping[str, Sequence[float]], n_bytes: Mapping[str, Sequence[float]], shares: Mapping[str, float]) -> str:
    grown = LENGTHS[-1] / LENGTHS[0]
    cheapest = min(seconds, key=lambda kind: seconds[kind][-1])
    return (
        f"Full attention compares every token with every earlier one. When a text grows {grown:.0f} times, to {LENGTHS[-1]:,} tokens, it "
        f"takes {_times(seconds['full'])} times as long and {_times(n_bytes['full'])} times the memory, a sliding window "
        f"{_times(seconds['sliding window'])} and {_times(n_bytes['sliding window'])}, linear attention {_times(seconds['linear'])} and "
        f"{_times(n_bytes['linear'])}. Flash attention computes what full attention does, tile by tile: {units.size(n_bytes['flash'][-1])} "
        f"beyond the inputs instead of {units.size(n_bytes['full'][-1])}. The quickest here at that length is {cheapest}, with "
        f"{units.duration(seconds[cheapest][-1])}. A mask says which pairs may meet: of {_PICTURED} tokens' pairs causal allows "
        f"{units.share(shares['causal'])}, Longformer's pattern {units.share(shares['Longformer'])}, BigBird's "
        f"{units.share(shares['BigBird'])}; the share of the last two falls as the text grows."
    )


def _times(values: Sequence[float]) -> str:
    return f"{values[-1] / values[0]:.1f}"


def _row(fitted: Mapping[str, object], costs: Sequence[Cost]) -> dict[str, object]:
    return {
        "kind": fitted["kind"],
        "took_seconds": costs[-1].time_seconds,
        "extra_bytes": costs[-1].extra_bytes,
        "time": fitted["time"],
        "time in theory": fitted["time in theory"],
        "memory": fitted["memory"],
        "memory in theory": fitted["memory in theory"],
    }


def _figure(costs: Sequence[Cost], what: str, again: str) -> Figure:
    """Measured against the length on logarithmic axes, with the straight lines of theory through the last points of two kinds."""
    title, unit = {"time": ("Time of one attention layer", "ms"), "memory": ("Memory beyond the inputs", "MB")}[what]

    def values(kind: str) -> list[float]:
        mine = [cost for cost in costs if cost.kind == kind]
        return [1000 * cost.time_seconds if what == "time" else cost.extra_bytes / 1e6 for cost in mine]

    def straight(kind: str, slope: int) -> tuple[list[int], list[float]]:
        return list(LENGTHS), [values(kind)[-1] * (length / LENGTHS[-1]) ** slope for length in LENGTHS]

    return lines(
        {kind: (list(LENGTHS), values(kind)) for kind in MEASURED},
        theory={"as N²": straight("full", 2), "as N": straight("linear", 1)},
        title=f"{title}, against the length of the text", x="text (tokens)", y=f"{what} ({unit})", x_scale="log", y_scale="log",
        command=again, notes=[f"{name}: {KINDS[name].mask}, kernel {KINDS[name].kernel}" for name in MEASURED],
    )  # fmt: skip


def _picture(name: str, expression: str, allowed: torch.Tensor, again: str) -> Figure:
    places = [str(place) for place in range(_PICTURED)]
    return heatmap(
        allowed.numpy(), title=f"Who may look at whom: {name}", rows=places, columns=places, row_axis="token that looks",
        column_axis="token it may look at", value="allowed", limits=(0, 1), command=again, notes=[f"mask: {expression}"],
    )  # fmt: skip
