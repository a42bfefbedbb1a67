"""How errors read."""

from __future__ import annotations

import pytest

from isinglass.core import errors
from isinglass.core.errors import ConfigError, ExtraMissing, IsinglassError, VariantError, closest, unknown


def test_the_text_has_message_details_and_hint() -> None:
    error = IsinglassError("no file 'x'", details=["looked in a", "looked in b"], hint="make one")
    assert str(error) == "no file 'x'\n  looked in a\n  looked in b\nhint: make one"
    assert str(IsinglassError("short")) == "short"
    assert (error.message, error.details, error.hint) == ("no file 'x'", ("looked in a", "looked in b"), "make one")


def test_unknown_names() -> None:
    error = unknown("position", "rotery", ["rotary", "alibi", "none"], where="model.attention.position", more="isinglass explain {name}")
    assert str(error) == (
        "unknown position 'rotery' in model.attention.position\n  known: alibi, none, rotary\nhint: did you mean 'rotary'?  isinglass explain rotary"
    )
    assert type(error) is ConfigError
    assert type(unknown("mask", "x", ["causal"], error=VariantError)) is VariantError
    assert str(unknown("mask", "qqq", ["causal"])) == "unknown mask 'qqq'\n  known: causal"


@pytest.mark.parametrize(("name", "near"), [("casual", "causal"), ("CAUSAL", "causal"), ("xyz", None), ("", None)])
def test_closest(name: str, near: str | None) -> None:
    assert closest(name, ["causal", "full", "sliding_window"]) == near


def test_a_missing_extra_says_what_to_install() -> None:
    assert (
        str(ExtraMissing("lancedb", "rag"))
        == "this needs the package 'lancedb', which is not installed\nhint: pip install 'isinglass[rag]'"
    )


def test_the_tree_at_the_top_of_the_file_is_the_tree() -> None:
    classes = {name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, IsinglassError)}
    text = errors.__doc__ or ""
    assert all(f" {name} " in text for name in classes)
    assert {name for name, value in classes.items() if value.__mro__[1] is IsinglassError} == {
        "ConfigError", "ShapeError", "TokenizerError", "DataError", "AssetError", "CheckpointError", "EngineError", "TrainingError",
        "PriceError", "ExtraMissing",
    }  # fmt: skip
    assert VariantError.__mro__[1] is ConfigError
