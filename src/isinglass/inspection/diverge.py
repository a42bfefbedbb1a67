"""Diverge: the first place where two models compute something else, over the same tokens.

Either may be one of ours (a name, a folder, a checkpoint), one of them a student's `my_module:MyGPT`, whose modules are watched by hooks.
One model's tensors are kept; those of the other are compared as they come and let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import Prompt
from isinglass.inspection import student_map
from isinglass.inspection.divergence import Difference, Divergence, difference
from isinglass.inspection.reading import Reading, reading, token_text
from isinglass.inspection.student import Sizes, make_module, tensor_of, told
from isinglass.inspection.student_map import NameMap
from isinglass.nn.tap import Tap

TOLERANCE = 1e-5
Compare = Callable[[tuple[str, ...], Tensor], None]
_BY_REFERENCE = (".scores", ".weights")  # looking at these calls for the reference kernel


@dataclass
class _Keeper:
    """A tap that keeps everything; scores and weights only when asked, since a layer then runs another kernel."""

    scores: bool
    kept: dict[str, Tensor]

    def wants(self, name: str) -> bool:
        return self.scores or not name.endswith(_BY_REFERENCE)

    def __call__(self, name: str, x: Tensor) -> Tensor:
        self.kept[name] = x.detach().clone()
        return x


@dataclass
class _Comparer:
    """A tap that compares what comes with what was kept, which it lets go."""

    kept: dict[str, Tensor]
    rows: dict[str, Difference]

    def wants(self, name: str) -> bool:
        return name in self.kept

    def __call__(self, name: str, x: Tensor) -> Tensor:
        kept = self.kept.pop(name)
        self.rows[name] = difference(name, kept, x.to(kept.device))
        return x


def diverge(
    a: LM,
    b: LM,
    text: Prompt,
    *,
    target: Prompt | None = None,
    tolerance: float = TOLERANCE,
    scores: bool = False,
    names: tuple[str, str] = ("A", "B"),
    command: str | None = None,
) -> Divergence:
    """Compare two models at every tap that both have, over the tokens that `a` makes of the text.

    `scores` compares attention scores and weights too, by the reference kernel. Raises EngineError for an empty or too long text, and for
    models that have no tap in common.

    >>> import isinglass as ig
    >>> diverge(ig.create("tiny", seed=0), ig.create("tiny", seed=0), "abc").first is None
    True
    """
    given = reading(a, text, target)
    other = reading(b, given.source.ids, None if given.target is None else [row[1:] for row in given.target.ids])
    kept = _kept(given, scores)
    order, comparer = list(kept), _Comparer(kept, {})
    with torch.inference_mode():
        other.run(comparer)
    rows = tuple(comparer.rows[name] for name in order if name in comparer.rows)
    if not rows:
        raise EngineError(f"{names[0]} and {names[1]} have no place in common", hint="compare models of the same kind")
    notes = [f"{names[1]} has no {', '.join(list(kept)[:4])}{', ...' if len(kept) > 4 else ''}"] if kept else []
    if isinstance(text, str) and b.encode(text) != given.source.ids[0]:
        notes.append(f"{names[1]} was given the tokens of {names[0]}: its own tokenizer cuts this text otherwise")
    return Divergence(*names, _tokens(given), rows, tolerance, tuple(notes), None, command)


def _kept(given: Reading, scores: bool) -> dict[str, Tensor]:
    keeper = _Keeper(scores, {})
    tap: Tap = keeper
    with torch.inference_mode():
        given.run(tap)
    return keeper.kept


def _tokens(given: Reading) -> tuple[str, ...]:
    return tuple(token_text(given.lm, id) for id in given.rows.ids[0])


def diverge_from_student(
    lm: LM,
    student: str,
    text: Prompt,
    *,
    map_file: Path | None = None,
    arguments: Mapping[str, Any] | None = None,
    weights: Literal["copied", "own"] = "copied",
    tolerance: float = TOLERANCE,
    names: tuple[str, str] = ("A", "B"),
    command: str | None = None,
) -> Divergence:
    """Compare one of our models with a student's `my_module:MyGPT`, which is imported, and so executed.

    Its modules are matched with our taps by `map_file` (a TOML table [taps]) or by guess. `weights="copied"` puts our weights into it
    first. Raises DataError for errors of its code, CheckpointError when weights cannot be copied.
    """
    given = reading(lm, text)
    if given.target is not None:
        raise EngineError("a class of yours is compared with a decoder or an encoder, not with an encoder-decoder")
    own = dict(arguments or {})
    sizes = student_map.sizes_of(lm.config).with_(own)
    module = make_module(student, own, sizes)
    notes = student_map.copy_weights(lm.model, module, sizes) if weights == "copied" else ["with its own weights"]
    wanted = _wanted(module, map_file, sizes)
    kept = _kept(given, scores=False)
    order, rows = list(kept), dict[str, Difference]()
    unknown = [tap for taps in wanted.values() for tap in taps if tap not in kept]
    if unknown and map_file is not None:
        raise EngineError(f"{str(map_file)!r}: unknown tap {unknown[0]!r}", details=[f"known: {', '.join(order[:20])}, ..."])

    def compare(taps: tuple[str, ...], x: Tensor) -> None:
        ours = [kept[tap] for tap in taps if tap in kept]
        for tap, mine, theirs in zip(taps, ours, student_map.split(x, ours), strict=False):
            rows.setdefault(tap, difference(tap, student_map.fit(mine, theirs), theirs))

    _run(module, given.source.batch, wanted, compare)
    if not rows:
        raise EngineError("none of the places in the map was reached", details=[", ".join(wanted)], hint="give another: --map map.toml")
    silent = [name for name, taps in wanted.items() if not any(tap in rows for tap in taps) and any(tap in kept for tap in taps)]
    notes += [f"never called: {', '.join(silent[:4])}"] if silent else []
    found = tuple(rows[name] for name in order if name in rows)
    return Divergence(*names, _tokens(given), found, tolerance, tuple(notes), student_map.layer_wise(wanted), command)


def _wanted(module: nn.Module, map_file: Path | None, sizes: Sizes) -> NameMap:
    return student_map.guessed_map(module, sizes) if map_file is None else student_map.read_map(map_file, module, sizes.n_layers)


def _run(module: nn.Module, ids: Tensor, wanted: NameMap, compare: Compare) -> None:
    """One pass of a student's model with hooks on the modules of the map."""
    with _hooks(module, wanted, compare), torch.no_grad(), told(f"calling it with ids of {list(ids.shape)}"):
        module(ids)


@contextmanager
def _hooks(module: nn.Module, wanted: NameMap, compare: Compare) -> Iterator[None]:
    """They are gone afterwards in any case."""
    handles = []
    for name, taps in wanted.items():
        part = module.get_submodule(name.removesuffix(":input"))
        if name.endswith(":input"):
            handles.append(part.register_forward_pre_hook(_on_input(compare, taps)))
        else:
            handles.append(part.register_forward_hook(_on_output(compare, taps)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _on_input(compare: Compare, taps: tuple[str, ...]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    return lambda module, given: compare(taps, given[0].detach())


def _on_output(compare: Compare, taps: tuple[str, ...]) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    return lambda module, given, made: compare(taps, tensor_of(made).detach())
