"""Positions and masks as text: what order adds, and who may see whom."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from isinglass.inspection.eject.parts import Pieces, number, refused
from isinglass.inspection.eject.source import Edits, card_line, piece
from isinglass.nn.attention.mask import Both, Complement, Either, Mask
from isinglass.nn.attention.masks.causal import Causal
from isinglass.nn.attention.masks.dilated import Dilated
from isinglass.nn.attention.masks.documents import Documents
from isinglass.nn.attention.masks.full import Full
from isinglass.nn.attention.masks.global_tokens import GlobalTokens
from isinglass.nn.attention.masks.prefix import Prefix
from isinglass.nn.attention.masks.random_blocks import RandomBlocks
from isinglass.nn.attention.masks.sliding_window import SlidingWindow
from isinglass.nn.attention.masks.strided import Strided
from isinglass.nn.attention.position import Position
from isinglass.nn.attention.positions.alibi import Alibi
from isinglass.nn.attention.positions.learned import Learned
from isinglass.nn.attention.positions.none import NoPosition
from isinglass.nn.attention.positions.relative_shaw import RelativeShaw
from isinglass.nn.attention.positions.relative_t5 import RelativeT5
from isinglass.nn.attention.positions.relative_xl import RelativeXL
from isinglass.nn.attention.positions.rotary import Rotary
from isinglass.nn.attention.positions.sinusoidal import Sinusoidal

_OFFSETS = '''def offsets(x: Tensor) -> Tensor:  # (1, query, key)
    """How far each key stands ahead of each query: j - i."""
    i = torch.arange(x.shape[2], device=x.device)
    return (i - i[:, None])[None]'''
POSITION = '''class Position(nn.Module):
    """Says nothing about order; a scheme fills in the one place it acts at."""

    def rotate(self, x: Tensor) -> Tensor:
        return x

    def bias(self, q: Tensor, k: Tensor) -> Tensor | float:
        return 0.0'''

# of each class: the edits of its source, and the settings that its constructor keeps
_IN_SCORES = {"offsets(q_slots, k_slots)": "offsets(q)"}
_WIDTH = 100  # of a call on one line
_TABLE = "Cosines and signed sines, each (time, d_head), from fp32 angles."
_KEPT: dict[type[Position], tuple[dict[str, str], tuple[str, ...]]] = {
    NoPosition: ({}, ()),
    Learned: ({"dims.context_length": "CONTEXT_LENGTH", "dims.d_model": "D_MODEL", "distinct_rows(slots)": "i"}, ()),
    Sinusoidal: (
        {"self.d_model, self.base = d_model, base": "self.base = base", "self.d_model": "D_MODEL", "slots.position": "i"},
        ("base",),
    ),
    Alibi: ({**_IN_SCORES, "self.n_heads": "N_HEADS"}, ()),
    RelativeShaw: ({**_IN_SCORES, "d_head": "D_HEAD"}, ("clip",)),
    RelativeT5: ({**_IN_SCORES, "n_heads": "N_HEADS"}, ("num_buckets", "max_distance", "bidirectional")),
    RelativeXL: (
        {
            **_IN_SCORES,
            "self.d_model, self.d_head, self.base = dims.d_model, dims.d_head, base": "self.base = base",
            "dims.d_model": "D_MODEL",
            "dims.n_heads": "N_HEADS",
            "dims.d_head": "D_HEAD",
            "self.d_model": "D_MODEL",
            "self.d_head": "D_HEAD",
        },
        ("base",),
    ),
    Rotary: (
        {
            "self.d_head": "D_HEAD",
            "self.table(slots, x.dtype)": "self.table(torch.arange(x.shape[2], device=x.device), x.dtype)",
            "slots.position[:, None, :, None]": "i[:, None]",
            "slots.position.device": "i.device",
            '"""Cosines and signed sines, each (batch, 1, time, d_head), from fp32 angles."""': _TABLE,
        },
        ("base", "scaling"),
    ),
}
_DROPPED = frozenset({"dims", "d_model", "n_heads", "d_head", "slots", "q_slots", "k_slots", "self.n_heads"})
_RENAMED = {"embed.slots": "i: Tensor", "table.slots": "i: Tensor"}


def positions(used: Sequence[Position], base: str) -> tuple[list[str], Pieces]:
    """How each position is made, and the classes that needs; they stand on `base`."""
    pieces: Pieces = {"Position": POSITION} if base == "Position" else {}
    for of in used:
        kind = type(of)
        if kind not in _KEPT:
            raise refused("position", of)
        if isinstance(of, Alibi | RelativeT5 | RelativeShaw | RelativeXL):
            pieces["offsets"] = _OFFSETS
        if kind is Alibi:
            pieces["slopes"] = piece(kind.__module__, "slopes")
        if kind in (Sinusoidal, RelativeXL):
            pieces["waves"] = piece(Sinusoidal.__module__, "waves")
        if kind is Rotary:
            pieces |= _rotary([each.scaling for each in used if isinstance(each, Rotary)], base)
        elif kind is not NoPosition and kind.__name__ not in pieces:
            edits = Edits(_KEPT[kind][0], _DROPPED, base=base, doc=card_line(kind.__module__), rename=_RENAMED)
            pieces[kind.__name__] = piece(kind.__module__, kind.__name__, edits)
    scaled = any(isinstance(of, Rotary) and of.scaling is not None for of in used)
    nothing = "nn.Identity()" if base == "nn.Module" else f"{base}()"
    return [nothing if isinstance(of, NoPosition) else _made(of, scaled=scaled) for of in used], pieces


def _made(of: Position, *, scaled: bool) -> str:
    names = [name for name in _KEPT[type(of)][1] if name != "scaling" or scaled]
    given = [f"{name}={_setting(getattr(of, name))}" for name in names]
    line = f"{type(of).__name__}({', '.join(given)})"
    return line if len(line) <= _WIDTH else "\n".join([f"{type(of).__name__}(", *(f"    {each}," for each in given), ")"])


def _setting(value: Any) -> str:
    if value is None or isinstance(value, int | float | str):
        return number(value)
    return f"{type(value).__name__}({', '.join(f'{name}={number(each)}' for name, each in vars(value).items())})"


def _rotary(scalings: Sequence[Any], base: str) -> Pieces:
    """The class for rotary positions with these scalings, None where there is none."""
    rules = {type(rule).__name__: type(rule) for rule in scalings if rule is not None}
    pieces = {name: piece(rule.__module__, name, Edits(base="", doc=card_line(rule.__module__))) for name, rule in rules.items()}
    replace, drop, assigned = dict(_KEPT[Rotary][0]), set(_DROPPED), "self.d_head, self.base, self.scaling = d_head, base, scaling"
    if rules:
        replace |= {
            assigned: "self.base, self.scaling = base, scaling",
            "Scaling | None": " | ".join([*rules, *["None"] * (None in scalings)]),
        }
        replace |= {} if None in scalings else {"self.scaling is None": "False"}
    else:
        replace |= {assigned: "self.base = base", "self.scaling": "None"}
        drop.add("scaling")
    if all(rule is None or rule.magnitude == 1.0 for rule in scalings):
        replace |= {"angles.cos() * size": "angles.cos()", "angles.sin() * size": "angles.sin()"}
        drop.add("size")
    elif len(rules) > 1:  # yarn alone makes them grow
        replace["self.scaling.magnitude"] = 'getattr(self.scaling, "magnitude", 1.0)'
    edits = Edits(replace, frozenset(drop), base=base, doc=card_line(Rotary.__module__), rename=_RENAMED)
    return {**pieces, "Rotary": piece(Rotary.__module__, "Rotary", edits)}


# masks

_PLAIN = (Causal, SlidingWindow, Strided, GlobalTokens)  # whose rule is one expression


def sees_all(mask: Mask) -> bool:
    """Whether it hides nothing in a row that is one text."""
    if isinstance(mask, Both):
        return sees_all(mask.left) and sees_all(mask.right)
    return isinstance(mask, Full | Documents) or (isinstance(mask, Either) and (sees_all(mask.left) or sees_all(mask.right)))


def rule(mask: Mask) -> str:
    """The rule as an expression of i, the queries as a column, and j, the keys as a row."""
    if sees_all(mask):
        return "torch.ones_like(i - j, dtype=torch.bool)"
    if isinstance(mask, Both):
        sides = [rule(side) for side in (mask.left, mask.right) if not sees_all(side)]
        return sides[0] if len(sides) == 1 else " & ".join(f"({side})" for side in sides)
    if isinstance(mask, Either):
        return f"({rule(mask.left)}) | ({rule(mask.right)})"
    if isinstance(mask, Complement):
        return f"~({rule(mask.inner)})"
    if type(mask) is Dilated:
        return rule(mask.rule)
    if type(mask) is Prefix:  # of a row without a prefix
        return rule(Causal())
    if type(mask) is RandomBlocks:
        return f"linked({', '.join(['i', 'j', *(f'{name}={number(value)}' for name, value in vars(mask).items())])})"
    if type(mask) not in _PLAIN:
        raise refused("mask", mask)
    return _expression(type(mask), vars(mask))


def _expression(kind: type[Mask], settings: Mapping[str, Any]) -> str:
    source = inspect.getsource(inspect.getmodule(kind))  # type: ignore[arg-type]
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name == kind.__name__)
    allow = next(n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "allow")
    (last,) = allow.body
    assert isinstance(last, ast.Return) and last.value is not None  # true of all in _PLAIN
    return ast.unparse(_OnPlaces(settings).visit(last.value))


class _OnPlaces(ast.NodeTransformer):
    """`q.position[:, :, None]` -> i, `k.position[:, None, :]` -> j, `self.window` -> its value."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        return self.visit(node.value)

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return ast.Constant(self.settings[node.attr])
        if node.attr == "position":
            return self.visit(node.value)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> Any:
        return self.visit(node.args[0]) if ast.unparse(node.func) == "distinct_rows" else self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        return ast.Name({"q": "i", "k": "j"}.get(node.id, node.id))


_LINKED = '''def linked(i: Tensor, j: Tensor, block: int, count: int, seed: int) -> Tensor:
    """Each block of queries sees a few blocks of keys from before it, drawn once and for all; those see it too."""
    a, b = i // block, j // block
    allowed = torch.zeros_like(a - b, dtype=torch.bool)
    for of_query, of_key in zip(drawn(a, count, seed), drawn(b, count, seed)):
        allowed = allowed | (of_query == b) | (a == of_key)
    return allowed'''


def mask_pieces(mask: Mask) -> Pieces:
    """What the expression of a mask needs."""
    inner = [getattr(mask, name) for name in ("left", "right", "inner") if hasattr(mask, name)]
    pieces: Pieces = {}
    for each in inner:
        pieces |= mask_pieces(each)
    if type(mask) is RandomBlocks and not inner:
        whole = {"Number": "Tensor"}
        pieces["hashed"] = piece(RandomBlocks.__module__, "hashed", Edits(whole))
        drawn = {**whole, "self.count": "count", "self.seed": "seed", "FIRST": "2"}
        rename = {"drawn.self": "block: Tensor", "drawn.block": "count: int, seed: int"}
        pieces["drawn"] = piece(RandomBlocks.__module__, "RandomBlocks.drawn", Edits(drawn, rename=rename))
        pieces["linked"] = _LINKED
    return pieces


def may_hide_all(mask: Mask, context_length: int) -> bool:
    """Whether there may be queries that see no key: not where each token sees itself."""
    import torch

    from isinglass.nn.attention.slots import Slots

    slots = Slots.first(torch.zeros(1, min(context_length, 1024), dtype=torch.long))
    return not bool(mask.allow(slots, slots)[0].diagonal().all())
