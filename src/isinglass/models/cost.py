"""What a model costs, predicted from its modules: FLOPs of a pass, and the memory of a training step."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import cast

from torch import nn

from isinglass.models.config import HierarchicalConfig, ModelConfig
from isinglass.models.encoder import Encoder
from isinglass.models.heads.masked_lm import MaskedLM
from isinglass.models.hierarchical import HierarchicalEncoder
from isinglass.models.transformer import Model
from isinglass.nn.activations import gelu, gelu_tanh, relu, silu
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.mask import Tile
from isinglass.nn.attention.position import Position
from isinglass.nn.dropout import Dropout
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.feedforward.mlp import MLP
from isinglass.nn.feedforward.moe import MoE
from isinglass.nn.norms import LayerNorm, RMSNorm
from isinglass.nn.pooling import Pooler

# numbers that the written-out activations keep for the backward pass beside their output, per number that enters
_KEPT_INSIDE = {gelu: 3, gelu_tanh: 4, silu: 2, relu: 1}
_OPTIMIZER_STATES = 2  # AdamW: a mean of the gradient and one of its square


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one training step in one dtype: `optimizer` for AdamW's states, `activations` for what the backward pass needs."""

    weights: int
    gradients: int
    optimizer: int
    activations: int

    def rows(self) -> dict[str, int]:
        """By the names shown."""
        return {"weights": self.weights, "gradients": self.gradients, "AdamW states": self.optimizer, "activations": self.activations}


def forward_flops(model: Model, rows: int, time: int) -> int:
    """FLOPs of one pass over `rows` texts of `time` tokens: 2 per weight and token of each matrix product, 4 n_heads d_head per score.

    An encoder-decoder reads and writes `time` tokens each; a hierarchical encoder reads documents of `n_sentences` sentences of `time`.
    Norms, softmax and activations are left out (below 2 %). Of scores all are counted, hidden ones too: kernels that skip them do less.

    Source: Kaplan et al. 2020, Scaling Laws for Neural Language Models, section 2.1.
    """
    config, total = model.config, 0
    for name, module in model.named_modules():
        n, length = _extent(config, name, rows, time)
        if isinstance(module, nn.Linear):
            total += 2 * module.weight.numel() * n * length
        elif isinstance(module, Attention):
            total += 4 * module.dims.n_heads * module.dims.d_head * n * length**2
        elif isinstance(module, MoE):
            total -= 2 * module.idle_weights * n * length
        elif isinstance(module, MaskedLM):
            total += 2 * config.vocab_size * config.d_model * n * length
    tied = getattr(model, "lm_head", model) is None
    return total + (2 * config.vocab_size * config.d_model * rows * time if tied else 0)


def step_memory(model: Model, rows: int, time: int, bytes_per_number: int = 4) -> StepMemory:
    """Bytes of one AdamW step on `rows` texts of `time` tokens, extents as for `forward_flops`.

    Activations follow this project's written-out modules in fp32 and torch's fused attention; a trained bias makes torch write the weights
    out.
    """
    n_weights = sum(weight.numel() for weight in model.parameters())
    size = n_weights * bytes_per_number
    return StepMemory(size, size, _OPTIMIZER_STATES * size, sum(_kept(model, rows, time)) * bytes_per_number)


def _extent(config: ModelConfig, name: str, rows: int, time: int) -> tuple[int, int]:
    """How many sequences of what length a module works on."""
    if isinstance(config, HierarchicalConfig):
        return (rows, config.n_sentences) if name.startswith("sentences.") else (rows * config.n_sentences, time)
    whole_text = name.startswith("heads.") and ("pooler" in name or "classification" in name or "next_sentence" in name)
    return (rows, 1) if whole_text else (rows, time)


def _kept(model: Model, rows: int, time: int) -> Iterator[int]:
    """Numbers that each module keeps for the backward pass, the inputs of matrix products counted where they are made."""
    config, seen = model.config, set[Hashable]()
    for name, module in model.named_modules():
        n, length = _extent(config, name, rows, time)
        if isinstance(module, LayerNorm | RMSNorm):
            yield n * length * (3 * config.d_model + 1)  # centred (or the input), scaled, output; 1 / deviation
        elif isinstance(module, Attention):
            yield n * length * _kept_by_attention(module) + _kept_by_scores(module, n, length, seen)
        elif isinstance(module, MLP | GLU) and ".experts." not in name:
            yield n * length * _kept_by_feedforward(module)
        elif isinstance(module, MaskedLM):
            inside = config.d_model * _KEPT_INSIDE[module.activation]  # type: ignore[index]
            yield n * length * (inside + config.vocab_size)
        elif isinstance(module, Pooler):
            yield n * 2 * config.d_model
        elif isinstance(module, Dropout) and config.dropout:
            yield n * length * config.d_model * (2 if "layers." in name else 1)
        elif isinstance(module, MoE):
            # each expert's tokens are copied out, and what it says is kept to be weighed
            yield n * length * module.top_k * (2 * config.d_model + _kept_by_feedforward(cast(GLU, module.experts[0])))
    yield rows * time * 2  # ids, 8 bytes each
    if hasattr(model, "lm_head"):
        yield rows * time * config.vocab_size  # the logarithms of the probabilities
    elif isinstance(model, Encoder):
        yield rows * time * config.d_model
    elif isinstance(model, HierarchicalEncoder):
        yield rows * config.d_model


def _kept_by_attention(layer: Attention) -> int:
    """q, k, v and the output, k and v once per query head, and the sum of each row of weights."""
    return layer.dims.n_heads * (4 * layer.dims.d_head + 1)


def _kept_by_scores(layer: Attention, n: int, length: int, seen: set[Hashable]) -> int:
    """What is as large as the scores: a bias of each layer, or a mask that layers share; `seen` holds what was counted already."""
    position, mask = layer.parts.position, layer.parts.mask
    if type(position).bias is not Position.bias:
        trained = any(True for _ in position.parameters())
        buckets = 2 * length**2 if trained and id(position) not in seen else 0  # 8 bytes each
        seen.add(id(position))
        return n * layer.dims.n_heads * length**2 + buckets
    if (mask, n, length) in seen or mask.tile(range(length), range(length)) is Tile.FULL:
        return 0
    seen.add((mask, n, length))
    return n * length**2


def _kept_by_feedforward(layer: MLP | GLU) -> int:
    inside, d_ff = _KEPT_INSIDE[cast(MLP, layer).activation], cast(nn.Linear, layer.down_proj).in_features  # type: ignore[index]
    return d_ff * (inside + (1 if isinstance(layer, MLP) else 3))  # gated: the activation, what it multiplies, and their product
