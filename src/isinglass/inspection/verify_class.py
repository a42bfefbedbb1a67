"""Checks a student's attention, LayerNorm, GELU, block or GPT against ours, and says in words what is wrong.

The definitions stand in `mistakes/`, each with its known mistakes; tests hold them to `nn` and `models`. The student's class is filled with
random weights, the same go into the definition and into each mistake, and the one whose output equals the student's names what was done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from isinglass.core.errors import EngineError, ShapeError
from isinglass.inspection import roles
from isinglass.inspection.class_kinds import KINDS, Kind, kind_of, with_heads
from isinglass.inspection.mistakes.mistake import Diagnosis, diagnose, difference, equal, largest_difference
from isinglass.inspection.student import ALIASES, Sizes, arguments_for, called, construct, load_object, takes
from isinglass.inspection.student_call import Caller
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table

Verdict = Literal["passed", "failed", "skipped"]
_MASK = 'scores.masked_fill(later, float("-inf")) before the softmax, later = torch.ones(time, time).triu(1).bool()'
_DROPOUT = "nn.Dropout, or F.dropout(x, p, training=self.training): dropout is off in eval mode"


@dataclass(frozen=True)
class Check:
    """One row: what was checked, how it went, what was seen, and what to do."""

    check: str
    verdict: Verdict
    seen: str
    hint: str = ""

    @classmethod
    def of(cls, check: str, passed: bool, seen: str, hint: str = "") -> Check:
        return cls(check, "passed" if passed else "failed", seen, "" if passed else hint)


@dataclass(frozen=True)
class ClassCheck(Finding):
    """What was found about one class. `mistakes` are the names of the known mistakes that explain its output."""

    name: str
    kind: str
    constructed: str
    checks: tuple[Check, ...]
    mistakes: tuple[str, ...] = ()
    command: str | None = None

    @property
    def passed(self) -> bool:
        return all(check.verdict != "failed" for check in self.checks)

    @property
    def data(self) -> dict[str, Any]:
        rows = [vars(check) for check in self.checks]
        return {
            "class": self.name, "kind": self.kind, "constructed": self.constructed, "passed": self.passed,
            "mistakes": list(self.mistakes), "checks": rows,
        }  # fmt: skip

    @property
    def parts(self) -> Sequence[Showable]:
        failed = sum(check.verdict == "failed" for check in self.checks)
        done = sum(check.verdict != "skipped" for check in self.checks)
        told = f"{failed} of {done} checks failed" if failed else f"all {done} checks passed"
        notes = [f"constructed as {self.constructed}, filled with random weights (seed 0), compared in float32"]
        rows = [vars(check) for check in self.checks]
        return [Table(rows, title=f"{self.name} as {KINDS[self.kind].noun}: {told}", notes=notes, command=self.command)]


@torch.no_grad()
def verify_class(
    name: str, *, kind: str | None = None, arguments: Mapping[str, Any] | None = None, command: str | None = None
) -> ClassCheck:
    """Check `my_module:MyAttention` or `./my.py:MyGPT`, which is imported, and so executed.

    `kind` is attention, layer_norm, gelu, block or gpt; None guesses from name and arguments. `arguments` are for the constructor where
    names such as d_model, emb_dim or a cfg do not tell. Raises DataError for errors of the student's code, with file and line.
    """
    cls, given = load_object(name), dict(arguments or {})
    chosen = kind_of(cls, name.rpartition(":")[2], kind)
    sizes = Sizes().with_(given)
    if not isinstance(cls, type):
        student = _Student(chosen, sizes, name.rpartition(":")[2], Caller(cls, sizes, chosen.example(sizes)), None)
        return ClassCheck(name, chosen.name, "a function", *_checks(student), command)
    sizes = with_heads(chosen, sizes, takes(cls, "n_heads") or "n_heads" in given)
    student = _construct(chosen, cls, sizes, given)
    return ClassCheck(name, chosen.name, student.constructed, *_checks(student), command)


@dataclass(frozen=True)
class _Student:
    """A class that was constructed twice: `call` without dropout, for values; `dropping` with it, where it takes one."""

    kind: Kind
    sizes: Sizes
    constructed: str
    call: Caller
    module: nn.Module | None
    dropping: nn.Module | None = None

    @property
    def example(self) -> Tensor:
        return self.kind.example(self.sizes)


def _construct(kind: Kind, cls: type, sizes: Sizes, given: Mapping[str, Any]) -> _Student:
    values = arguments_for(cls, sizes, given)
    made = construct(cls, values)
    if not callable(made):
        raise EngineError(f"a {type(made).__name__} cannot be called, expected a torch.nn.Module")
    if not isinstance(made, nn.Module):
        return _Student(kind, sizes, called(cls, values), Caller(made, sizes, kind.example(sizes)), None)
    without = {name: 0.0 if name in ALIASES["dropout"] else value for name, value in given.items()}
    quiet = construct(cls, arguments_for(cls, replace(sizes, dropout=0.0), without))
    _fill(quiet)
    call = Caller(quiet, sizes, kind.example(sizes))
    width = call(kind.example(sizes)).shape[-1]
    if sizes.n_heads > 1 and values.get("d_out") == sizes.d_model and width == sizes.d_model * sizes.n_heads:
        return _construct(kind, cls, sizes, {**given, "d_out": sizes.d_head})  # a list of single heads, each d_out wide
    return _Student(kind, sizes, called(cls, values), call, quiet, made)


def _fill(module: nn.Module) -> None:
    """Random weights that keep activations near 1: fresh ones have norms of 1 and biases of 0, which hide mistakes."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in module.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if weight.dim() < 2:
            shifts = re.search(r"bias|beta|shift|offset|(^|[._])b(_|$)", name.lower())
            weight.copy_(0.2 * noise if shifts else 1 + 0.2 * noise)
        else:
            weight.copy_(noise * (0.5 if "emb" in name else weight.shape[-1] ** -0.5))


def _checks(student: _Student) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    seen = student.call(student.example)
    shape = _shape(student, seen)
    if shape.verdict == "failed":
        return (shape, Check("values", "skipped", "the shape is wrong already")), ()
    if difference(seen, student.call(student.example)) > 0:
        told = "two passes in eval mode differ, though it was constructed without dropout"
        skipped = Check("values", "skipped", "random in eval mode: nothing to compare")
        return (shape, Check("dropout", "failed", told, _DROPOUT), skipped), ()
    rows = [shape, *_one_text(student), _finite(seen)]
    values, mistakes = _values(student, seen)
    rows += values
    if student.kind.sees_others and student.sizes.causal:
        rows.append(_causality(student))
    rows.append(_batch(student))
    if student.kind.sees_others:
        rows.append(_lengths(student))
    if student.dropping is not None:
        rows.append(_eval(student, student.dropping))
    return tuple(rows), mistakes


def _shape(student: _Student, seen: Tensor) -> Check:
    x, wanted = student.example, student.kind.out_shape(student.example, student.sizes)
    hint = "all positions at once: logits of (batch, time, vocab)" if student.kind.name == "gpt" else "the shape of x comes back"
    extra = f", called with {student.call.how}" if student.call.how else ""
    return Check.of("shape", list(seen.shape) == wanted, f"{list(x.shape)} -> {list(seen.shape)}, expected {wanted}{extra}", hint)


def _one_text(student: _Student) -> list[Check]:
    if not student.call.one_by_one:
        return []
    hint = "use dimensions from the end: k.transpose(-2, -1), softmax(dim=-1), and x.shape[-2] tokens"
    return [Check("batch axis", "failed", f"takes (time, d_model) alone; with a batch: {student.call.batch_error}", hint)]


def _finite(seen: Tensor) -> Check:
    bad = int((~seen.isfinite()).sum())
    told = f"{bad:,} of {seen.numel():,} values are NaN or infinite" if bad else "no NaN, no infinity"
    return Check.of("finite", not bad, told, "a row that is hidden whole, a division by 0, or a logarithm of 0")


def _values(student: _Student, seen: Tensor) -> tuple[list[Check], tuple[str, ...]]:
    kind, module = student.kind, student.module or nn.Identity()
    try:
        layouts = list(roles.tried(module, lambda layout, mapping: kind.weights(module, student.sizes, layout, mapping)))
    except ShapeError as fault:
        details = "; ".join(fault.details)
        return [Check("weights", "failed", f"{fault.message}: {details}" if details else fault.message, fault.hint)], ()
    definition = kind.definition(student.sizes)

    def search(weights: Any, together: int) -> Diagnosis[Any] | None:
        return diagnose(seen, lambda steps: kind.make(student.example, weights, steps), definition, kind.mistakes, together=together)

    found = [(search(weights, 1), weights, mapping) for weights, mapping in layouts]
    best = min(found, key=lambda one: 0 if one[0] is not None and one[0].right else 1 if one[0] is not None else 2)
    if best[0] is None:
        best = (search(best[1], 2), *best[1:])
    diagnosis, weights, mapping = best
    rows = [] if student.module is None else [Check("weights", "passed", str(mapping))]
    rows += _projection(student, weights)
    rows.append(_told(diagnosis, kind, seen, kind.make(student.example, weights, definition)))
    return rows, () if diagnosis is None else tuple(mistake.name for mistake in diagnosis.mistakes)


def _projection(student: _Student, weights: Any) -> list[Check]:
    """Heads that are never mixed: legal for one head, a mistake for several."""
    attending = {"block": lambda: weights.attention, "gpt": lambda: weights.blocks[0].attention}.get(student.kind.name, lambda: weights)()
    if student.kind.name not in ("attention", "block", "gpt") or student.sizes.n_heads == 1:
        return []
    has = attending.out is not None
    told = "there is one" if has else f"missing: {student.sizes.n_heads} heads are put side by side and never mixed"
    return [Check.of("final projection", has, told, "self.out_proj = nn.Linear(d_model, d_model), and return self.out_proj(z)")]


def _told(diagnosis: Diagnosis[Any] | None, kind: Kind, seen: Tensor, ours: Tensor) -> Check:
    if diagnosis is None:
        told = f"your output equals neither ours nor a mistake we know; the largest difference is {largest_difference(seen, ours)}"
        how = "compare inside of it: isinglass diverge MODEL my.py:MyGPT TEXT" if kind.name == "gpt" else "check the parts one by one"
        return Check("values", "failed", told, how)
    off = f"largest difference {diagnosis.difference:.1g}"
    if not diagnosis.mistakes:
        return Check("values", "passed", f"equals ours with the same weights ({off})")
    words = ", and ".join(mistake.words for mistake in diagnosis.mistakes)
    if diagnosis.right:
        return Check("values", "passed", f"equals ours {words} ({off})")
    hints = dict.fromkeys(mistake.hint for mistake in diagnosis.mistakes if not mistake.right)
    far = f"; off from ours by {largest_difference(seen, ours)}"
    return Check("values", "failed", f"your output equals {kind.noun} {words} ({off}){far}", "; ".join(hints))


def _causality(student: _Student) -> Check:
    """Other tokens from the middle on must change nothing before them, and something after."""
    x, middle = student.example, student.example.shape[1] // 2
    other = x.clone()
    other[:, middle:] = x.flip(0)[:, middle:]
    before, after = student.call(x), student.call(other)
    early, late = difference(before[:, :middle], after[:, :middle]), difference(before[:, middle:], after[:, middle:])
    passed = early <= 1e-6 * max(1.0, float(before.nan_to_num().abs().max()))
    told = f"other tokens from position {middle} on change the positions before by {early:.1g}, those after by {late:.2g}"
    return Check.of("causality", passed, told, _MASK)


def _batch(student: _Student) -> Check:
    x = student.example
    together = student.call(x)
    apart = max(difference(together[row : row + 1], student.call(x[row : row + 1])) for row in range(len(x)))
    passed = equal(together[:1], student.call(x[:1])) and apart <= 1e-5 * max(1.0, float(together.nan_to_num().abs().max()))
    hint = "no sum, mean or softmax over dim 0, and no reshape across it"
    return Check.of("batch", passed, f"a text alone and among others: off by {apart:.1g}", hint)


def _lengths(student: _Student) -> Check:
    """One token, and as many as the context holds."""
    x, length = student.example, student.sizes.context_length
    longest = torch.cat([x, x.flip(1)], dim=1)[:, :length]
    told = []
    for text in (x[:, :1], longest):
        wanted = student.kind.out_shape(text, student.sizes)
        try:
            seen = list(student.call(text).shape)
        except Exception as fault:
            hint = "cut the mask to the text: mask[:time, :time], and positions to torch.arange(time)"
            return Check("lengths", "failed", f"{text.shape[1]} tokens: {str(fault).splitlines()[0]}", hint)
        told.append(f"{text.shape[1]} tokens -> {seen}")
        if seen != wanted:
            return Check("lengths", "failed", f"{told[-1]}, expected {wanted}")
    return Check("lengths", "passed", "; ".join(told))


def _eval(student: _Student, module: nn.Module) -> Check:
    """Two passes in eval mode are equal; in training they differ where there is dropout."""
    x = student.example
    call = Caller(module.eval(), student.sizes, x)
    first, second = call(x), call(x)
    still = difference(first, second)
    module.train()
    torch.manual_seed(1)
    drops = difference(call(x), call(x)) > 0
    module.eval()
    told = f"two passes in eval mode differ by {still:.1g}; in training they are {'random' if drops else 'equal: there is no dropout'}"
    return Check.of("dropout", still == 0, told, _DROPOUT)
