"""One process or many: the same loop under `torchrun`, with the model copied (DDP) or divided (FSDP) among the processes."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn

from isinglass.core.errors import ConfigError
from isinglass.nn.block import Block, CrossBlock, PostNormBlock


class Team(ABC):
    """The processes that train together; `rank` of `world`. Every method is called by all of them at the same time."""

    rank: int
    world: int

    @abstractmethod
    def share(self, module: nn.Module) -> nn.Module:
        """The module whose gradients come out as the mean over the processes. Called before the optimizer is made."""

    @abstractmethod
    def total(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the processes."""

    @abstractmethod
    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors as one process would have them."""

    @abstractmethod
    def put(self, place: Tensor, value: Tensor) -> None:
        """Give a weight, or the part of it that this process keeps, a new value."""

    @abstractmethod
    def like(self, weight: Tensor, value: Tensor) -> Tensor:
        """A whole tensor in the form in which this process keeps `weight`."""

    @abstractmethod
    def everybody(self, tensor: Tensor) -> list[Tensor]:
        """One tensor of each process, in order of rank."""


class Alone(Team):
    """One process."""

    rank, world = 0, 1

    def share(self, module: nn.Module) -> nn.Module:
        return module

    def total(self, values: Sequence[float]) -> list[float]:
        return list(values)

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(tensors)

    def put(self, place: Tensor, value: Tensor) -> None:
        place.copy_(value)

    def like(self, weight: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    def everybody(self, tensor: Tensor) -> list[Tensor]:
        return [tensor]


class Copied(Team):
    """Distributed data parallel: every process has the whole model and its share of each batch (Li et al. 2020, PyTorch Distributed)."""

    def __init__(self) -> None:
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def share(self, module: nn.Module) -> nn.Module:
        return nn.parallel.DistributedDataParallel(module)

    def total(self, values: Sequence[float]) -> list[float]:
        summed = torch.tensor(list(values), dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.tolist()

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(tensors)

    def put(self, place: Tensor, value: Tensor) -> None:
        place.copy_(value)

    def like(self, weight: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    def everybody(self, tensor: Tensor) -> list[Tensor]:
        parts = [torch.empty_like(tensor) for _ in range(self.world)]
        dist.all_gather(parts, tensor)
        return parts


class Divided(Copied):
    """Fully sharded data parallel: each process keeps a part of every weight, its gradient and its state (Zhao et al. 2023, FSDP)."""

    def share(self, module: nn.Module) -> nn.Module:
        from torch.distributed.fsdp import fully_shard

        for part in module.modules():
            if isinstance(part, Block | PostNormBlock | CrossBlock):
                fully_shard(part)
        fully_shard(module)
        return module

    def whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: _whole(tensor) for name, tensor in tensors.items()}

    def put(self, place: Tensor, value: Tensor) -> None:
        place.copy_(self.like(place, value))

    def like(self, weight: Tensor, value: Tensor) -> Tensor:
        from torch.distributed.tensor import DTensor, distribute_tensor

        if not isinstance(weight, DTensor) or value.shape != weight.shape:
            return value.clone()  # such as the optimizer's count of steps
        return distribute_tensor(value, weight.device_mesh, weight.placements)


def _whole(tensor: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def team(parallel: Literal["ddp", "fsdp"]) -> Team:
    """The processes that `torchrun` started, or this one alone. Raises ConfigError for a part of torchrun's variables."""
    if "WORLD_SIZE" not in os.environ:
        return Alone()
    if missing := [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise ConfigError(
            f"WORLD_SIZE is set and {', '.join(missing)} is not: this process cannot find the others", hint="start it with torchrun"
        )
    if not dist.is_initialized():
        dist.init_process_group("gloo")
    return {"ddp": Copied, "fsdp": Divided}[parallel]()


def agreed(asked: bool) -> bool:
    """Whether this process or another one of those that train together was asked to stop. All of them call this after the same step."""
    if not (dist.is_available() and dist.is_initialized()):
        return asked
    flag = torch.tensor(float(asked))
    dist.all_reduce(flag)
    return bool(flag)


def gradient_norm(weights: Sequence[nn.Parameter], limit: float) -> float:
    """The norm of all gradients, which are scaled down where it is above `limit`."""
    norm: Any = torch.nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    size = float(_whole(norm))
    if not size <= limit:  # torch's one function for both multiplies by 1 in most steps
        torch.nn.utils.clip_grads_with_norm_(weights, limit, norm)
    return size
