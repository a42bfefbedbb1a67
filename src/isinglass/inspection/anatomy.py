"""Anatomy: the parts of a model and the taps between them, in the order in which one pass goes through them.

Nothing is known of architectures here: a pass over a few tokens is watched, and what is seen is written down.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from isinglass.generation.lm import LM
from isinglass.models.config import ModelConfig
from isinglass.models.encoder import Encoder
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.models.headed import HeadedModel
from isinglass.models.hierarchical import HierarchicalEncoder
from isinglass.models.sharing import sharing
from isinglass.models.stack import Stack
from isinglass.models.transformer import Decoder, Model, on_meta
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.mask import Both, Complement, Either, Mask
from isinglass.nn.block import Block, CrossBlock, PostNormBlock
from isinglass.nn.feedforward.moe import MoE
from isinglass.nn.tap import Tap, tapped

TOKENS = 5  # in the text that goes through
SENTENCES = 2  # in the document of a hierarchical encoder
# whose parts stand in the picture by themselves; all else is one part
_MODELS = (Decoder, Encoder, EncoderDecoder, HeadedModel, HierarchicalEncoder, Stack)
_OPENED = (*_MODELS, Block, PostNormBlock, CrossBlock, nn.ModuleList, nn.ModuleDict)
_LAYER = re.compile(r"\blayers\.\d+")


@dataclass(frozen=True)
class TapSeen:
    """A place to look at. `name` has N for the layer's number; `shape` is that of the pass that was watched."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Part:
    """A module with weights: how many of them (in all layers), of what size, and the taps inside. Without weights of its own it is tied."""

    name: str
    parameters: int
    size: str
    taps: tuple[TapSeen, ...] = ()


@dataclass(frozen=True)
class Column:
    """What one text goes through. Of equal layers one is there; those places whose names have `layers.N` come `times` times."""

    name: str
    times: int
    places: tuple[Part | TapSeen, ...]

    @property
    def parts(self) -> list[Part]:
        return [place for place in self.places if isinstance(place, Part)]

    @property
    def taps(self) -> list[TapSeen]:
        return [tap for place in self.places for tap in (place.taps if isinstance(place, Part) else (place,))]


def anatomy(model: LM | ModelConfig) -> tuple[Column, ...]:
    """One column for each stack: one, or encoder and decoder. A config is enough: no weights are made, sizes are counted all the same."""
    watched = sharing(model.model) if isinstance(model, LM) else _routed(on_meta(model))  # hooks go to a copy: others may use the model
    device = next(watched.parameters()).device
    walk = _Walk(watched)
    with torch.inference_mode(), torch.device(device):
        walk.run(device)
    return tuple(_columns(watched, walk.seen))


def inside_layer(name: str) -> bool:
    """Whether a place comes once for each layer."""
    return "layers.N" in name


@dataclass
class _Walk:
    """One pass with a tap everywhere and a hook on each part: what was entered, looked at and left, in order."""

    model: Model
    seen: list[tuple[str, str, tuple[int, ...]]] = field(default_factory=list)  # what happened, its name, a shape

    def wants(self, name: str) -> bool:
        return True

    def __call__(self, name: str, x: Tensor) -> Tensor:
        self.seen.append(("tap", name, tuple(x.shape)))
        return x

    def run(self, device: torch.device) -> None:
        hooks = []
        for name, part in _parts(self.model):
            hooks.append(part.register_forward_pre_hook(self._note("enter", name)))
            hooks.append(part.register_forward_hook(self._note("leave", name)))
        try:
            ids = torch.ones((1, TOKENS), dtype=torch.long, device=device)
            if isinstance(self.model, HierarchicalEncoder):
                self.model(ids[None].expand(1, SENTENCES, TOKENS), tap=self)
            else:
                self.model(*([ids, ids] if isinstance(self.model, EncoderDecoder) else [ids]), tap=self)
        finally:
            for hook in hooks:
                hook.remove()

    def _note(self, what: str, name: str) -> Any:
        return lambda *_: self.seen.append((what, name, ()))


def _parts(model: Model) -> Iterator[tuple[str, nn.Module]]:
    """Modules with weights that are shown as a whole, of repeated layers those of the first."""

    def below(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        for own, child in module.named_children():
            path = f"{name}.{own}" if name else own
            if re.search(r"\blayers\.[1-9]", path):
                continue
            if isinstance(child, _OPENED):
                yield from below(path, child)
            elif next(child.parameters(), None) is not None:
                yield path, child

    return below("", model)


def _columns(model: Model, seen: Sequence[tuple[str, str, tuple[int, ...]]]) -> Iterator[Column]:
    stacks = [name for name, child in model.named_children() if isinstance(child, Stack)] or [""]
    named, counts = dict(_parts(model)), _counted(model)
    places: dict[str, list[Part | TapSeen]] = {name: [] for name in stacks}
    calls, opened = Counter[str](), ""
    inner: list[TapSeen] = []
    for what, name, shape in seen:
        if re.search(r"\blayers\.[1-9]", name):
            continue
        if what == "enter":
            opened, inner = name, []
        elif what == "tap" and opened:
            inner.append(TapSeen(_shown(name), shape))
        elif what == "tap":
            places[_column(name, stacks, 0)].append(TapSeen(_shown(name), shape))
        else:
            column = _column(name, stacks, calls[name])
            times, opened = calls[name], ""
            size = "the same as before" if times else _size(named[name])
            read = "; keys and values of the encoder" if name.endswith("cross_attention") else ""
            places[column].append(Part(_shown(name), 0 if times else counts[name], size + read, tuple(inner)))
            calls[name] += 1
    for name, module in named.items():
        if not calls[name]:  # positions are asked by name, not called
            own = places[_column(name, stacks, 0)]
            after = next((at for at, place in enumerate(own, start=1) if "embed_tokens" in place.name), 0)
            own.insert(after if "positions." in name else len(own), Part(_shown(name), counts[name], _size(module)))
    if getattr(model, "lm_head", model) is None:
        last = places[stacks[-1]]
        last.insert(len(last) - 1, Part("lm_head", 0, "embed_tokens transposed"))
    for name, found in places.items():
        yield Column(name, _times(model, name), tuple(found))


def _column(name: str, stacks: Sequence[str], call: int) -> str:
    """The stack that a place belongs to: by its name; a part that is called again belongs to the next text; heads to the last one."""
    start = name.partition(".")[0]
    if start in stacks:
        return start
    return stacks[min(call, len(stacks) - 1)] if start == "embed_tokens" else stacks[-1]


def _times(model: nn.Module, stack: str) -> int:
    around = model.get_submodule(stack) if stack else getattr(model, "body", model)
    return len(around.layers)  # type: ignore[arg-type]


def _counted(model: nn.Module) -> Counter[str]:
    """Weights of each part, of all layers together; tied ones once."""
    names = [name for name, _ in _parts(model)]  # type: ignore[arg-type]
    counts = Counter[str]()
    for path, weight in model.named_parameters():
        first = _LAYER.sub("layers.0", path)
        counts[next(name for name in names if first.startswith(f"{name}."))] += weight.numel()
    return counts


def _shown(name: str) -> str:
    return _LAYER.sub("layers.N", name).removeprefix("body.")


def _size(module: nn.Module) -> str:
    """The dimensions of a part, in words."""
    if isinstance(module, Attention):
        dims, parts = module.dims, module.parts
        grouped = "" if dims.n_kv_heads == dims.n_heads else f" over {dims.n_kv_heads} kv heads"
        around = [*([position] if (position := _file(parts.position)) != "none" else []), _rule(parts.mask)]
        return f"{dims.n_heads} heads x {dims.d_head}{grouped}; {', '.join(around)}"
    if isinstance(module, _Routed):
        return _size(module.of)
    shapes = Counter("x".join(f"{n}" for n in weight.shape) for weight in module.parameters() if weight.dim() > 1)
    shapes = shapes or Counter("x".join(f"{n}" for n in weight.shape) for weight in module.parameters())
    sizes = ", ".join(shape if count == 1 else f"{count} x ({shape})" for shape, count in shapes.items())
    return f"{type(module).__name__}: {sizes}"


def _rule(mask: Mask) -> str:
    """A mask as one writes it."""
    if isinstance(mask, Both | Either):
        return f"{_rule(mask.left)} {'&' if isinstance(mask, Both) else '|'} {_rule(mask.right)}"
    return f"~{_rule(mask.inner)}" if isinstance(mask, Complement) else _file(mask)


def _file(variant: object) -> str:
    """A variant is called by the name of its file."""
    return type(variant).__module__.rpartition(".")[2]


class _Routed(nn.Module):
    """Experts without weights in memory: where a token is sent depends on numbers, and there are none."""

    def __init__(self, of: MoE) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor, tap: Tap | None = None) -> Tensor:
        tapped(tap, "mlp.router", self.of.router(x))
        return tapped(tap, "mlp.post", x)


def _routed(model: Model) -> Model:
    for owner in list(model.modules()):
        for name, part in owner.named_children():
            if isinstance(part, MoE) and not isinstance(owner, _Routed):
                setattr(owner, name, _Routed(part))
    return model
