"""Which module of a student's model computes which of our taps: guessed from roles and shapes, or read from a file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from isinglass.core.errors import CheckpointError, ConfigError, IsinglassError, closest
from isinglass.inspection import roles
from isinglass.inspection.mistakes.attention import AttentionWeights, Projection
from isinglass.inspection.mistakes.layer_norm import NormWeights
from isinglass.inspection.roles import Layout
from isinglass.inspection.roles import Mapping as Noted
from isinglass.inspection.student import Sizes

NameMap = dict[str, tuple[str, ...]]  # "blocks.0.att.out_proj", with ":input" for what enters it -> taps


def read_map(path: Path, module: nn.Module, n_layers: int) -> NameMap:
    """A TOML file with a table `[taps]`: module = tap, or a list of taps for a fused one; `{}` stands for every layer's number.

    Raises ConfigError for a file that is no such map and for a module that the model does not have.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")).get("taps")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError(f"cannot read the map {str(path)!r}: {fault}") from None
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{str(path)!r} has no table [taps]", hint='for example [taps] and "blocks.{}.attn" = "layers.{}.attention.out"')
    made: NameMap = {}
    for name, taps in found.items():
        listed = [taps] if isinstance(taps, str) else taps
        if not isinstance(listed, list) or not all(isinstance(tap, str) for tap in listed):
            raise ConfigError(f"{str(path)!r}: {name} = {taps!r}, expected the name of a tap or a list of names")
        for number in range(n_layers) if "{}" in name else [0]:
            made[name.replace("{}", str(number))] = tuple(tap.replace("{}", str(number)) for tap in listed)
    known = dict(module.named_modules())
    for name in made:
        plain = name.removesuffix(":input")
        if plain not in known:
            near = closest(plain, known)
            raise ConfigError(f"{str(path)!r}: your model has no module {plain!r}", hint=f"did you mean {near!r}?" if near else "")
    return made


def guessed_map(module: nn.Module, sizes: Sizes) -> NameMap:
    """By names, shapes and order; the output alone where nothing else can be told."""
    made: NameMap = {}
    try:
        place = roles.blocks_of(module, sizes)
    except IsinglassError:
        return {"": ("logits",)}
    for number in range(sizes.n_layers):
        made |= _block_map(module, sizes, f"{place}.{number}", f"layers.{number}.")
    final = roles.norms(module, sizes.d_model, outside=f"{place}.")
    return made | ({final[-1][0]: ("norm",)} if final else {}) | {"": ("logits",)}


def _block_map(module: nn.Module, sizes: Sizes, path: str, tap: str) -> NameMap:
    made: NameMap = {f"{path}:input": (f"{tap}resid_pre",)}
    found = roles.matrices(module, f"{path}.")
    mlp = roles.mlp_of(found, sizes.d_model, f"{path}.")
    attending = [matrix for matrix in found if matrix not in mlp]
    by_role: dict[str | None, list[str]] = {}
    for matrix in attending:
        fused = matrix.fused or 3 * sizes.d_model in matrix.weight.shape
        by_role.setdefault("qkv" if fused else matrix.role(), []).append(matrix.name)
    qkv = {"q": ("attention.q_raw",), "k": ("attention.k_raw",), "v": ("attention.v",)}
    for role, taps in {**qkv, "qkv": ("attention.q_raw", "attention.k_raw", "attention.v")}.items():
        made |= {name: tuple(tap + each for each in taps) for name in _modules(by_role.get(role, []))}
    for name in _modules(by_role.get("out", [])):
        made |= {f"{name}:input": (f"{tap}attention.z",), name: (f"{tap}attention.out",)}
    norms = roles.norms(module, sizes.d_model, f"{path}.")
    if len(norms) == 2:
        made[f"{roles.in_order(norms, f'{path}.')[1][0]}:input"] = (f"{tap}resid_mid",)
    for name in _modules([mlp[1].name] if len(mlp) == 2 else []):
        made |= {f"{name}:input": (f"{tap}mlp.pre",), name: (f"{tap}mlp.post",)}
    return made | {path: (f"{tap}resid_post",)}


def _modules(names: Sequence[str]) -> list[str]:
    """The module of a weight, when there is one that computes nothing else."""
    return [names[0].removesuffix(".weight")] if len(names) == 1 and names[0].endswith(".weight") else []


def fit(ours: Tensor, theirs: Tensor) -> Tensor:
    """Ours as a student has it: heads side by side where theirs are."""
    if ours.dim() == theirs.dim() + 1 == 4:
        return ours.transpose(1, 2).flatten(2)
    return ours


def split(theirs: Tensor, ours: Sequence[Tensor]) -> list[Tensor]:
    """A fused tensor as the parts that ours are."""
    widths = [tensor.shape[-1] * (tensor.shape[1] if tensor.dim() == theirs.dim() + 1 else 1) for tensor in ours]
    return list(theirs.split(widths, dim=-1)) if sum(widths) == theirs.shape[-1] else [theirs] * len(ours)


@torch.no_grad()
def copy_weights(ours: nn.Module, theirs: nn.Module, sizes: Sizes) -> list[str]:
    """Our weights into a student's GPT, part by part; returns remarks. CheckpointError when parts cannot be told or filled."""
    try:
        source = roles.gpt_weights(ours, sizes, Layout(), Noted())
        target = roles.gpt_weights(theirs, sizes, Layout(), Noted())
        remarks: list[str] = []
        pairs = list(_pairs(source, target, remarks))
        for _, there, here in pairs:
            there.copy_(here)
        again = roles.gpt_weights(theirs, sizes, Layout(), Noted())
        for (name, _, here), (_, there, _) in zip(pairs, _pairs(source, again, []), strict=True):
            if not torch.equal(there, here):
                raise CheckpointError(f"{name} cannot be filled")  # kept in pieces, as single heads are
    except (IsinglassError, RuntimeError) as fault:
        details = [*getattr(fault, "details", ())]
        message = getattr(fault, "message", " ".join(str(fault).split()))
        raise CheckpointError(
            f"our weights cannot be put into yours: {message}", details=details, hint="load them yourself, then --weights own"
        ) from None
    return remarks


def _pairs(ours: roles.GPTWeights, theirs: roles.GPTWeights, remarks: list[str]) -> Iterable[tuple[str, Tensor, Tensor]]:
    """(name, theirs, ours), theirs being a view of their parameter."""
    yield "token embedding", theirs.tokens, ours.tokens
    if ours.positions is not None and theirs.positions is not None:
        yield "positions", theirs.positions[: len(ours.positions)], ours.positions
    for number, (a, b) in enumerate(zip(ours.blocks, theirs.blocks, strict=True)):
        where = f"layer {number}: "
        yield from _norm(f"{where}first norm", a.attention_norm, b.attention_norm, remarks)
        yield from _attention(where, a.attention, b.attention, remarks)
        yield from _norm(f"{where}second norm", a.mlp_norm, b.mlp_norm, remarks)
        yield from _linear(f"{where}feed-forward up", a.up, b.up, remarks)
        yield from _linear(f"{where}feed-forward down", a.down, b.down, remarks)
    if ours.norm is not None and theirs.norm is not None:
        yield from _norm("final norm", ours.norm, theirs.norm, remarks)
    yield from _linear("head", ours.head, theirs.head, remarks)


def _attention(where: str, ours: AttentionWeights, theirs: AttentionWeights, remarks: list[str]) -> Iterable[tuple[str, Tensor, Tensor]]:
    for role in ("q", "k", "v", "out"):
        a, b = getattr(ours, role), getattr(theirs, role)
        if a is not None and b is not None:
            yield from _linear(f"{where}{role}", a, b, remarks)
        elif a is not None:
            remarks.append(f"{where}yours has no final projection")


def _linear(name: str, ours: Projection, theirs: Projection, remarks: list[str]) -> Iterable[tuple[str, Tensor, Tensor]]:
    yield name, theirs.weight, ours.weight
    yield from _bias(name, ours.bias, theirs.bias, remarks)


def _norm(name: str, ours: NormWeights, theirs: NormWeights, remarks: list[str]) -> Iterable[tuple[str, Tensor, Tensor]]:
    if ours.weight is not None and theirs.weight is not None:
        yield name, theirs.weight, ours.weight
    yield from _bias(name, ours.bias, theirs.bias, remarks)


def _bias(name: str, ours: Tensor | None, theirs: Tensor | None, remarks: list[str]) -> Iterable[tuple[str, Tensor, Tensor]]:
    if theirs is not None:
        yield f"{name} bias", theirs, torch.zeros_like(theirs) if ours is None else ours
    elif ours is not None and bool(ours.any()):
        remarks.append(f"{name}: yours has no bias")


def sizes_of(config: object) -> Sizes:
    """The sizes of one of our models, for the constructor of a student's."""
    attention, get = getattr(config, "attention"), lambda name: getattr(config, name)  # noqa: B009 - any architecture
    return Sizes(
        d_model=get("d_model"), n_heads=attention.n_heads, context_length=get("context_length"), d_ff=get("d_ff"),
        vocab_size=get("vocab_size"), n_layers=get("n_layers"), dropout=0.0, eps=get("norm_eps"), bias=attention.bias != "none",
    )  # fmt: skip


def layer_wise(names: Mapping[str, Sequence[str]]) -> NameMap:
    """The map with layers after the first folded into `{}`, for reading."""
    return {
        name.replace(".0", ".{}"): tuple(tap.replace("layers.0.", "layers.{}.") for tap in taps)
        for name, taps in names.items()
        if not any(re.search(r"layers\.[1-9]", tap) for tap in taps)
    }
