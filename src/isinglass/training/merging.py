"""What merging an adapter into the weights changes, measured: sums are rounded, and whoever serves the merged model should know."""

from __future__ import annotations

import torch
from torch import Tensor

from isinglass.models.adapted import adapter_of, drift, merge, unmerge, without_adapters
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.transformer import Model
from isinglass.nn.adapter import AttentionAdapter
from isinglass.show.table import Table


@torch.no_grad()
def merge_drift(adapted: Model, ids: Tensor) -> Table | None:
    """The largest difference of an answer (a logit) to `ids`, merged beside adapted, and merged and unmerged again beside the model
    without its adapter. None for a model without an adapter, and for a prefix, which cannot be merged.

    What the adapter itself changes stands below, as the measure to hold both against.

    >>> from isinglass.models.adapted import adapt
    >>> from isinglass.models.presets import tiny
    >>> from isinglass.models.transformer import fresh
    >>> adapted = adapt(fresh(tiny.build(vocab_size=100), seed=0), "lora(rank=2)")
    >>> [row["largest difference"] for row in merge_drift(adapted, torch.tensor([[1, 2, 3]])).rows]  # untrained: it changes nothing
    [0.0, 0.0, 0.0]
    """
    if adapter_of(adapted) is None or any(isinstance(part, AttentionAdapter) for part in adapted.modules()):
        return None
    given = (ids, ids) if isinstance(adapted, EncoderDecoder) else (ids,)
    merged, base = merge(adapted), without_adapters(adapted)
    rows = [
        {"what": "merged beside adapted", "largest difference": drift(merged, adapted, *given)},
        {"what": "merged and unmerged beside the base model", "largest difference": drift(unmerge(merged, adapted), base, *given)},
        {"what": "adapted beside the base model", "largest difference": drift(adapted, base, *given)},
    ]
    return Table(rows, title="What merging the adapter changes", notes=[f"of the answers to {ids.numel():,} tokens of the data"])
