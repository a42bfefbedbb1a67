"""Classification: one score per label for a whole text.

What: a vector for the text, dropout, and a linear layer.
Why: the plainest way to put an encoder to use: sentiment, topic, spam.
Math: W pool(h) + b; pool is the mean, the maximum, the first or the last token, or BERT's tanh(V h_[CLS] + c) ("pooler")
Cost: n_labels (d_model + 1) weights, with the pooler d_model (d_model + 1) more
Used by: BERT fine-tuned (pooler), the sequence classifier (mean)
Paper: Devlin et al. 2018, BERT, section 4.1
"""

from __future__ import annotations

from torch import Tensor, nn

from isinglass.core.errors import VariantError
from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots
from isinglass.nn.dropout import Dropout
from isinglass.nn.pooling import Pooler
from isinglass.nn.pooling import pooling as pooling_named

EXAMPLE = dict(n_labels=3, pooling="mean")


class Classification(Head):
    """(batch, n_labels) logits. `labels` are their names, None where nobody has named them."""

    def __init__(self, dims: HeadDims, n_labels: int, pooling: str, labels: tuple[str, ...] | None = None) -> None:
        super().__init__()
        self.labels = labels
        self.pooler = Pooler(dims.d_model) if pooling == "pooler" else pooling_named(pooling)
        self.dropout = Dropout(dims.dropout)
        self.out_proj = nn.Linear(dims.d_model, n_labels)

    def forward(self, hidden: Tensor, slots: Slots, embedding: Tensor) -> Tensor:
        return self.out_proj(self.dropout(self.pooler(hidden, slots.valid)))


def build(dims: HeadDims, n_labels: int = 2, pooling: str = "pooler", labels: tuple[str, ...] | None = None) -> Head:
    """`pooling` is pooler, mean, max, first or last; `labels` are the names of the n_labels answers."""
    if n_labels < 1:
        raise VariantError(f"classification: n_labels = {n_labels}, expected at least 1")
    if labels is not None and len(labels) != n_labels:
        raise VariantError(f"classification: n_labels = {n_labels} for {len(labels)} labels: {', '.join(labels)}")
    return Classification(dims, n_labels, pooling, labels)
