"""Rows of ids of different lengths as one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from isinglass.nn.attention.slots import Slots


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Slots]:
    """Ids `[row, time]`, padded on the right; the slots say where text is, so padding changes no answer.

    >>> padded([[1, 2], [3]])[0].tolist()
    [[1, 2], [3, 0]]
    """
    ids = nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    plain = Slots.first(ids)
    lengths = torch.tensor([len(row) for row in rows])
    return ids, plain if bool((lengths == ids.shape[1]).all()) else Slots(plain.position, plain.position < lengths[:, None])
