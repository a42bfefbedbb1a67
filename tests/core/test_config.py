"""Strict configuration: errors name the key, the value and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from isinglass.core.config import Config, build, parse_override, read_toml, with_overrides, write_toml
from isinglass.core.errors import ConfigError


class Inner(Config):
    heads: int = Field(default=4, gt=0)
    position: str = "rotary"
    window: int | None = None


class Outer(Config):
    width: int
    rate: float = 0.1
    attention: Inner = Inner()


def fault(values: dict[str, Any], where: str = "") -> str:
    with pytest.raises(ConfigError) as caught:
        build(Outer, values, where=where)
    return str(caught.value)


def test_a_config_is_built_and_printed_without_nones() -> None:
    config = build(Outer, {"width": 8, "attention": {"heads": 2}})
    assert config.to_dict() == {"width": 8, "rate": 0.1, "attention": {"heads": 2, "position": "rotary"}}


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        build(Outer, {"width": 8}).width = 9  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"width": 8, "widht": 9}, "unknown key 'widht' (known: attention, rate, width)\nhint: did you mean 'width'?"),
        ({"width": 8, "attention": {"postion": "x"}}, "unknown key 'attention.postion' (known: heads, position, window)\nhint: did you mean 'position'?"),
        ({}, "width is missing"),
        ({"width": "wide"}, "width = 'wide': Input should be a valid integer, unable to parse string as an integer"),
        ({"width": 8, "attention": {"heads": 0}}, "attention.heads = 0: Input should be greater than 0"),
    ],
)  # fmt: skip
def test_faults(values: dict[str, Any], text: str) -> None:
    assert fault(values) == text


def test_every_fault_is_listed_and_the_place_is_named() -> None:
    text = fault({"wdth": 1, "rate": "x"}, where="recipe.toml")
    assert "recipe.toml.width is missing" in text
    assert "unknown key 'recipe.toml.wdth'" in text
    assert "recipe.toml.rate = 'x'" in text


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("a=3", (["a"], 3)),
        ("a.b.c=1e-3", (["a", "b", "c"], 1e-3)),
        ("a=true", (["a"], True)),
        ('a="3"', (["a"], "3")),
        ("a=[1, 2]", (["a"], [1, 2])),
        ("model.attention.position=alibi", (["model", "attention", "position"], "alibi")),
        ("a=rotary(base=5e5)", (["a"], "rotary(base=5e5)")),
        ("mask=causal & sliding_window(4)", (["mask"], "causal & sliding_window(4)")),
        ("a=", (["a"], "")),
    ],
)
def test_overrides_are_read(text: str, parsed: tuple[list[str], Any]) -> None:
    assert parse_override(text) == parsed


@pytest.mark.parametrize("text", ["", "a", "=3", " =3"])
def test_overrides_without_a_key_or_a_value(text: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the override .*\nhint: write key.of.setting=value"):
        parse_override(text)


def test_overrides_are_applied_in_order_to_a_copy() -> None:
    values = {"width": 1, "attention": {"heads": 2}}
    changed = with_overrides(values, ["attention.heads=3", "width=5", "attention.heads=4", "new.key=x"])
    assert changed == {"width": 5, "attention": {"heads": 4}, "new": {"key": "x"}}
    assert values == {"width": 1, "attention": {"heads": 2}}
    with pytest.raises(ConfigError, match=r"cannot set 'width.inner': 'width' is a value, not a table"):
        with_overrides(values, ["width.inner=3"])


def test_an_override_of_an_unknown_key_is_found_when_it_is_built() -> None:
    assert "did you mean 'width'" in fault(with_overrides({"width": 1}, ["widht=5"]))


JSON = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8"), max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), JSON, max_size=4))
def test_toml_round_trip(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("toml") / "config.toml"
    assert read_toml(write_toml(path, values)) == values


def test_toml_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    with pytest.raises(ConfigError, match=r"no file '.*recipe.toml'"):
        read_toml(path)
    path.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ConfigError, match=r"recipe.toml: not readable as TOML: Invalid value \(at line 2, column 5\)"):
        read_toml(path)
    path.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match=r"recipe.toml: not readable as TOML: 'utf-8' codec can't decode byte 0xff"):
        read_toml(path)
