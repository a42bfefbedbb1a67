"""What a model is made of: its tree, its parameters by part, its FLOPs and bytes, all counted from the model itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from isinglass.models.config import DecoderConfig
from isinglass.models.transformer import Decoder, on_meta
from isinglass.show.figure import Figure
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

# what a parameter's name says about the part it belongs to, first match wins
_PARTS = (
    ("token embedding", r"embed_tokens\."),
    ("position embedding", r"positions\."),
    ("attention", r"layers\.\d+\.attention\."),
    ("feed-forward", r"layers\.\d+\.mlp\."),
    ("norms", r".*norm\."),
    ("output head", r"lm_head\."),
)


@dataclass(frozen=True)
class Summary:
    """Tables that show themselves; `figure` is the share of each part."""

    tree: Table
    parts: Table
    costs: Table
    figure: Figure
    n_parameters: int


def summarise(config: DecoderConfig, *, bytes_per_number: int = 4, command: str | None = None) -> Summary:
    """Count everything about the model of a config, without allocating its weights."""
    model = on_meta(config)
    parts = parameters_by_part(model)
    total = sum(parts.values())
    rows = [{"part": part, "parameters": n, "share": n / total} for part, n in parts.items()]
    tied = ["the output head is the token embedding, used the other way round"] if config.embeddings == "tied" else []
    title = f"Where the {total:,} parameters are"
    return Summary(
        tree=Table(list(_tree(model)), title="The tree", units={"parameters": "count"}),
        parts=Table(rows, title=title, units={"parameters": "count", "share": "ratio"}, notes=tied),
        costs=_costs(config, model, bytes_per_number),
        figure=bars(list(parts), [n / total for n in parts.values()], title=title, axis="share", unit="ratio", command=command, notes=tied),
        n_parameters=total,
    )


def parameters_by_part(model: Decoder) -> dict[str, int]:
    """Parameters of each part; tied weights are counted once."""
    counts = dict.fromkeys((part for part, _ in _PARTS), 0)
    for name, weight in model.named_parameters():
        counts[next(part for part, pattern in _PARTS if re.match(pattern, name))] += weight.numel()
    return {part: n for part, n in counts.items() if n}


def flops_per_token(config: DecoderConfig, model: Decoder, context: int) -> int:
    """Forward FLOPs of one token that sees `context` tokens: 2 per weight of each matrix product, 4 n_heads d_head context per layer.

    Source: Kaplan et al. 2020, Scaling Laws, section 2.1; norms, softmax and activations are left out (below 2 %).
    """
    matrices = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Linear))
    head = 0 if model.lm_head is not None else config.vocab_size * config.d_model
    return 2 * (matrices + head) + 4 * config.n_layers * config.attention.n_heads * config.d_head * context


def kv_bytes_per_token(config: DecoderConfig, bytes_per_number: int) -> int:
    """Bytes that one token adds to the cache: a key and a value per layer and key-value head."""
    return 2 * config.n_layers * config.n_kv_heads * config.d_head * bytes_per_number


def _costs(config: DecoderConfig, model: Decoder, width: int) -> Table:
    total = sum(weight.numel() for weight in model.parameters())
    context = config.context_length
    kv = kv_bytes_per_token(config, width)
    rows = [
        {"quantity": "weights", "value": total * width, "unit": "bytes", "formula": f"{total:,} parameters x {width} bytes"},
        {
            "quantity": "KV cache per token",
            "value": kv,
            "unit": "bytes",
            "formula": f"2 x {config.n_layers} layers x {config.n_kv_heads} kv heads x {config.d_head} x {width} bytes",
        },
        {"quantity": "KV cache at full context", "value": kv * context, "unit": "bytes", "formula": f"{kv:,} bytes x {context:,} tokens"},
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
            "formula": f"the same + 4 x {config.n_layers} layers x {config.attention.n_heads} heads x {config.d_head} x {context:,}",
        },
    ]
    return Table(rows, title="What it costs")


def _tree(model: Decoder) -> Iterator[dict[str, object]]:
    """One row per module with weights or children; equal layers are shown once."""
    n_layers = model.config.n_layers
    for name, module in model.named_modules():
        if name == "" or isinstance(module, nn.Dropout) or re.match(r"layers\.[1-9]", name):
            continue
        total = sum(weight.numel() for weight in module.parameters())
        if not total:
            continue
        depth = name.count(".")
        leaf = "weights" if name == "layers" else name.rpartition(".")[2]
        label = f"{n_layers} layers" if name == "layers.0" else leaf
        if name == "layers":
            continue
        shapes = ", ".join("x".join(map(str, w.shape)) for w in module.parameters(recurse=False))
        times = n_layers if name.startswith("layers.0") else 1
        yield {"module": "  " * (depth - 1 if name.startswith("layers") else depth) + label, "shape": shapes, "parameters": total * times}
    if model.lm_head is None:
        yield {"module": "lm_head", "shape": "tied to embed_tokens", "parameters": 0}
