"""Layers that ran the lines of another one over the same shapes, folded into a remark that says how far they are the same."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from isinglass.inspection.steps import Step

LAYER = re.compile(r"(?:^|\.)layers\.(\d+)$")  # the name of a block
_ALIKE = 0.3  # a layer is shown too when it has other lines than this one's, and they are more than this share
_NAMED = 3  # differing lines that a remark names

Run = tuple[str | None, list[Step]]


def folded(steps: Sequence[Step], layer: int) -> Iterator[Step | str]:
    """The steps with layer `layer` of each stack (the last one of a shorter stack) in full and the others as remarks."""
    runs = _runs(steps)
    shown = _shown(runs, layer)
    remarks = [_remark(name, run, shown) for name, run in runs]
    waiting: list[tuple[str, str]] = []  # (layer, remark) of layers one after the other
    for number, (name, run) in enumerate(runs):
        if remarks[number] is not None:
            waiting.append((str(name), str(remarks[number])))
            continue
        between = name is None and number > 0 and runs[number - 1][0] is not None
        if between and number + 1 < len(remarks) and remarks[number + 1] is not None:
            continue  # the round of the loop that calls a folded layer
        yield from _told(waiting)
        waiting = []
        yield from run
    yield from _told(waiting)


def _runs(steps: Sequence[Step]) -> list[Run]:
    """Steps one after the other in the same block."""
    runs: list[Run] = []
    for step in steps:
        if not runs or runs[-1][0] != step.layer:
            runs.append((step.layer, []))
        runs[-1][1].append(step)
    return runs


def _split(name: str) -> tuple[str, int]:
    """ "decoder.layers.3" is layer 3 of "decoder.layers"."""
    stack, _, number = name.rpartition(".")
    return stack, int(number)


def _shown(runs: Sequence[Run], layer: int) -> dict[str, tuple[str, list[Step]]]:
    """Of each stack the run that is shown."""
    found: dict[str, tuple[str, list[Step]]] = {}
    for name, run in runs:
        if name is not None:
            stack, number = _split(name)
            if number <= layer:
                found[stack] = (name, run)
    return found


def _remark(name: str | None, run: Sequence[Step], shown: Mapping[str, tuple[str, Sequence[Step]]]) -> str | None:
    """How a layer differs from the one that is shown; None for one that is to be shown itself."""
    if name is None or shown[_split(name)[0]][0] == name:
        return None
    other, theirs = shown[_split(name)[0]]
    counts, others = Counter(map(_form, run)), Counter(map(_form, theirs))
    more, fewer = counts - others, others - counts
    if more and fewer and more.total() + fewer.total() > _ALIKE * len(theirs):
        return None
    words = [f"{what} {some.total()} lines ({_places(some)})" for what, some in (("with", more), ("without", fewer)) if some]
    told = " and ".join(words)
    same = f"the lines of layer {_split(other)[1]} over the same shapes"
    return f"{same}, {told}" if told else same


def _form(step: Step) -> tuple[str, tuple[object, ...]]:
    return step.place, tuple((value.name, value.shape) for value in step.values)


def _places(some: Counter[tuple[str, tuple[object, ...]]]) -> str:
    places = list(dict.fromkeys(place for place, _ in some))
    return ", ".join(places[:_NAMED]) + (", ..." if len(places) > _NAMED else "")


def _told(waiting: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Neighbours with the same remark as one."""
    start = 0
    for end in range(1, len(waiting) + 1):
        if end == len(waiting) or waiting[end][1] != waiting[start][1]:
            (stack, first), last = _split(waiting[start][0]), _split(waiting[end - 1][0])[1]
            which = f"{stack.removesuffix('s')} {first}" if first == last else f"{stack} {first} to {last}"
            yield f"{which}: {waiting[start][1]}; see --layer {first}"
            start = end
