"""What a model is made of: its tree, its parameters by part, its FLOPs and bytes, all counted from the model itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from isinglass.core.errors import ConfigError
from isinglass.models.assembly import attention_dims
from isinglass.models.config import EncoderDecoderConfig, ModelConfig
from isinglass.models.cost import forward_flops, step_memory
from isinglass.models.transformer import Model, on_meta
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.layer import Attention
from isinglass.nn.feedforward.moe import MoE
from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

Measure = Callable[[ModelConfig, int, int], dict[str, int]]

# what a parameter's name says about the part it belongs to, first match wins
_PARTS = (
    ("token embedding", r"(.*\.)?embed_tokens\."),
    ("segment embedding", r"(.*\.)?embed_segments\."),
    ("position embedding", r"(.*\.)?positions\."),
    ("attention", r"(.*\.)?layers\.\d+\.attention\."),
    ("cross-attention", r"(.*\.)?layers\.\d+\.cross_attention\."),
    ("feed-forward", r"(.*\.)?layers\.\d+\.mlp\."),
    ("norms", r"(?!heads\.).*norm\."),
    ("output head", r"(.*\.)?lm_head\.|heads\."),
)


@dataclass(frozen=True)
class Summary:
    """Tables that show themselves; `figure` is the share of each part."""

    tree: Table
    parts: Table
    costs: Table
    figure: Figure
    n_parameters: int


def summarise(config: ModelConfig, *, bytes_per_number: int = 4, command: str | None = None) -> Summary:
    """Count everything about the model of a config, without allocating its weights."""
    model = on_meta(config)
    parts = parameters_by_part(model)
    total = sum(parts.values())
    rows = [{"part": part, "parameters": n, "share": n / total} for part, n in parts.items()]
    tied = ["the output head is the token embedding, used the other way round"] if _tied(model) else []
    title = f"Where the {total:,} parameters are"
    return Summary(
        tree=Table(list(_tree(model)), title="The tree", units={"parameters": "count"}),
        parts=Table(rows, title=title, units={"parameters": "count", "share": "ratio"}, notes=tied),
        costs=_costs(config, model, bytes_per_number),
        figure=bars(list(parts), [n / total for n in parts.values()], title=title, axis="share", unit="ratio", command=command, notes=tied),
        n_parameters=total,
    )


def parameters_by_part(model: Model) -> dict[str, int]:
    """Parameters of each part; tied weights are counted once."""
    counts = dict.fromkeys((part for part, _ in _PARTS), 0)
    for name, weight in model.named_parameters():
        counts[next(part for part, pattern in _PARTS if re.match(pattern, name))] += weight.numel()
    return {part: n for part, n in counts.items() if n}


def flops_per_token(config: ModelConfig, model: Model, context: int) -> int:
    """Forward FLOPs of one token that sees `context` tokens: 2 per weight of each matrix product, 4 n_heads d_head context per layer.

    Of experts only those that a token is sent to are counted. A token of an encoder-decoder is one that is read and one that is written;
    heads of encoders count as if all of them worked on each token.

    Source: Kaplan et al. 2020, Scaling Laws, section 2.1; norms, softmax and activations are left out (below 2 %).
    """
    matrices = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Linear))
    matrices -= sum(layer.idle_weights for layer in model.modules() if isinstance(layer, MoE))
    head = config.vocab_size * config.d_model if _tied(model) else 0
    attentions = sum(isinstance(layer, Attention) for layer in model.modules())
    return 2 * (matrices + head) + 4 * attentions * config.attention.n_heads * config.d_head * context


def kv_bytes_per_token(config: ModelConfig, bytes_per_number: int) -> int:
    """Bytes that one written token adds to the cache: a key and a value per layer and key-value head."""
    dims, n_layers = _writing(config)
    return 2 * n_layers * dims.n_kv_heads * dims.d_head * bytes_per_number


def _writing(config: ModelConfig) -> tuple[Dims, int]:
    """Widths and number of the layers that write."""
    if isinstance(config, EncoderDecoderConfig):
        return attention_dims(config, config.decoder_attention), config.decoder_layers
    return attention_dims(config, config.attention), config.n_layers


def _costs(config: ModelConfig, model: Model, width: int) -> Table:
    total = sum(weight.numel() for weight in model.parameters())
    context = config.context_length
    attentions = sum(isinstance(layer, Attention) for layer in model.modules())
    rows = [
        {"quantity": "weights", "value": total * width, "unit": "bytes", "formula": f"{total:,} parameters x {width} bytes"},
        *(_cache_rows(config, width) if config.architecture in ("decoder", "encoder_decoder") else []),
        {
            "quantity": "forward FLOPs per token, empty context",
            "value": flops_per_token(config, model, 1),
            "unit": "flops",
            "formula": "2 x weights of matrix products",
        },
        {
            "quantity": "forward FLOPs per token, full context",
            "value": flops_per_token(config, model, context),
            "unit": "flops",
            "formula": f"the same + 4 x {attentions} layers x {config.attention.n_heads} heads x {config.d_head} x {context:,}",
        },
    ]
    return Table(rows, title="What it costs")


def step_costs(config: ModelConfig, rows: int, time: int, *, bytes_per_number: int = 4, measure: Measure | None = None) -> Table:
    """One training step on `rows` texts of `time` tokens, predicted; with `measure` (models.measure.measured_costs) measured as well.

    Their ratio stands beside them. Raises ConfigError for texts longer than the model's context.
    """
    if rows < 1 or not 1 <= time <= config.context_length:
        raise ConfigError(f"a step on {rows} x {time} tokens: expected at least 1 text of 1 to {config.context_length} tokens")
    model = on_meta(config)
    predicted = {"FLOPs of the forward pass": forward_flops(model, rows, time), **step_memory(model, rows, time, bytes_per_number).rows()}
    if config.architecture in ("decoder", "encoder_decoder"):
        predicted["KV cache when it writes"] = rows * time * kv_bytes_per_token(config, bytes_per_number)
    found = measure(config, rows, time) if measure is not None else {}
    table = [
        {"quantity": name, "unit": "flops" if "FLOPs" in name else "bytes", "predicted": value}
        | ({"measured": found[name], "predicted / measured": value / found[name]} if name in found else {})
        for name, value in predicted.items()
    ]
    return Table(table, title=f"One training step on {rows} x {time} tokens", notes=["a backward pass takes about twice the forward FLOPs"])


def _cache_rows(config: ModelConfig, width: int) -> list[dict[str, Any]]:
    (dims, n_layers), kv, context = _writing(config), kv_bytes_per_token(config, width), config.context_length
    formula = f"2 x {n_layers} layers x {dims.n_kv_heads} kv heads x {dims.d_head} x {width} bytes"
    return [
        {"quantity": "KV cache per token", "value": kv, "unit": "bytes", "formula": formula},
        {"quantity": "KV cache at full context", "value": kv * context, "unit": "bytes", "formula": f"{kv:,} bytes x {context:,} tokens"},
    ]


def _tree(model: Model) -> Iterator[dict[str, object]]:
    """One row per module with weights; equal layers are shown once, with the weights of all of them."""
    modules = dict(model.named_modules())
    for name, module in modules.items():
        total = sum(weight.numel() for weight in module.parameters())
        # the list of layers has no row of its own: its first one stands for all
        if name == "" or not total or re.search(r"(^|\.)layers(\.[1-9]\d*(\.|$)|$)", name):
            continue
        before, inside, _ = f"{name}.".partition("layers.0.")
        times = len(modules[f"{before}layers"]) if inside else 1  # type: ignore[arg-type]
        first = inside and name == f"{before}layers.0"
        depth = name.count(".") - bool(inside)
        shapes = ", ".join("x".join(map(str, w.shape)) for w in module.parameters(recurse=False))
        label = f"{times} layers" if first else name.rpartition(".")[2]
        yield {"module": "  " * depth + label, "shape": shapes, "parameters": total * times}
    if _tied(model):
        yield {"module": "lm_head", "shape": "tied to embed_tokens", "parameters": 0}


def _tied(model: Model) -> bool:
    """Is the token embedding the output head as well?"""
    return getattr(model, "lm_head", model) is None
