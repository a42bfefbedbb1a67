"""What the presets share: turning a size and overrides into a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from isinglass.core.config import build as build_config
from isinglass.core.errors import VariantError, unknown
from isinglass.core.variants import Call, parse
from isinglass.models.config import DecoderConfig, ModelConfig
from isinglass.nn.attention.config import AttentionConfig

C = TypeVar("C", bound=ModelConfig)
_ATTENTION = set(AttentionConfig.model_fields)


def settings(family: str, sizes: Mapping[str, Mapping[str, Any]], size: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The flat settings of a named size with overrides on top; VariantError for an unknown size."""
    if size not in sizes:
        raise unknown("size", size, sizes, where=family, error=VariantError)
    return {"family": family, **sizes[size], **overrides}


def config(
    flat: Mapping[str, Any],
    cls: type[C] = DecoderConfig,  # type: ignore[assignment]
    *,
    writing: Mapping[str, Any] | None = None,
) -> C:
    """A config from flat settings: those of attention are moved under `attention`.

    `writing` says in what the attention of an encoder-decoder's decoder differs.
    """
    known = _ATTENTION | (set(cls.model_fields) - {"attention", "decoder_attention", "architecture", "family"})
    for key in flat:
        if key not in known and key != "family":
            raise unknown("setting", key, known, where=str(flat.get("family", "")), error=VariantError)
    inner = {key: _plain(value) for key, value in flat.items() if key in _ATTENTION}
    outer = {key: _plain(value) for key, value in flat.items() if key not in _ATTENTION}
    decoder = {} if writing is None else {"decoder_attention": {**inner, **writing}}
    return build_config(cls, {**outer, "attention": inner, **decoder})


def _plain(value: Any) -> Any:
    """Nested expressions as text, tuples as lists: what TOML can hold."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Call) else value


def arguments(expression: str) -> tuple[str, dict[str, Any]]:
    """Name and named arguments of a simple expression."""
    call = parse(expression)
    return (call.name, dict(call.kwargs)) if isinstance(call, Call) else ("", {})
