"""A short name for the weights of a model: equal names, equal weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def fingerprint(model: nn.Module) -> str:
    """A hash of every weight and buffer with its name, type and shape; about a second for each gigabyte.

    >>> import isinglass as ig
    >>> fingerprint(ig.create("tiny", seed=1).model) == fingerprint(ig.create("tiny", seed=1).model)
    True
    """
    digest = hashlib.blake2b(digest_size=8)
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type] # a buffer
    return digest.hexdigest()
