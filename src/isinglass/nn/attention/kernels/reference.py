"""Reference: attention as it is defined, every matrix written out.

What: scores, mask, softmax, sum, in four lines.
Why: it is the definition the other kernels are tested against, and what one looks inside.
Math: softmax(q k^T * scale + bias + log(mask)) v
Cost: 4 N^2 d_head FLOPs and N^2 scores in memory, per head
Used by: every layer whose scores or weights are asked for
Paper: Vaswani et al. 2017, Attention Is All You Need, section 3.2.1
"""

from torch import Tensor

from isinglass.nn.attention.kernel import Bias, Kernel
from isinglass.nn.attention.mask import Mask, visible
from isinglass.nn.attention.slots import Slots

EXAMPLE = dict()


def attention_scores(q: Tensor, k: Tensor, *, q_slots: Slots, k_slots: Slots, mask: Mask, bias: Bias, scale: float) -> Tensor:
    """Scores before softmax, (batch, heads, query, key); hidden places are -inf."""
    k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    scores = q @ k.transpose(-1, -2) * scale
    added = bias(q, k, q_slots, k_slots)
    if added is not None:
        scores = scores + added
    return scores.masked_fill(~visible(mask, q_slots, k_slots)[:, None], float("-inf"))


def attention_weights(scores: Tensor) -> Tensor:
    """Softmax over keys, in fp32; a row that is hidden whole becomes zeros instead of NaN."""
    weights = scores.float().softmax(dim=-1)
    hidden = scores.amax(dim=-1, keepdim=True) == float("-inf")
    return weights.masked_fill(hidden, 0.0).to(scores.dtype)


def weighted_sum(weights: Tensor, v: Tensor) -> Tensor:
    """The values, weighted: (batch, heads, query, d_head)."""
    return weights @ v.repeat_interleave(weights.shape[1] // v.shape[1], dim=1)


class Reference(Kernel):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, *, q_slots: Slots, k_slots: Slots, mask: Mask, bias: Bias, scale: float) -> Tensor:
        scores = attention_scores(q, k, q_slots=q_slots, k_slots=k_slots, mask=mask, bias=bias, scale=scale)
        return weighted_sum(attention_weights(scores), v)


def build(dims: object) -> Kernel:
    return Reference()
