"""Rotary positions in the settings of others: Hugging Face's `rope_parameters` and GGUF's `rope.*` keys, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isinglass.core.errors import CheckpointError, closest
from isinglass.models.presets._settings import arguments
from isinglass.nn.attention import positions

_ORIGINAL = "original_max_position_embeddings"
_GGUF_ORIGINAL = "rope.scaling.original_context_length"
# scaling -> our argument: their key
_KEYS = {
    "linear": {"factor": "factor"},
    "llama3": {"factor": "factor", "low": "low_freq_factor", "high": "high_freq_factor", "original_context": _ORIGINAL},
    "yarn": {
        "factor": "factor",
        "original_context": _ORIGINAL,
        "fast": "beta_fast",
        "slow": "beta_slow",
        "magnitude": "attention_factor",
        "edges": "truncate",
    },
}
_OPTIONAL = {"beta_fast", "beta_slow", "attention_factor", "truncate"}
_EDGES = {"whole": True, "exact": False}


def rotary_expression(theirs: Mapping[str, Any], where: str = "config.json") -> str:
    """`rotary(...)` from `rope_parameters` (transformers 5) or `rope_theta` with `rope_scaling` (before).

    CheckpointError for a `rope_type` that is not known here; KeyError for a setting that its type needs and that is missing.
    """
    rope = dict(theirs.get("rope_scaling") or {}) | dict(theirs.get("rope_parameters") or {})
    base = f"base={float(rope.get('rope_theta') or theirs.get('rope_theta') or 10_000.0)!r}"
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return f"rotary({base})"
    if kind not in _KEYS:
        raise _unknown(kind, where)
    # transformers reads the original length beside the scaling first, and takes the present one where none is given
    longest = theirs.get("max_position_embeddings", 2048)
    rope[_ORIGINAL] = theirs.get(_ORIGINAL) or rope.get(_ORIGINAL) or longest
    if kind == "yarn":
        rope |= _completed(rope, longest)
    given = {ours: _ours(ours, rope[key]) for ours, key in _KEYS[kind].items() if key not in _OPTIONAL or rope.get(key) is not None}
    return f"rotary({base}, scaling={kind}({', '.join(f'{name}={value!r}' for name, value in given.items())}))"


def _ours(name: str, value: Any) -> Any:
    if name == "edges":
        return "whole" if value else "exact"
    return int(value) if name == "original_context" else float(value)


def _completed(rope: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """YaRN's settings that follow from others: the stretch from both lengths, the growth from DeepSeek's two shares of it."""
    factor = float(longest / rope[_ORIGINAL] if "factor" in rope and rope["factor"] is None else rope["factor"])
    shares, growth = [rope.get(key) for key in ("mscale", "mscale_all_dim")], rope.get("attention_factor")
    if growth is None and all(shares):
        growth = _growth(factor, shares[0]) / _growth(factor, shares[1])  # type: ignore[arg-type]
    return {"factor": factor, "attention_factor": growth}


def _growth(factor: float, share: float = 1.0) -> float:
    """YaRN, section 3.4: by how much rotated queries and keys grow."""
    return 0.1 * share * math.log(factor) + 1.0 if factor > 1 else 1.0


def _unknown(kind: Any, where: str) -> CheckpointError:
    known = ["default", *_KEYS]
    near = closest(str(kind), known)
    hint = f"did you mean {near!r}?" if near else ""
    if kind == "dynamic":  # its factor grows with the text, and is 1 within the context
        hint = "up to max_position_embeddings tokens it equals 'default': write that as the rope_type to load the model for those"
    return CheckpointError(f"rope_type {kind!r} in {where} is not known here", details=[f"known: {', '.join(known)}"], hint=hint)


def rope_parameters(position: Any) -> dict[str, Any]:
    """Their `rope_parameters` from our expression; empty when it is not rotary, or another one in each layer.

    A scaling they do not have is left out; the export refuses what is lost.
    """
    name, found = arguments(positions.family.spelled(position)) if isinstance(position, str) else ("", {})
    if name != "rotary":
        return {}
    rope: dict[str, Any] = {"rope_theta": found["base"], "rope_type": "default"}
    scaling = found.get("scaling")
    if scaling is not None and scaling.name in _KEYS:
        ours = dict(scaling.kwargs)
        values = {key: ours[name] for name, key in _KEYS[scaling.name].items() if name in ours}
        rope |= {"rope_type": scaling.name, **values}
        if "truncate" in rope:
            rope["truncate"] = _EDGES.get(rope["truncate"])
    return rope


def rotary_from_gguf(get: Callable[[str], Any], stretches: Sequence[float] | None = None) -> str:
    """`rotary(...)` from the values of a GGUF file, by key without the architecture.

    `stretches` is its tensor `rope_freqs.weight`, by which Llama 3's frequencies are divided: the file does not name that scaling.
    llama.cpp multiplies YaRN's usual growth by `attn_factor`. CheckpointError for a scaling, or a setting of one, not known here.
    """
    kind, base = get("rope.scaling.type"), float(get("rope.freq_base") or 10_000.0)
    factor = get("rope.scaling.factor") or get("rope.scale_linear")  # the second is the key of files from before 2023-11
    rope: dict[str, Any] = {"rope_type": kind or "linear", "rope_theta": base, "factor": factor or 1.0, _ORIGINAL: get(_GGUF_ORIGINAL)}
    if stretches is not None and max(stretches) > 1:
        rope |= _llama3_settings(base, stretches)
    elif kind == "none" or (rope["rope_type"] == "linear" and not factor):
        rope["rope_type"] = "default"
    elif kind == "yarn":
        _refuse_unread(get)
        rope |= {key: get(f"rope.scaling.yarn_{key}") for key in ("beta_fast", "beta_slow")}
        more = get("rope.scaling.attn_factor") or 1.0
        rope["attention_factor"] = None if more == 1.0 else more * _growth(rope["factor"])
    return rotary_expression({"rope_parameters": rope, "max_position_embeddings": get("context_length")}, "the GGUF metadata")


def _llama3_settings(base: float, stretches: Sequence[float]) -> dict[str, Any]:
    """The settings that give these stretches: of Llama 3.1 to 3.3, but for the factor, which the slowest wave shows."""
    import torch

    from isinglass.nn.attention.scalings.llama3 import Llama3

    factor, low, high, original = round(float(max(stretches)), 4), 1.0, 4.0, 8192
    plain = base ** -(torch.arange(len(stretches)) / len(stretches))
    if not torch.allclose(plain / Llama3(factor, low, high, original)(plain), torch.tensor([*map(float, stretches)]), rtol=1e-3):
        raise CheckpointError(
            "the GGUF tensor rope_freqs.weight holds other factors than those of Llama 3 are", details=[f"its largest is {factor!r}"]
        )
    return {"rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high, _ORIGINAL: original}


def _refuse_unread(get: Callable[[str], Any]) -> None:
    for key, usual in {"yarn_ext_factor": 1.0, "yarn_attn_factor": 1.0, "yarn_log_multiplier": 0.0}.items():
        value = get(f"rope.scaling.{key}")
        if value is not None and value != usual:
            message = f"llama.rope.scaling.{key} = {value!r} in the GGUF metadata is not known here"
            raise CheckpointError(message, details=[f"expected {usual!r}, or no such key"])
