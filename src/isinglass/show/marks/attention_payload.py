"""Attention weights small enough to send: one byte per weight, only what a causal mask leaves, compressed.

For 12 layers of 12 heads and 128 tokens this is about 0.5 MB where decimal JSON takes 32 MB. A byte is `round(255 w)`, so a weight read
back differs by at most 1/510 from what was sent.
"""

from __future__ import annotations

import base64
import gzip

import numpy as np
from numpy.typing import NDArray

ERROR = 1 / 510  # the largest difference between a weight and what is read back


def pack(weights: NDArray[np.floating], *, causal: bool) -> list[str]:
    """`weights [layers, heads, query, key]` in 0..1 as one base64 text per layer: gzip over the heads' bytes, row by row; when causal
    only keys 0..query of each row. One text per layer lets a page show the first layers while it reads on."""
    levels = np.rint(np.clip(weights, 0.0, 1.0) * 255).astype(np.uint8)
    kept = levels[:, :, *np.tril_indices(weights.shape[-1])] if causal else levels.reshape(*weights.shape[:2], -1)
    # mtime 0: the same weights give the same bytes
    return [base64.b64encode(gzip.compress(layer.tobytes(), 6, mtime=0)).decode("ascii") for layer in kept]


def unpack(payload: list[str], *, heads: int, time: int, causal: bool) -> NDArray[np.float32]:
    """What a page reads back, `[layers, heads, time, time]`; zero above the diagonal when causal."""
    layers = [np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8).reshape(heads, -1) for text in payload]
    flat: NDArray[np.float32] = np.stack(layers).astype(np.float32) / np.float32(255)
    if not causal:
        return flat.reshape(len(payload), heads, time, time)
    full = np.zeros((len(payload), heads, time, time), np.float32)
    full[:, :, *np.tril_indices(time)] = flat
    return full
