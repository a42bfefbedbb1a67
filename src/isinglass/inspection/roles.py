"""Which parameter of a student's class is which: by its name, its shape and the order of definition, whatever the structure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import Tensor, nn

from isinglass.core.errors import ShapeError
from isinglass.inspection.mistakes.attention import AttentionWeights, Projection
from isinglass.inspection.mistakes.block import BlockWeights
from isinglass.inspection.mistakes.gpt import GPTWeights
from isinglass.inspection.mistakes.layer_norm import NormWeights
from isinglass.inspection.student import Sizes

_AFFIX = r"(?:w|to|lin|linear|fc|attn|c|self|b)?"
_ENDING = r"(?:proj|projection|lin|linear|layer|w|fc|matrix|net|s)?"
_FUSED = re.compile(r"qkv|kqv|qvk|vqk|vkq|kvq|cattn|inproj")
_ROLES = {
    "q": re.compile(rf"quer|^{_AFFIX}q{_ENDING}$"),
    "k": re.compile(rf"key|^{_AFFIX}k{_ENDING}$"),
    "v": re.compile(rf"val|^{_AFFIX}v{_ENDING}$"),
    "out": re.compile(rf"out|proj|unify|final|dense|merge|combine|concat|^{_AFFIX}o{_ENDING}$"),
}
T = TypeVar("T")


@dataclass(frozen=True)
class Layout:
    """What a shape does not tell: whether a square raw parameter is used as x @ W ("in, out"), and how a fused one is cut."""

    raw: str = "in, out"
    fused: str = "q, k, v one after the other"


LAYOUTS = (
    Layout(),
    Layout(raw="out, in"),
    Layout(fused="q, k, v of each head together"),
    Layout("out, in", "q, k, v of each head together"),
)


@dataclass(frozen=True, eq=False)
class Matrix:
    """One weight and its bias, as they are stored; `linear`: an nn.Linear, so (out, in)."""

    name: str
    weight: Tensor
    bias: Tensor | None
    linear: bool

    @property
    def plain(self) -> str:
        """The last word of its name, letters alone: "heads.0.W_query.weight" is "wquery"."""
        words = [word for word in self.name.split(".") if word not in ("weight", "bias") and not word.isdigit()]
        return re.sub(r"[^a-z]", "", re.sub(r"_?weight$", "", (words or [""])[-1].lower()))

    @property
    def fused(self) -> bool:
        return bool(_FUSED.search(self.plain))

    def role(self) -> str | None:
        return next((role for role, pattern in _ROLES.items() if pattern.search(self.plain)), None)

    def projection(self, d_in: int, layout: Layout) -> Projection:
        """As (out, in): the shape tells, or for a square the kind of layer."""
        rows, columns = self.weight.shape
        turned = not self.linear and (rows == d_in and (columns != d_in or layout.raw == "in, out"))
        return Projection(self.weight.T if turned else self.weight, self.bias)


@dataclass
class Mapping:
    """What was taken for what, in words."""

    lines: list[str] = field(default_factory=list)

    def note(self, role: str, names: Iterable[str]) -> None:
        self.lines.append(f"{role}: {', '.join(names)}")

    def __str__(self) -> str:
        return "; ".join(self.lines) or "no parameters"


def matrices(module: nn.Module, prefix: str = "") -> list[Matrix]:
    """Weights with two axes below `prefix`, in the order of definition; the per-head form (heads, d_model, d_head) is made two."""
    found: list[Matrix] = []
    for path, owner in module.named_modules():
        own = dict(owner.named_parameters(recurse=False))
        where = f"{path}." if path else ""
        if not where.startswith(prefix) or isinstance(owner, nn.Embedding):
            continue
        for name, weight in own.items():
            if weight.dim() == 2 and not _bias_name(name, own):
                linear = isinstance(owner, nn.Linear) or name == "in_proj_weight"
                found.append(Matrix(where + name, weight.detach(), _bias_of(name, own), linear))
            elif weight.dim() == 3 and min(weight.shape) > 1:
                found.append(_per_head(where + name, weight.detach(), _bias_of(name, own)))
    return found


def _bias_name(name: str, own: dict[str, nn.Parameter]) -> bool:
    """b_Q of shape (heads, d_head) stands beside W_Q."""
    return name.lower().startswith(("b_", "bias")) and any(other.lower().startswith("w") for other in own)


def _bias_of(name: str, own: dict[str, nn.Parameter]) -> Tensor | None:
    others = {other for other in own if other != name}
    for candidate in ("bias", re.sub(r"^W", "b", name), re.sub(r"^w", "b", name), name.replace("weight", "bias")):
        if candidate in others and (candidate != "bias" or name == "weight" or len(own) == 2):
            return own[candidate].detach().reshape(-1)
    return None


def _per_head(name: str, weight: Tensor, bias: Tensor | None) -> Matrix:
    """(heads, d_model, d_head) as (heads * d_head, d_model), or for the output (heads, d_head, d_model) as (d_model, heads * d_head)."""
    wide = weight.shape[1] >= weight.shape[2]
    flat = weight.permute(0, 2, 1).reshape(-1, weight.shape[1]) if wide else weight.reshape(-1, weight.shape[2]).T
    return Matrix(name, flat, bias, linear=True)


def attention_weights(found: Sequence[Matrix], sizes: Sizes, layout: Layout, mapping: Mapping) -> AttentionWeights:
    """Queries, keys, values and the final projection. ShapeError when they cannot be told apart."""
    width = sizes.d_model
    fused = next((matrix for matrix in found if matrix.fused or 3 * width in matrix.weight.shape), None)
    if fused is not None:
        rest = [matrix for matrix in found if matrix is not fused]
        q, k, v = _cut(fused.projection(width, layout), fused.plain, sizes, layout)
        mapping.note("queries, keys, values", [f"{fused.name} {list(fused.weight.shape)} ({layout.fused})"])
        return AttentionWeights(q, k, v, _out(rest, sizes, layout, mapping))
    by_role: dict[str | None, list[Matrix]] = {}
    for matrix in found:
        by_role.setdefault(matrix.role(), []).append(matrix)
    if not all(by_role.get(role) for role in "qkv"):
        if len(found) not in (3, 4):
            raise _unclear("queries, keys and values", found)
        by_role = {role: [matrix] for role, matrix in zip(("q", "k", "v", "out"), found, strict=False)}
    q, k, v = (_joined(by_role[role], width, layout) for role in "qkv")
    for role, words in zip("qkv", ("queries", "keys", "values"), strict=True):
        mapping.note(words, _names(by_role[role]))
    rest = [matrix for matrix in found if not any(matrix in by_role[role] for role in "qkv")]
    made = AttentionWeights(q, k, v, _out(rest, sizes, layout, mapping))
    if len({tuple(part.weight.shape) for part in (made.q, made.k, made.v)}) > 1:
        raise ShapeError("queries, keys and values have unequal sizes", details=_shapes(found), hint="grouped heads are not checked yet")
    return made


def _out(rest: Sequence[Matrix], sizes: Sizes, layout: Layout, mapping: Mapping) -> Projection | None:
    if not rest:
        return None
    if len(rest) > 1:
        raise _unclear("the final projection", rest)
    mapping.note("final projection", _names(rest))
    return rest[0].projection(sizes.d_model, layout)


def _cut(joint: Projection, name: str, sizes: Sizes, layout: Layout) -> list[Projection]:
    """Queries, keys and values out of a fused projection, in the order that its name tells."""
    order = next((found.group() for found in [re.search(r"[qkv]{3}", name)] if found and set(found.group()) == set("qkv")), "qkv")

    def cut(x: Tensor) -> dict[str, Tensor]:
        if layout.fused.startswith("q, k, v of each"):
            by_head = x.unflatten(0, (sizes.n_heads, 3, -1))
            return {letter: by_head[:, i].flatten(0, 1) for i, letter in enumerate(order)}
        return dict(zip(order, x.chunk(3), strict=True))

    weight, bias = cut(joint.weight), None if joint.bias is None else cut(joint.bias)
    return [Projection(weight[letter], None if bias is None else bias[letter]) for letter in "qkv"]


def _joined(parts: Sequence[Matrix], width: int, layout: Layout) -> Projection:
    """One projection, or those of single heads one below the other."""
    made = [part.projection(width, layout) for part in parts]
    if len(made) == 1:
        return made[0]  # a view, so that weights can be copied into it
    biases = [part.bias for part in made if part.bias is not None]
    return Projection(torch.cat([part.weight for part in made]), torch.cat(biases) if biases else None)


def norms(module: nn.Module, width: int, prefix: str = "", outside: str | None = None) -> list[tuple[str, NormWeights]]:
    """Norms below `prefix` (and not below `outside`): owners of vectors of `width` that are no biases of a matrix."""
    found = []
    for path, owner in module.named_modules():
        where = f"{path}." if path else ""
        own = dict(owner.named_parameters(recurse=False))
        if not where.startswith(prefix) or (outside is not None and where.startswith(outside)):
            continue
        if own and all(tuple(p.shape) == (width,) for p in own.values()):
            found.append((path or "itself", norm_weights(owner)))
    return found


def norm_weights(owner: nn.Module) -> NormWeights:
    """The weight and bias of a norm, by name or by order."""
    own = {name: parameter.detach().reshape(-1) for name, parameter in owner.named_parameters()}
    bias = next((name for name in own if re.search(r"bias|beta|shift|offset|^b$|b_2|add", name.lower())), None)
    weight = next((name for name in own if name != bias), None)
    return NormWeights(None if weight is None else own[weight], None if bias is None else own[bias])


def in_order(both: Sequence[tuple[str, NormWeights]], prefix: str) -> list[tuple[str, NormWeights]]:
    """The norm of attention, then that of the feed-forward part: by name, else as they were defined."""
    return sorted(both, key=lambda norm: bool(re.search(r"mlp|ff|feed|ffn|2$", norm[0].removeprefix(prefix).lower())))


def mlp_of(found: Sequence[Matrix], width: int, prefix: str) -> list[Matrix]:
    """Matrices from or to another width, which are not those of attention."""
    shaped = [m for m in found if width in m.weight.shape and 3 * width not in m.weight.shape and len(set(m.weight.shape)) == 2]
    wide = [m for m in shaped if not m.fused]
    return [m for m in wide if not (re.search("att|head", m.name.removeprefix(prefix).lower()) or m.role() in ("q", "k", "v"))]


def block_weights(module: nn.Module, sizes: Sizes, layout: Layout, mapping: Mapping, prefix: str = "") -> BlockWeights:
    """A block's parts. ShapeError when they cannot be told apart."""
    width = sizes.d_model
    found = matrices(module, prefix)
    mlp = mlp_of(found, width, prefix)
    if len(mlp) != 2:
        raise _unclear("the two layers of the feed-forward part", found)
    attending = attention_weights([m for m in found if m not in mlp], sizes, layout, mapping)
    both = norms(module, width, prefix)
    if len(both) != 2:
        raise ShapeError(f"{len(both)} norms found in a block, expected 2", details=[name for name, _ in both])
    both = in_order(both, prefix)
    up, down = mlp
    mapping.note("feed-forward", _names(mlp))
    mapping.note("norms", [name for name, _ in both])
    d_ff = next(size for size in up.weight.shape if size != width)
    return BlockWeights(both[0][1], attending, both[1][1], up.projection(width, layout), down.projection(d_ff, layout))


def gpt_weights(module: nn.Module, sizes: Sizes, layout: Layout, mapping: Mapping) -> GPTWeights:
    """All parts of a GPT. ShapeError when they cannot be told apart."""
    width, place = sizes.d_model, blocks_of(module, sizes)
    tables = _tables(module)
    tokens = next(((name, table) for name, table in tables if table.shape == (sizes.vocab_size, width)), None)
    if tokens is None:
        raise ShapeError(f"no token embedding of {sizes.vocab_size} x {width} found", details=[f"{n} {list(t.shape)}" for n, t in tables])
    positions = next(((name, table) for name, table in tables if table is not tokens[1] and table.shape[1] == width), None)
    mapping.note("token embedding", [tokens[0]])
    mapping.note("positions", [positions[0] if positions else "none"])
    noted = [mapping, *(Mapping() for _ in range(1, sizes.n_layers))]  # the first stands for all
    layers = tuple(block_weights(module, sizes, layout, noted[n], f"{place}.{n}.") for n in range(sizes.n_layers))
    final = norms(module, width, outside=f"{place}.")
    heads = [m for m in matrices(module) if sizes.vocab_size in m.weight.shape]
    mapping.note("final norm", [final[-1][0] if final else "none"])
    mapping.note("head", _names(heads) or ["the token embedding"])
    head = heads[0].projection(width, layout) if heads else Projection(tokens[1])
    return GPTWeights(tokens[1], positions[1] if positions else None, layers, final[-1][1] if final else None, head)


def blocks_of(module: nn.Module, sizes: Sizes) -> str:
    """Where the blocks stand: the first list of modules with `n_layers` children that have parameters. ShapeError without one."""
    for path, owner in module.named_modules():
        children = list(owner.children())
        if isinstance(owner, nn.ModuleList | nn.Sequential) and len(children) == sizes.n_layers:
            sizes_of = [sum(p.numel() for p in child.parameters()) for child in children]
            if min(sizes_of) > 4 * sizes.d_model and len(set(sizes_of)) == 1:
                return path
    raise ShapeError(
        f"no list of {sizes.n_layers} equal blocks found",
        details=[f"{name}: {type(child).__name__}" for name, child in module.named_children()],
        hint="keep them in an nn.ModuleList or an nn.Sequential; their number is --args n_layers=...",
    )


def _tables(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Embeddings, raw tables of positions, and such buffers, without axes of one."""
    tables = [(name, owner.weight.detach()) for name, owner in module.named_modules() if isinstance(owner, nn.Embedding)]
    known = {id(owner.weight) for owner in module.modules() if isinstance(owner, nn.Embedding)}
    others: Iterator[tuple[str, Tensor]] = iter([*module.named_parameters(), *module.named_buffers()])
    for name, tensor in others:
        placing = re.search("pos|pe$|wpe", name.lower())
        if placing and id(tensor) not in known and tensor.is_floating_point() and tensor.squeeze().dim() == 2:
            tables.append((name, tensor.detach().squeeze()))
    return tables


def tried(module: nn.Module, map_weights: Callable[[Layout, Mapping], T]) -> Iterator[tuple[T, Mapping]]:
    """The weights under each layout that makes a difference; the mapping tells which."""
    raw = any(not m.linear and m.weight.shape[0] == m.weight.shape[1] for m in matrices(module))
    fused = any(m.fused or m.weight.shape[0] == 3 * m.weight.shape[1] for m in matrices(module))
    for layout in LAYOUTS:
        if (raw or layout.raw == LAYOUTS[0].raw) and (fused or layout.fused == LAYOUTS[0].fused):
            mapping = Mapping()
            weights = map_weights(layout, mapping)
            if raw:
                mapping.note("raw parameters as", [f"({layout.raw})"])
            yield weights, mapping


def _names(found: Sequence[Matrix]) -> list[str]:
    if len(found) > 2:
        return [f"{found[0].name} ... {found[-1].name}"]
    return [matrix.name for matrix in found]


def _shapes(found: Sequence[Matrix]) -> list[str]:
    return [f"{matrix.name} {list(matrix.weight.shape)}" for matrix in found]


def _unclear(what: str, found: Sequence[Matrix]) -> ShapeError:
    return ShapeError(
        f"cannot tell which of your parameters are {what}",
        details=_shapes(found),
        hint="call them q_proj, k_proj, v_proj, out_proj (or W_query, ...), up and down",
    )
