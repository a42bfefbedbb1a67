"""Calling a student's module, whatever its forward wants besides x: a mask, or queries, keys and values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from isinglass.core.errors import DataError
from isinglass.inspection.student import Sizes, tensor_of, told

Call = Callable[[Tensor], Tensor]


class Caller:
    """`caller(x)` is the tensor that the student's module answers. `how` says with what besides x it is called.

    When it takes no batch, texts are given one by one, and `batch_error` is what it says of a batch. DataError when it fails whatever it
    is given.
    """

    def __init__(self, function: Callable[..., Any], sizes: Sizes, example: Tensor) -> None:
        self.function, self.sizes = function, sizes
        self.one_by_one, self.batch_error = False, ""
        self.how, self._call = self._chosen(example)

    def __call__(self, x: Tensor) -> Tensor:
        if self.one_by_one:
            return torch.stack([self._call(row) for row in x])
        return self._call(x)

    def _chosen(self, example: Tensor) -> tuple[str, Call]:
        """The first way that works; with a mask, the first whose outputs do not depend on later tokens."""
        ways, first, fault = list(self._ways()), None, None
        for batched in (True, False):
            for how, call in ways:
                try:
                    causal = _is_causal(call, example if batched else example[0])
                except DataError as error:
                    fault = fault or error
                    continue
                first = first or (how, call)
                if causal or not self.sizes.causal:
                    first = (how, call)
                    break
            if first is not None:
                self.one_by_one = not batched
                self.batch_error = "" if batched or fault is None else fault.message
                return first
        raise fault or DataError("your forward cannot be called")

    def _ways(self) -> Iterator[tuple[str, Call]]:
        forward = self.function.forward if isinstance(self.function, nn.Module) else self.function
        parameters = [p for p in _parameters(forward) if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        masked = next((p for p in parameters[1:] if "mask" in p.name.lower()), None)
        needed = [p for p in parameters if p.default is p.empty and p is not masked]
        times = max(1, len(needed)) if len(needed) in (1, 3) else 1  # forward(query, key, value) attends to itself
        again = "x as queries, keys and values" if times == 3 else ""
        if masked is None or masked.default is not masked.empty:
            yield again, lambda x: self._run(x, times, {})
        if masked is not None:
            yield from (
                (", ".join(filter(None, [again, f"{masked.name} = {words}"])), self._masked(masked.name, make, times))
                for words, make in _MASKS.items()
            )

    def _masked(self, name: str, make: Callable[[int], Tensor], times: int) -> Call:
        return lambda x: self._run(x, times, {name: make(x.shape[-2] if x.is_floating_point() else x.shape[-1])})

    def _run(self, x: Tensor, times: int, extra: dict[str, Tensor]) -> Tensor:
        with told(f"calling it with {list(x.shape)}"), torch.no_grad():
            answer = self.function(*[x.clone() for _ in range(times)], **extra)
        return tensor_of(answer).detach()


_MASKS: dict[str, Callable[[int], Tensor]] = {
    "1 where a token may look": lambda time: torch.ones(time, time).tril(),
    "True where a token may not look": lambda time: torch.ones(time, time).triu(1).bool(),
    "-inf where a token may not look": lambda time: torch.full((time, time), float("-inf")).triu(1),
}


def _is_causal(call: Call, x: Tensor) -> bool:
    axis = x.dim() - (2 if x.is_floating_point() else 1)
    seen = call(x)
    last = x.shape[axis] - 1
    if seen.dim() <= axis or seen.shape[axis] != x.shape[axis]:
        return True  # a wrong shape is another check's business
    other = x.clone()
    other.select(axis, last).copy_(x.select(axis, 0))
    changed = call(other)
    return torch.equal(seen.narrow(axis, 0, last).nan_to_num(), changed.narrow(axis, 0, last).nan_to_num())


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
