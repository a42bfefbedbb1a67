"""The grammar of variants, and how a family finds and builds them."""

from __future__ import annotations

import textwrap
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from isinglass.core import variants
from isinglass.core.errors import VariantError
from isinglass.core.variants import Call, Combined, parse
from isinglass.nn.attention import kernels, masks, positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.masks.causal import Causal
from isinglass.nn.attention.masks.sliding_window import SlidingWindow
from isinglass.nn.attention.positions.rotary import Rotary
from isinglass.nn.attention.scalings.llama3 import Llama3
from isinglass.nn.attention.slots import Slots

DIMS = Dims(32, 4, 2, 8, 64)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda n: n not in __import__("keyword").kwlist and not n.startswith("__file")
)
CONSTANTS = (
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
EXPRESSIONS = st.recursive(
    NAMES.map(Call),
    lambda inner: st.one_of(
        st.builds(
            lambda name, args, kwargs: Call(name, tuple(args), tuple(kwargs.items())),
            NAMES,
            st.lists(CONSTANTS | inner | st.lists(CONSTANTS, max_size=3).map(tuple), max_size=2),
            st.dictionaries(NAMES, CONSTANTS | inner | st.lists(inner, max_size=2).map(tuple), max_size=3),
        ),
        st.builds(Combined, st.sampled_from("&|"), inner, inner),
        st.builds(Combined, st.just("~"), inner),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(EXPRESSIONS)
def test_parse_reads_what_str_writes(expression: Call | Combined) -> None:
    assert parse(str(expression)) == expression


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("causal", Call("causal")),
        (" causal ", Call("causal")),
        ("rotary(base=5e5)", Call("rotary", (), (("base", 5e5),))),
        ("sliding_window(-3)", Call("sliding_window", (-3,))),
        ("ban([1, 2])", Call("ban", ((1, 2),))),
        ("rotary(scaling=llama3(factor=8))", Call("rotary", (), (("scaling", Call("llama3", (), (("factor", 8),))),))),
        ("a & b | c", Combined("|", Combined("&", Call("a"), Call("b")), Call("c"))),
        ("a | b & c", Combined("|", Call("a"), Combined("&", Call("b"), Call("c")))),
        ("~a & b", Combined("&", Combined("~", Call("a")), Call("b"))),
        ("~(a | b)", Combined("~", Combined("|", Call("a"), Call("b")))),
        ("./my_mask.py(every=2)", Call("./my_mask.py", (), (("every", 2),))),
        ("causal & ./dir/my-mask.py", Combined("&", Call("causal"), Call("./dir/my-mask.py"))),
        ("f(path='./x.py')", Call("f", (), (("path", "./x.py"),))),
    ],
)
def test_grammar(text: str, parsed: Call | Combined) -> None:
    assert parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "cannot read the variant ''"),
        ("causal &", "cannot read the variant 'causal &': invalid syntax at character 9"),
        ("rotary(base=", r"cannot read the variant 'rotary\(base=': '\(' was never closed"),
        ("a + b", r"'a \+ b' is not a name or a call"),
        ("a.b", "'a.b' is not a name or a call"),
        ("3", "'3' is not a name or a call"),
        ("__import__('os').system('x')", "is not a name or a call"),
        ("f(x for x in y)", "is not a constant"),
        ("f(a=1 + 2)", r"'1 \+ 2' is not a name or a call"),
        ("f(a=g.h)", "'g.h' is not a constant"),
        ("f(**g)", r"'f\(\*\*g\)' is not a name or a call"),
        ("a\0b", "cannot read the variant"),
    ],
)
def test_what_cannot_be_read(text: str, fault: str) -> None:
    with pytest.raises(VariantError, match=fault) as caught:
        parse(text)
    assert caught.value.hint or "constant" in str(caught.value)


def test_resolve_takes_names_expressions_and_objects() -> None:
    assert masks.family.resolve("causal", DIMS) == Causal()
    assert masks.family.resolve(Call("sliding_window", (4,)), DIMS) == SlidingWindow(4)
    assert masks.family.resolve(Causal(), DIMS) == Causal()
    assert masks.family.resolve("causal & sliding_window(4)", DIMS) == Causal() & SlidingWindow(4)


def test_nested_variants_are_built() -> None:
    rotary = positions.family.resolve("rotary(base=5e5, scaling=llama3(factor=32.0))", DIMS)
    assert isinstance(rotary, Rotary)
    assert rotary.scaling == Llama3(32.0, 1.0, 4.0, 8192)


@pytest.mark.parametrize(
    ("family", "value", "fault"),
    [
        (masks.family, "casual", r"unknown mask 'casual' in here\n  known: causal, dilated, documents, full, global_tokens, prefix, random_blocks, sliding_window, strided\nhint: did you mean 'causal'\?  isinglass explain masks.causal"),
        (masks.family, "sliding_window", r"here: 'sliding_window': missing a required argument: 'window'\n  sliding_window takes: window\nhint: isinglass explain masks.sliding_window"),
        (masks.family, "sliding_window(3, 4)", r"too many positional arguments\n  sliding_window takes: window"),
        (masks.family, "causal(x=1)", r"unexpected keyword argument 'x'\n  causal takes: nothing"),
        (masks.family, "sliding_window('wide')", r"sliding_window: window = 'wide'"),
        (masks.family, "sliding_window(2.5)", r"sliding_window: window = 2.5"),
        (positions.family, "rotary(base='high')", r"rotary: base = 'high'"),
        (masks.family, 3, r"here: 3 is not a mask\n  expected a name, an expression such as 'causal', or an object of class Mask"),
        (positions.family, "rotary & learned", r"here: 'rotary & learned': a position cannot be joined with '&'"),
        (kernels.family, "~sdpa", r"a kernel cannot be joined with '~'"),
        (masks.family, "./missing_mask.py", r"no file 'missing_mask.py'\nhint: give the path of a Python file that defines build\(dims, ...\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved(family: Any, value: Any, fault: str) -> None:
    with pytest.raises(VariantError, match=fault):
        family.resolve(value, DIMS, where="here")


USER_MASK = """
from dataclasses import dataclass
from isinglass.nn.attention.mask import Mask

@dataclass(frozen=True)
class EveryOther(Mask):
    every: int

    def allow(self, q, k):
        return (q.position[:, :, None] - k.position[:, None, :]) % self.every == 0

def build(dims, every=2):
    return EveryOther(every)
"""


def test_a_file_of_the_user_joins_with_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "every_other.py"
    file.write_text(USER_MASK)
    mask = masks.family.resolve(f"causal & {file}(every=3)", DIMS)
    slots = Slots(torch.arange(6)[None])
    assert mask.allow(slots, slots)[0, 5].tolist() == [False, False, True, False, False, True]
    with pytest.raises(VariantError, match=r"every_other.py takes: every=2"):
        masks.family.resolve(f"{file}(step=3)", DIMS)


def test_a_file_without_build_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "empty.py"
    file.write_text("x = 1")
    with pytest.raises(VariantError, match=r"empty.py' defines no function build\(dims, ...\)"):
        masks.family.resolve(str(file), DIMS)


def test_a_build_that_gives_something_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text("def build(dims):\n    return 3\n")
    with pytest.raises(VariantError, match=r"wrong\.py' built a int, expected a Mask"):
        masks.family.resolve(str(file), DIMS)


def test_other_packages_add_names_through_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkered_masks.py").write_text(textwrap.dedent(USER_MASK))
    info = tmp_path / "checkered-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: checkered\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[isinglass.variants]\nmasks.checkered = checkered_masks\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    variants._entry_points.cache_clear()
    try:
        assert "checkered" in masks.family.names()
        assert "checkered" not in positions.family.names()
        assert masks.family.resolve("causal & checkered(every=4)", DIMS).causal
    finally:
        variants._entry_points.cache_clear()


def test_names_come_from_the_folder_and_import_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "entry_points", lambda **_: ())
    monkeypatch.setattr(variants, "importlib", SimpleNamespace(util=variants.importlib.util, import_module=None))
    variants._entry_points.cache_clear()
    try:
        assert masks.family.names() == [
            "causal",
            "dilated",
            "documents",
            "full",
            "global_tokens",
            "prefix",
            "random_blocks",
            "sliding_window",
            "strided",
        ]
    finally:
        variants._entry_points.cache_clear()


@pytest.mark.parametrize(
    ("family", "left", "right"),
    [
        (positions.family, "rotary", "rotary(10000.0)"),
        (positions.family, "rotary(base=40000)", "rotary(base=40000.0)"),
        (positions.family, "rotary(scaling=llama3(4))", "rotary(10000.0, scaling=llama3(factor=4.0, low=1, original_context=8192))"),
        (masks.family, "causal&sliding_window( 4 )", "causal & sliding_window(window=4)"),
        (masks.family, "~(causal | sliding_window(4))", "~(causal|sliding_window(window=4))"),
    ],
)
def test_equal_expressions_have_one_spelling(family: Any, left: str, right: str) -> None:
    assert family.spelled(left) == family.spelled(right)
    assert family.spelled(left) != family.spelled(left.replace("4", "5") if "4" in left else "rotary(base=5e5)")
