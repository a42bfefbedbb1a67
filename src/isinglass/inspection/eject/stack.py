"""One stack of layers as text: attention, its block, and the lines by which a model makes and runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from isinglass.core.errors import EngineError
from isinglass.inspection.eject import places
from isinglass.inspection.eject.parts import Pieces, feedforward, norm
from isinglass.inspection.eject.source import Edits, docstring, piece
from isinglass.nn.attention.kernel import adds_bias
from isinglass.nn.attention.kernels.linear import Linear
from isinglass.nn.attention.layer import Attention
from isinglass.nn.attention.mask import Mask
from isinglass.nn.attention.position import Position
from isinglass.nn.block import Block, CrossBlock, PostNormBlock

_CALL = "layer=layer, slots=slots, k_slots=k_slots, cache=cache, tap=tap"
_WIDTH = 100  # of lists
_FORGOTTEN = frozenset({"layer", "slots", "k_slots", "cache", "tap", "memory_slots"})


@dataclass(frozen=True)
class Stack:
    """The layers of a model, and the masks and positions they share; `rules` are the masks as they were written."""

    layers: Sequence[Block | PostNormBlock | CrossBlock]
    positions: Sequence[Position]
    rules: Sequence[str]

    @property
    def attentions(self) -> list[Attention]:
        return [layer.attention for layer in self.layers]

    @property
    def masks(self) -> dict[Mask, str]:
        """The distinct masks, as they were written, in the order of the layers."""
        found: dict[Mask, str] = {}
        for attention, rule in zip(self.attentions, self.rules, strict=True):
            found.setdefault(attention.parts.mask, rule)
        return found


@dataclass(frozen=True)
class Acts:
    """What the layers of a model do, all of them taken together."""

    rotates: bool
    biases: bool
    masked: bool
    blind: bool  # some query may see nothing
    linear: bool
    base: str  # the class of positions: one that does nothing where some layers have no position, or not of that kind

    @classmethod
    def of(cls, attentions: Sequence[Attention], context_length: int) -> Acts:
        """EngineError when layers differ in what one class cannot say."""
        first = attentions[0]
        for other in attentions:
            same = other.dims == first.dims and other.scale == first.scale and _biases(other) == _biases(first)
            if not same or isinstance(other.parts.kernel, Linear) != isinstance(first.parts.kernel, Linear):
                raise EngineError(
                    "cannot eject a model whose layers differ in heads, scale, biases, or in linear and softmax attention",
                    hint="layers may differ in position and mask",
                )
        used = [each.parts for each in attentions]
        acting = [(_rotates(parts.position), adds_bias(parts.position)) for parts in used]
        return cls(
            rotates=any(rotates for rotates, _ in acting),
            biases=any(biases for _, biases in acting),
            masked=not all(places.sees_all(parts.mask) for parts in used),
            blind=any(places.may_hide_all(mask, context_length) for mask in {parts.mask for parts in used}),
            linear=isinstance(first.parts.kernel, Linear),
            base="nn.Module" if len(set(acting)) == 1 else "Position",
        )

    @property
    def placed(self) -> bool:
        """Whether layers need to know their position scheme."""
        return self.rotates or self.biases

    @property
    def parameters(self) -> str:
        return ", ".join(["seen: Tensor"] * self.masked + ["position: nn.Module"] * self.placed)

    @property
    def arguments(self) -> str:
        return ", seen" * self.masked + ", position" * self.placed


def _rotates(position: Position) -> bool:
    return type(position).rotate is not Position.rotate


def _biases(attention: Attention) -> tuple[bool, bool]:
    return attention.q_proj.bias is not None, attention.o_proj.bias is not None


def attention(of: Attention, acts: Acts, name: str = "Attention") -> Pieces:
    """The class of an attention layer; `CrossAttention` takes its keys and values from `source`."""
    cross, (on_qkv, on_o) = name == "CrossAttention", _biases(of)
    grouped = of.dims.group > 1
    kv_heads = "N_KV_HEADS" if grouped else "N_HEADS"
    added = ", source: Tensor" if cross else f", {acts.parameters}" * bool(acts.parameters)
    doc = "Every token asks (q) all tokens it may see (k), and takes the weighted mean of what they say (v)"
    doc = "As attention, but keys and values come from the text that was read" if cross else doc
    shape = "(batch, time, d_model), (batch, key, d_model)" if cross else "(batch, time, d_model)"
    lines = [
        f"class {name}(nn.Module):",
        f"    {docstring(f'{doc} (Vaswani et al. 2017).', 4)}",
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
        f"        self.q_proj = nn.Linear(D_MODEL, N_HEADS * D_HEAD, bias={on_qkv})",
        f"        self.k_proj = nn.Linear(D_MODEL, {kv_heads} * D_HEAD, bias={on_qkv})",
        f"        self.v_proj = nn.Linear(D_MODEL, {kv_heads} * D_HEAD, bias={on_qkv})",
        f"        self.o_proj = nn.Linear(N_HEADS * D_HEAD, D_MODEL, bias={on_o})",
        "",
        f"    def forward(self, x: Tensor{added}) -> Tensor:  # {shape}",
        f"        q, k, v = heads(self.q_proj(x)), heads(self.k_proj({'source' if cross else 'x'})), "
        f"heads(self.v_proj({'source' if cross else 'x'}))",
    ]
    if acts.rotates and not cross:
        lines.append("        q, k = position.rotate(q), position.rotate(k)")
    if grouped:
        lines.append(f"        # {of.dims.group} query heads share each head of keys and values (Ainslie et al. 2023)")
        lines += [f"        {one} = {one}.repeat_interleave(N_HEADS // N_KV_HEADS, dim=1)" for one in "kv"]
    if acts.linear:
        lines += [
            "        weights = features(q.float()) @ features(k.float()).transpose(-1, -2)",
            *["        weights = weights * seen"] * (acts.masked and not cross),
            "        z = ((weights / weights.sum(-1, keepdim=True)) @ v.float()).to(x.dtype)",
        ]
    else:
        lines += [
            *["        # scores are not divided by sqrt(d_head) here: the weights are trained for it"] * (of.scale == 1),
            f"        scores = q @ k.transpose(-1, -2){_scale(of)}",
            *["        scores = scores + position.bias(q, k)"] * (acts.biases and not cross),
            *['        scores = scores.masked_fill(~seen, float("-inf"))'] * (acts.masked and not cross),
            "        weights = scores.float().softmax(dim=-1).to(x.dtype)",
            *["        weights = weights.nan_to_num(0.0)  # a query that may see nothing gets zeros"] * (acts.blind and not cross),
            "        z = weights @ v",
        ]
    lines.append("        return self.o_proj(z.transpose(1, 2).flatten(2))")
    pieces = {"heads": _HEADS}
    if acts.linear:
        pieces["features"] = piece("isinglass.nn.attention.kernels.linear", "features")
    return {**pieces, name: "\n".join(lines)}


_HEADS = '''def heads(x: Tensor) -> Tensor:  # (batch, time, heads * d_head) -> (batch, heads, time, d_head)
    """Side by side -> one behind the other."""
    return x.unflatten(-1, (-1, D_HEAD)).transpose(1, 2)'''


def _scale(of: Attention) -> str:
    if of.scale == 1:
        return ""
    return " * D_HEAD**-0.5" if of.scale == of.dims.d_head**-0.5 else f" * {of.scale!r}"


def block(of: Block | PostNormBlock | CrossBlock, acts: Acts, dropout: float) -> Pieces:
    """The class of a block, and those of its parts."""
    made_norm, pieces = norm(of.attention_norm)
    made_mlp, mlp_pieces = feedforward(of.mlp)
    kind = type(of).__name__
    pieces |= mlp_pieces | attention(of.attention, acts)
    seen = "x" if isinstance(of, PostNormBlock) else "self.attention_norm(x)"
    replace = {f"self.attention({seen}, {_CALL})": f"self.attention({seen}{acts.arguments})", "attention": "Attention()", "mlp": made_mlp}
    drop, unwrap, add = set(_FORGOTTEN) | {"crossing", "dropout"}, {"tapped": 2}, acts.parameters
    if isinstance(of, CrossBlock):
        pieces |= attention(of.cross_attention, acts, "CrossAttention")
        asked = "self.cross_attention_norm(x)"
        called = f"self.cross_attention( {asked}, layer=layer, slots=slots, k_slots=memory_slots, memory=memory, tap=crossing )"
        replace |= {called: f"self.cross_attention({asked}, source)", "cross_attention": "CrossAttention()"}
        replace |= {f"norms[{n}]": made_norm for n in range(3)}
        drop, add = drop | {"norms", "memory"}, f"{add}{', ' * bool(add)}source: Tensor"
    else:
        replace |= {"attention_norm": made_norm, "mlp_norm": made_norm}
    if dropout:
        replace["Dropout(dropout)"] = "nn.Dropout(DROPOUT)"
    else:
        drop, unwrap = drop | {"self.dropout"}, {**unwrap, "self.dropout": 0}
    return {**pieces, kind: piece("isinglass.nn.block", kind, Edits(replace, frozenset(drop), unwrap, add=add, doc=_DOCS.get(kind, "")))}


_DOCS = {"CrossBlock": "Pre-norm block of a decoder that also reads another text: `source`, what the encoder made of it."}


def made(stack: Stack, acts: Acts, count: str) -> tuple[list[str], Pieces]:
    """The lines of a constructor that make positions and layers, and what they need."""
    needed = [each for each in stack.positions if acts.placed or type(each).embed is not Position.embed]
    pieces: Pieces = {}
    lines: list[str] = []
    if needed:
        created, classes = places.positions(stack.positions, acts.base)
        pieces |= classes
        lines += listed("self.positions = nn.ModuleList([{}])", created)
    lines.append(f"self.layers = nn.ModuleList({type(stack.layers[0]).__name__}() for _ in range({count}))")
    return lines, pieces


def listed(form: str, items: Sequence[str]) -> list[str]:
    """A list on one line, or on one for each item where that would be long."""
    line = form.format(", ".join(items))
    if len(line) <= _WIDTH and "\n" not in line:
        return [line]
    before, after = form.split("{}")
    rows = [f"    {row}" for item in items for row in f"{item},".splitlines()]
    if before.endswith("(["):
        return [before[:-1], "    [", *(f"    {row}" for row in rows), "    ]", after[1:]]
    return [before, *rows, after]


def embedded(stack: Stack, x: str) -> str:
    """`x` with what the positions add to it."""
    adding = [n for n, each in enumerate(stack.positions) if type(each).embed is not Position.embed]
    return " + ".join([x, *(f"self.positions[{n}].embed(i)" for n in adding)])


def run(stack: Stack, acts: Acts, names: Mapping[Mask, str], *, source: str = "") -> list[str]:
    """The lines that send `x` through the layers; `names` are those of the functions of masks."""
    masks, parts = list(stack.masks), [each.parts for each in stack.attentions]
    lines, per_layer, arguments = [], {}, ""
    if acts.masked:
        calls = [f"{names[mask]}(i[:, None], i)" for mask in masks]
        if len(masks) == 1:
            lines.append(f"seen = {calls[0]}  # (query, key)")
            arguments += ", seen"
        else:
            lines += listed("seen = [{}]", calls)
            per_layer["which_mask"] = [masks.index(each.mask) for each in parts]
            arguments += ", seen[which_mask]"
    if acts.placed:
        indices = [[each is p.position for each in stack.positions].index(True) for p in parts]
        if len(stack.positions) == 1:
            arguments += ", self.positions[0]"
        else:
            per_layer["which_position"] = indices
            arguments += ", self.positions[which_position]"
    each, layers = ["layer", *per_layer], "self.layers"
    if per_layer:
        lists = ", ".join(_indices(values) for values in per_layer.values())
        layers = f"zip(self.layers, {lists})"
    return [*lines, f"for {', '.join(each)} in {layers}:", f"    x = layer(x{arguments}{source})"]


def _indices(values: Sequence[int]) -> str:
    """A list of indices as short as it can be said: [0, 1] * 6."""
    for length in range(1, len(values) // 2 + 1):
        times, rest = divmod(len(values), length)
        if not rest and list(values) == list(values[:length]) * times:
            return f"{list(values[:length])} * {times}"
    return str(list(values))


def masks(written: Mapping[Mask, str]) -> tuple[dict[Mask, str], Pieces]:
    """The function of each mask: its name, which is that of the mask where it is a single one, and its text."""
    names: dict[Mask, str] = {}
    pieces: Pieces = {}
    for mask, expression in written.items():
        name = expression.partition("(")[0].strip()
        name = name if name.isidentifier() else "mask"
        names[mask] = name if name not in names.values() else f"{name}_{len(names)}"
        pieces |= places.mask_pieces(mask) | {names[mask]: _mask(mask, names[mask], expression)}
    return names, pieces


def _mask(mask: Mask, name: str, written: str) -> str:
    return f'''def {name}(i: Tensor, j: Tensor) -> Tensor:  # (query, 1), (key,) -> (query, key)
    """{written}: may token i see token j?"""
    return {places.rule(mask)}'''


def stack_of(layers: nn.ModuleList, positions: nn.ModuleList, rules: Any) -> Stack:
    written = [str(each) for each in (rules if isinstance(rules, list) else [rules] * len(layers))]
    return Stack(cast(Any, list(layers)), cast(Any, list(positions)), written)
