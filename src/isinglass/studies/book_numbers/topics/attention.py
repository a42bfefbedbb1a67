"""Attention: the six word vectors of chapter 3, by hand and through the multi-head layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from isinglass.nn.attention import kernels, masks, positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernels.reference import attention_scores, attention_weights, weighted_sum
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.slots import Slots
from isinglass.studies.book_numbers.drawn import draw_as_torch
from isinglass.studies.book_numbers.number import Number, Value

VECTORS = ((0.43, 0.15, 0.89), (0.55, 0.87, 0.66), (0.57, 0.85, 0.64), (0.22, 0.58, 0.33), (0.77, 0.25, 0.10), (0.05, 0.80, 0.55))
QUERY = 1  # the second word
REFERENCE = "src/isinglass/nn/attention/kernels/reference.py"


def numbers() -> list[Number]:
    """Sections 3.3 and 3.6."""
    by_hand = "of the second word, no weights trained"
    return [
        _literal(f"scores {by_hand}", [0.9544, 1.4950, 1.4754, 0.8434, 0.7070, 1.0865], 0),
        _literal(f"attention weights {by_hand}", [0.1385, 0.2379, 0.2333, 0.1240, 0.1082, 0.1581], 1),
        _literal(f"context vector {by_hand}", [0.4419, 0.6515, 0.5683], 2),
        Number(
            chapter="3",
            what="multi-head attention, two heads, causal, seed 123: the first two words",
            theirs=[[0.3190, 0.4858], [0.2943, 0.3897]],
            measure=multi_head,
            shown_by="src/isinglass/nn/attention/layer.py",
            note="our layer, its weights drawn by torch's linear layers in the order q, k, v, o",
        ),
    ]


def _literal(what: str, theirs: Value, step: int) -> Number:
    return Number(chapter="3", what=what, theirs=theirs, measure=lambda: by_hand()[step].tolist(), shown_by=REFERENCE)


def by_hand() -> tuple[Tensor, Tensor, Tensor]:
    """Scores, weights and context of the second word, every vector its own query, key and value."""
    x = torch.tensor(VECTORS)[None, None]
    dims = Dims(d_model=3, n_heads=1, n_kv_heads=1, d_head=3, context_length=len(VECTORS))
    slots, mask = Slots.first(torch.zeros(1, len(VECTORS), dtype=torch.long)), masks.family.resolve("full", dims)
    scores = attention_scores(x, x, q_slots=slots, k_slots=slots, mask=mask, bias=lambda *_: None, scale=1.0)
    weights = attention_weights(scores)
    scores, weights, context = (step[0, 0, QUERY] for step in (scores, weights, weighted_sum(weights, x)))
    return scores, weights, context


@torch.no_grad()
def multi_head() -> Value:
    """The layer on the six vectors. The book narrows 3 features to 2; a layer of ours keeps its width, so its third output is 0."""
    dims = Dims(d_model=3, n_heads=2, n_kv_heads=2, d_head=1, context_length=len(VECTORS))
    families = (positions.family, "none"), (masks.family, "causal"), (kernels.family, "reference")
    layer = Attention(dims, Parts(*(family.resolve(name, dims) for family, name in families)), "none")
    narrow = nn.Linear(2, 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        for projection in (layer.q_proj, layer.k_proj, layer.v_proj, narrow):
            draw_as_torch(projection)
    layer.o_proj = nn.Linear(2, 3)
    layer.o_proj.weight.copy_(nn.functional.pad(narrow.weight, (0, 0, 0, 1)))
    layer.o_proj.bias.copy_(nn.functional.pad(narrow.bias, (0, 1)))
    slots = Slots.first(torch.zeros(1, len(VECTORS), dtype=torch.long))
    return layer(torch.tensor(VECTORS)[None], layer=0, slots=slots, k_slots=slots)[0, :2, :2].tolist()
