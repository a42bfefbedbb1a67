"""What each kind of attention costs as the text grows: time, memory, FLOPs and KV bytes, measured beside predicted."""

from __future__ import annotations

import statistics
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from isinglass.nn.attention import kernels, masks
from isinglass.nn.attention.cache import CacheDims
from isinglass.nn.attention.caches.contiguous import Contiguous
from isinglass.nn.attention.caches.rolling import Rolling
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernel import Kernel
from isinglass.nn.attention.kernels.linear import CHUNK
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.slots import Slots

WINDOW = 128


@dataclass(frozen=True)
class Kind:
    """A mask and a kernel with what theory says of them: scores computed for N tokens, and the power of N in time and in extra memory."""

    mask: str
    kernel: str
    scores: Callable[[int, int], float]  # (N, d_head) -> scores, each of 4 d_head FLOPs
    time_power: float
    memory_power: float


def _within_tiles(n: int, _: int) -> float:
    return n * (n + 256) / 2  # half of the square, and tiles of 256 on the diagonal are computed whole


KINDS: Mapping[str, Kind] = {
    "full": Kind("causal", "reference", lambda n, _: n * n, 2, 2),
    "sdpa": Kind("causal", "sdpa", lambda n, _: n * n, 2, 2),
    "flash": Kind("causal", "flash", _within_tiles, 2, 1),
    "sliding window": Kind(f"causal & sliding_window({WINDOW})", "banded", lambda n, _: n * (2 * WINDOW - 1), 1, 1),
    "linear": Kind("causal", "linear", lambda n, d: n * (d + CHUNK), 1, 1),
    "recurrent": Kind("causal", "linear(form='recurrent')", lambda n, d: n * d, 1, 1),
}


@dataclass(frozen=True)
class Cost:
    """One kind at one length, batch 1. FLOPs as torch counts its matrix products; memory beyond the inputs, at its highest."""

    kind: str
    length: int
    time_seconds: float
    counted_flops: int
    predicted_flops: float
    extra_bytes: int
    kv_bytes: int
    predicted_kv_bytes: int


def measuring(kinds: Sequence[str], lengths: Sequence[int], *, dims: Dims, rounds: int = 3) -> Iterator[Cost]:
    """Measure each kind at each length; random queries, keys and values in fp32, forward only."""
    for name in kinds:
        kind = KINDS[name]
        mask, kernel = masks.family.resolve(kind.mask, dims), kernels.family.resolve(kind.kernel, dims)
        for length in lengths:
            run = partial(_attend, kernel, mask, *_inputs(dims, length))
            # the fused kernel of the CPU is not in torch's table of FLOPs; the plain one is counted product by product
            with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
                run()
            yield Cost(
                name,
                length,
                time_seconds=statistics.median(_seconds(run) for _ in range(rounds)),
                counted_flops=counter.get_total_flops(),
                predicted_flops=4 * dims.d_head * dims.n_heads * kind.scores(length, dims.d_head),
                extra_bytes=peak_bytes(run),
                kv_bytes=_held_bytes(name, mask, dims, length),
                predicted_kv_bytes=_predicted_held_bytes(name, dims, length),
            )


def power(lengths: Sequence[int], values: Sequence[float]) -> float:
    """The exponent p of values = c N^p, by least squares of the logarithms."""
    return float(np.polyfit(np.log(lengths), np.log(values), 1)[0])


def summary(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """One row per kind: fitted exponents beside those of theory."""
    rows = []
    for name in dict.fromkeys(cost.kind for cost in costs):
        mine, kind = [cost for cost in costs if cost.kind == name], KINDS[name]
        lengths = [cost.length for cost in mine]
        fits = len(set(lengths)) > 1
        rows.append(
            {
                "kind": name,
                "mask": kind.mask,
                "kernel": kind.kernel,
                "time": power(lengths, [cost.time_seconds for cost in mine]) if fits else None,
                "time in theory": kind.time_power,
                "memory": power(lengths, [cost.extra_bytes for cost in mine]) if fits else None,
                "memory in theory": kind.memory_power,
            }
        )
    return rows


def rows(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """Every measurement as a row."""
    return [asdict(cost) for cost in costs]


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes that tensors made during `run` held at once; its result is among them, views count once."""
    with _Held() as held:
        run()
    return held.highest


class _Held(TorchDispatchMode):
    """Counts the storages that operators make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.highest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(x.untyped_storage()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        made = func(*args, **(kwargs or {}))
        for storage in {id(s): s for x in tree_leaves(made) if isinstance(x, Tensor) for s in [x.untyped_storage()]}.values():
            if id(storage) not in given:
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, storage.nbytes())
        self.highest = max(self.highest, self.now)
        return made

    def _freed(self, n_bytes: int) -> None:
        self.now -= n_bytes


def _inputs(dims: Dims, length: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(length)
    heads = (dims.n_heads, dims.n_kv_heads, dims.n_kv_heads)
    q, k, v = (torch.randn(1, n, length, dims.d_head, generator=generator) for n in heads)
    return q, k, v


@torch.inference_mode()
def _attend(kernel: Kernel, mask: Mask, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    slots = Slots.first(torch.zeros(1, q.shape[2], dtype=torch.long))
    return kernel.attend(q, k, v, q_slots=slots, k_slots=slots, mask=mask, bias=_no_bias, scale=q.shape[-1] ** -0.5)


def _no_bias(q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> None:
    return None


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _held_bytes(name: str, mask: Mask, dims: Dims, length: int) -> int:
    """Bytes that a cache really holds for one layer: keys and values, or the state of linear attention."""
    if _keeps_state(name):
        return torch.empty(dims.n_heads, dims.d_head, dims.d_head + 1).nbytes
    held = CacheDims(n_layers=1, batch=1, n_kv_heads=dims.n_kv_heads, d_head=dims.d_head, capacity=length)
    if mask.reach.back is None:
        return sum(half.nbytes for half in Contiguous(held).layers[0])
    rolling = Rolling(held, min(length, mask.reach.back), mask.reach.first)
    return rolling.k.nbytes + rolling.v.nbytes


def _predicted_held_bytes(name: str, dims: Dims, length: int) -> int:
    if _keeps_state(name):
        return 4 * dims.n_heads * dims.d_head * (dims.d_head + 1)
    return 2 * 4 * dims.n_kv_heads * dims.d_head * (min(length, WINDOW - 1) if "window" in name else length)


def _keeps_state(name: str) -> bool:
    return KINDS[name].kernel.startswith("linear")
