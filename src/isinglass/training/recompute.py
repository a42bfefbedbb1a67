"""Activations computed twice instead of kept: a third more arithmetic, and memory for one block instead of all (Chen et al. 2016)."""

from __future__ import annotations

from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from isinglass.nn.block import Block, CrossBlock, PostNormBlock


def recompute(model: nn.Module) -> None:
    """Let every block of `model` keep only what enters it, and compute the rest again for its gradients; dropout draws the same mask.

    The blocks' `forward` is replaced on these objects alone: names of weights and classes of modules stay what they are.
    """
    for module in model.modules():
        if isinstance(module, Block | PostNormBlock | CrossBlock):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)  # type: ignore[method-assign]
