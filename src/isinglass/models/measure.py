"""What a model costs, measured: one real training step, its FLOPs counted by torch, its tensors counted by their storage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from isinglass.models.cache import cache_dims
from isinglass.models.config import HierarchicalConfig, ModelConfig
from isinglass.models.cost import StepMemory
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.hierarchical import Levels
from isinglass.models.transformer import Decoder, Model, fresh
from isinglass.nn.attention.caches.contiguous import Contiguous


def measured_costs(config: ModelConfig, rows: int, time: int) -> dict[str, int]:
    """All that is predicted, by the same names, from a model that is built, run and trained for one step."""
    costs = {"FLOPs of the forward pass": measured_flops(config, rows, time), **measured_memory(config, rows, time).rows()}
    model = fresh(config, 0)
    if isinstance(model, Decoder | EncoderDecoder):
        costs["KV cache when it writes"] = _bytes(
            x for pair in Contiguous(cache_dims(model, batch=rows, capacity=time)).layers for x in pair
        )
    return costs


def measured_flops(config: ModelConfig, rows: int, time: int, seed: int = 0) -> int:
    """FLOPs of the matrix products of one pass, as torch counts them; extents as for `cost.forward_flops`."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    model = fresh(config, seed).requires_grad_(False).eval()
    # the fused kernel of the CPU is not in torch's table of FLOPs; the plain one is counted product by product
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        _answer(model, rows, time, seed)
    return counter.get_total_flops()


def measured_memory(config: ModelConfig, rows: int, time: int, seed: int = 0) -> StepMemory:
    """Bytes after one AdamW step on random ids, in fp32."""
    model = fresh(config, seed).train()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(x: Tensor) -> Tensor:
        if (place := x.untyped_storage().data_ptr()) not in own:
            kept[place] = x
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss = torch.stack([answer.float().log_softmax(dim=-1).mean() for answer in _answer(model, rows, time, seed)]).sum()
    activations = _bytes(kept.values())
    loss.backward()
    optimizer = torch.optim.AdamW(model.parameters())
    optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values() if value.dim()]
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    return StepMemory(_bytes(model.parameters()), _bytes(gradients), _bytes(states), activations)


def _answer(model: Model, rows: int, time: int, seed: int) -> list[Tensor]:
    """What the model says about random ids, whatever its architecture."""
    config: ModelConfig = model.config
    shape = (rows, config.n_sentences, time) if isinstance(config, HierarchicalConfig) else (rows, time)
    ids = torch.randint(0, config.vocab_size, shape, generator=torch.Generator().manual_seed(seed))
    answer: Any = model(ids, ids) if isinstance(model, EncoderDecoder) else model(ids)
    if isinstance(answer, Levels):
        return [answer.documents]
    return list(answer.values()) if isinstance(answer, dict) else [answer]


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of distinct storages."""
    return sum({x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}.values())
