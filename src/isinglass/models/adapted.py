"""Models with adapters: put them in, merge them into the weights, take them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn

from isinglass.core.errors import EngineError
from isinglass.models.head import Head
from isinglass.models.hierarchical import Levels
from isinglass.models.sharing import sharing
from isinglass.models.transformer import Model
from isinglass.nn import adapters
from isinglass.nn.adapter import AdaptedLinear, Adapter, AdapterPart, AttentionAdapter, Site, adapters_on
from isinglass.nn.attention.layer import Attention
from isinglass.nn.feedforward_layer import FeedForward

M = TypeVar("M", bound=Model)
_PARTS: dict[type[nn.Module], str] = {Attention: "attention", FeedForward: "mlp", Head: "head"}


def adapt(model: M, adapter: str | Adapter, *, seed: int = 0) -> M:
    """A copy of `model` with an adapter such as "lora(rank=8)" or "prefix(length=16)"; only the adapter's parameters train.

    The weights are frozen and shared with the original, which is not touched. Every linear layer of every architecture can be adapted.
    Raises VariantError (an unknown adapter or target, rank 0, length 0), EngineError (a model that has an adapter, or a packed one).

    Source: Hu et al. 2021, LoRA; Li and Liang 2021, Prefix-Tuning.

    >>> from isinglass.models.presets import tiny
    >>> from isinglass.models.transformer import fresh
    >>> model = fresh(tiny.build(vocab_size=100), seed=0)
    >>> adapted = adapt(model, "lora(rank=2)")
    >>> ids = torch.tensor([[1, 2, 3]])
    >>> torch.equal(adapted(ids), model(ids)), len(adapter_names(adapted))
    (True, 28)
    """
    wanted = adapters.family.resolve(adapter, where="adapter")
    present = adapter_of(model)
    if present is not None:
        raise EngineError(
            f"this model has an adapter already: {present.expression}", hint="merge it first, or adapt the model it was made from"
        )
    adapted = sharing(model)
    wanted.attach(list(sites(adapted)), torch.Generator().manual_seed(seed))
    return adapted


def sites(model: nn.Module) -> Iterator[Site]:
    """Where adapters may go, in the order of the model: attention layers, linear layers in attention, feed-forward and heads."""
    modules = dict(model.named_modules())
    for name, module in modules.items():
        if isinstance(module, Attention):
            if module.joint is not None:
                raise EngineError("a packed model takes no adapter: it serves inference only", hint="adapt the model it was packed from")
            yield Site(name, "attention", modules[name.rpartition(".")[0]], module)
        elif isinstance(module, nn.Linear):
            part = _part(name, modules)
            if part is not None:
                yield Site(name, part, modules[name.rpartition(".")[0]], module)  # type: ignore[arg-type]


def _part(name: str, modules: dict[str, nn.Module]) -> str | None:
    """The part of the model that a linear layer belongs to: that of the nearest module around it that is one."""
    if name == "lm_head":
        return "head"
    around = name.rpartition(".")[0]
    while around:
        for kind, part in _PARTS.items():
            if isinstance(modules[around], kind):
                return part
        around = around.rpartition(".")[0]
    return None


def adapter_of(model: nn.Module) -> Adapter | None:
    """The adapter of a model, with its settings; None without one."""
    return next((part.source for part in model.modules() if isinstance(part, AdapterPart)), None)


def adapter_names(model: nn.Module) -> frozenset[str]:
    """The names of the parameters that belong to the adapter, such as `layers.0.attention.q_proj.adapter.a`."""
    parts = [(name, module) for name, module in model.named_modules() if isinstance(module, AdapterPart)]
    return frozenset(f"{name}.{own}" for name, part in parts for own, _ in part.named_parameters())


def merge(model: M) -> M:
    """A plain model with W + scale * B A in place of W, summed in fp32; `model` is untouched, one without an adapter is returned as it is.

    `drift` measures what rounding changed. Raises EngineError for a prefix, which is no change of a weight.
    """
    for name, part in model.named_modules():
        if isinstance(part, AttentionAdapter):
            raise EngineError(
                f"{part.source.expression} cannot be merged: {name.rpartition('.')[0]} reads keys and values that no weight gives",
                hint="save the adapter beside the model with isinglass.models.adapter_file.save_adapter",
            )
    return settled(model)


def settled(model: M) -> M:
    """The form that inference is made from: linear adapters merged, a prefix left in place; within `adapters_off`, none at all."""
    if adapter_of(model) is None:
        return model
    return _with_linears(model, AdaptedLinear.merged) if adapters_on() else without_adapters(model)


def without_adapters(model: M) -> M:
    """The model that was adapted, over the same weights."""
    base = _with_linears(model, AdaptedLinear.plain)
    for module in base.modules():
        if isinstance(module, Attention):
            module.adapter = None
    return base


def unmerge(merged: M, adapted: nn.Module) -> M:
    """`merged` with the adapter of `adapted` taken out of its weights again: the base model up to rounding, which `drift` measures.

    Raises EngineError when a layer of `adapted` is missing from `merged` or has another shape there.
    """
    changes = {name: layer.adapter.change() for name, layer in adapted.named_modules() if isinstance(layer, AdaptedLinear)}
    linears = {name: layer for name, layer in merged.named_modules() if isinstance(layer, nn.Linear)}
    for name, change in changes.items():
        shape = list(linears[name].weight.shape) if name in linears else None
        if shape != list(change.shape):
            told = "has no such linear layer" if shape is None else f"has {shape}"
            raise EngineError(f"cannot unmerge {name}: the adapter changes {list(change.shape)}, the merged model {told}")
    base = sharing(merged)
    for name, change in changes.items():
        layer = base.get_submodule(name)
        layer.weight = nn.Parameter((linears[name].weight.float() - change).detach().to(linears[name].weight.dtype), requires_grad=False)
    return base


@torch.no_grad()
def drift(one: Model, other: Model, *ids: Tensor) -> float:
    """The largest difference between the answers of two models to the same ids, dropout left out of both.

    An encoder-decoder is given the ids that are read and those that are written.
    """
    answers = [_answers(sharing(model).eval()(*ids)) for model in (one, other)]
    return max(float((a.float() - b.float()).abs().max()) for a, b in zip(*answers, strict=True))


def _answers(answer: Tensor | dict[str, Tensor] | Levels) -> list[Tensor]:
    if isinstance(answer, Levels):
        return [answer.tokens, answer.sentences, answer.documents]
    return [answer] if isinstance(answer, Tensor) else list(answer.values())


@torch.no_grad()
def _with_linears(model: M, make: Callable[[AdaptedLinear], nn.Linear]) -> M:
    changed = sharing(model)
    modules = dict(changed.named_modules())
    for name, layer in modules.items():
        if isinstance(layer, AdaptedLinear):
            before, _, last = name.rpartition(".")
            setattr(modules[before], last, make(layer))
    return changed
