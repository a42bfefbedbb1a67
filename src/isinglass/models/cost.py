"""What a model costs, predicted from its modules: FLOPs of a pass, and the memory of a training step."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, nn

from isinglass.models.config import HierarchicalConfig, ModelConfig
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel
from isinglass.models.heads.masked_lm import MaskedLM
from isinglass.models.hierarchical import HierarchicalEncoder
from isinglass.models.trainable import FusedNorm
from isinglass.models.transformer import Model
from isinglass.nn.activations import gelu, gelu_tanh, relu, silu
from isinglass.nn.adapter import AdaptedLinear
from isinglass.nn.adapters.lora import LowRank
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.mask import Tile
from isinglass.nn.attention.native_kernel import MOST_KEYS, NativeSDPA
from isinglass.nn.attention.position import Position
from isinglass.nn.dropout import Dropout
from isinglass.nn.feedforward.glu import GLU
from isinglass.nn.feedforward.mlp import MLP
from isinglass.nn.feedforward.moe import MoE
from isinglass.nn.fused import fused_activation
from isinglass.nn.norms import LayerNorm, RMSNorm
from isinglass.nn.pooling import Pooler

# numbers that activations, written out or torch's own, keep for the backward pass beside their output, per number that enters
_KEPT_INSIDE: dict[object, int] = {gelu: 3, gelu_tanh: 4, silu: 2, relu: 1, fused_activation(relu): 0}
_KEPT_INSIDE |= {fused_activation(each): 1 for each in (gelu, gelu_tanh, silu)}
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
    return sum(product.flops for product in _products(model, rows, time))


def step_flops(model: Model, rows: int, time: int, first_block: int = 0) -> int:
    """FLOPs of one pass forward and backward: three times the forward ones where everything trains, fewer where weights are frozen.

    A product costs as much again for the gradient of its weight, and once more for that of its input where anything before it trains.
    Blocks below `first_block` are left out: what they say is known. What is computed twice to save memory counts once.

    >>> from isinglass.models.presets import tiny
    >>> from isinglass.models.transformer import on_meta
    >>> model = on_meta(tiny.build(vocab_size=100))
    >>> step_flops(model, 2, 16) / forward_flops(model, 2, 16)
    3.0
    """
    known = tuple(f"{body}layers.{number}." for body in ("", "body.") for number in range(first_block))
    done = (product for product in _products(model, rows, time) if not product.name.startswith(known))
    return sum(product.flops * (1 + product.for_weight + product.for_input) for product in done)


def step_memory(
    model: Model,
    rows: int,
    time: int,
    bytes_per_number: int = 4,
    *,
    activations: Literal["kept", "recomputed"] = "kept",
    held_logits: int | None = None,
) -> StepMemory:
    """Bytes of one AdamW step on `rows` texts of `time` tokens, extents as for `forward_flops`; frozen weights have no gradients.

    Activations follow the modules as they are, this project's written-out ones or their training form (models.trainable), in fp32, and
    torch's fused attention; a trained bias makes torch write the weights out. With `recomputed` activations only what enters a block is
    kept, and one block's at a time. `held_logits` is how many rows of logits are held at once (nn.loss), None: all.
    """
    weights = list(model.parameters())
    n_weights, n_trained = (sum(weight.numel() for weight in some) for some in (weights, [w for w in weights if w.requires_grad]))
    size, trained = n_weights * bytes_per_number, n_trained * bytes_per_number
    kept = dict(_kept(model, rows, time))
    if held_logits is not None and kept.pop("logits", 0):
        head = model.config.vocab_size * model.config.d_model
        # of a chunk the logits and what the loss makes of them; the gradients of the head and of what enters it
        kept["loss"] = 2 * min(held_logits, rows * time) * model.config.vocab_size + rows * time * model.config.d_model + head
    alive = sum(kept.values()) if activations == "kept" else _one_block_at_a_time(kept, rows * time * model.config.d_model)
    return StepMemory(size, trained, _OPTIMIZER_STATES * trained, alive * bytes_per_number)


def _one_block_at_a_time(kept: Mapping[str, int], entering: int) -> int:
    blocks: dict[str, int] = defaultdict(int)
    for name, numbers in kept.items():
        inside = re.match(r"(.*\b)?layers\.\d+", name)
        blocks[inside.group() if inside else ""] += numbers
    outside = blocks.pop("", 0)
    return outside + len(blocks) * entering + max(blocks.values(), default=0)


@dataclass(frozen=True)
class _Product:
    """The FLOPs of a module's matrix products, and how many times as many the gradients of its weight and of its input take."""

    name: str
    flops: int
    for_weight: int
    for_input: int


def _products(model: Model, rows: int, time: int) -> Iterator[_Product]:
    """In the order of computation, which is the one in which modules are registered."""
    config, embedding = model.config, _embedding(model)
    for name, module, reached in _reached(model):
        n, length = _extent(config, name, rows, time)
        inside = any(weight.requires_grad for weight in module.parameters())
        if isinstance(module, nn.Linear | AdaptedLinear):
            yield _Product(name, 2 * module.weight.numel() * n * length, module.weight.requires_grad, reached)
        elif isinstance(module, LowRank):
            yield _Product(name, 2 * (module.a.numel() + module.b.numel()) * n * length, inside, reached)
        elif isinstance(module, Attention):
            # both factors of both products come from before
            yield _Product(name, 4 * module.dims.n_heads * module.dims.d_head * n * length**2, reached or inside, reached or inside)
        elif isinstance(module, MoE):
            yield _Product(name, -2 * module.idle_weights * n * length, inside, reached)
        elif isinstance(module, MaskedLM):
            yield _Product(name, 2 * config.vocab_size * config.d_model * n * length, embedding.requires_grad, reached or inside)
    if getattr(model, "lm_head", model) is None:
        trains = any(weight.requires_grad for weight in model.parameters())
        yield _Product("lm_head", 2 * config.vocab_size * config.d_model * rows * time, embedding.requires_grad, trains)


def _reached(model: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Every module by name, and whether gradients pass it on their way to one that stands before it."""
    reached = False
    for name, module in model.named_modules():
        yield name, module, reached
        reached = reached or any(weight.requires_grad for weight in module.parameters(recurse=False))


def _embedding(model: Model) -> Tensor:
    body = model.body if isinstance(model, HeadedModel) else model
    return cast(nn.Embedding, body.embed_tokens).weight


def _extent(config: ModelConfig, name: str, rows: int, time: int) -> tuple[int, int]:
    """How many sequences of what length a module works on."""
    if isinstance(config, HierarchicalConfig):
        return (rows, config.n_sentences) if name.startswith("sentences.") else (rows * config.n_sentences, time)
    whole_text = name.startswith("heads.") and ("pooler" in name or "classification" in name or "next_sentence" in name)
    return (rows, 1) if whole_text else (rows, time)


def _kept(model: Model, rows: int, time: int) -> Iterator[tuple[str, int]]:
    """Numbers that each module keeps for the backward pass, the inputs of matrix products counted where they are made."""
    config, seen = model.config, set[Hashable]()
    for name, module, reached in _reached(model):
        if not (reached or any(weight.requires_grad for weight in module.parameters())):
            continue  # no gradient comes this far down
        n, length = _extent(config, name, rows, time)
        if isinstance(module, LayerNorm | RMSNorm):
            yield name, n * length * (3 * config.d_model + 1)  # centred (or the input), scaled, output; 1 / deviation
        elif isinstance(module, FusedNorm):
            yield name, n * length * (module.kept * config.d_model + 2)  # with mean and 1 / deviation
        elif isinstance(module, Attention):
            yield name, n * length * _kept_by_attention(module, length) + _kept_by_scores(module, n, length, seen) + _kept_beside(module)
        elif isinstance(module, MLP | GLU) and ".experts." not in name:
            yield name, n * length * _kept_by_feedforward(module)
        elif isinstance(module, MaskedLM):
            inside = config.d_model * _KEPT_INSIDE[module.activation]
            yield name, n * length * (inside + config.vocab_size)
        elif isinstance(module, Pooler):
            yield name, n * 2 * config.d_model
        elif isinstance(module, Dropout) and config.dropout:
            yield name, n * length * config.d_model * (2 if "layers." in name else 1)
        elif isinstance(module, MoE):
            # each expert's tokens are copied out, and what it says is kept to be weighed
            yield name, n * length * module.top_k * (2 * config.d_model + _kept_by_feedforward(cast(GLU, module.experts[0])))
    yield "ids", rows * time * 2  # 8 bytes each
    if hasattr(model, "lm_head"):
        yield "logits", rows * time * config.vocab_size  # the logarithms of the probabilities
    elif isinstance(model, Encoder):
        yield "answer", rows * time * config.d_model
    elif isinstance(model, HierarchicalEncoder):
        yield "answer", rows * config.d_model


def _kept_beside(layer: Attention) -> int:
    """The weights of q, k and v put side by side, in the training form."""
    return 0 if layer.joint is None else sum(cast(nn.Linear, each).weight.numel() for each in (layer.q_proj, layer.k_proj, layer.v_proj))


def _kept_by_attention(layer: Attention, length: int) -> int:
    """q, k, v and the output, k and v once per query head, and the sum of each row of weights, or the row itself."""
    native = isinstance(layer.parts.kernel, NativeSDPA) and length <= MOST_KEYS
    return layer.dims.n_heads * (4 * layer.dims.d_head + (length if native else 1))


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
    inside, d_ff = _KEPT_INSIDE[cast(MLP, layer).activation], cast(nn.Linear, layer.down_proj).weight.shape[1]
    return d_ff * (inside + (1 if isinstance(layer, MLP) else 3))  # gated: the activation, what it multiplies, and their product
