"""Isinglass: one readable implementation of transformer language models, to build, run and look inside.

    import isinglass as ig
    lm = ig.load("smollm2")
    ig.generate(lm, "The capital of France is")

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Edit": "inspection.edits",
    "IsinglassError": "core.errors",
    "create": "generation.lm",
    "embed": "embedding.contextual",
    "export": "generation.lm",
    "generate": "generation.loop",
    "generating": "generation.loop",
    "load": "generation.lm",
    "price": "economics.quote",
    "study": "studies.study",
    "tokenizer": "text.load",
    "trace": "inspection.trace",
    "train": "training.loop",
    "train_tokenizer": "text.training",
    "training": "training.loop",
}

__all__ = [
    "Edit",
    "IsinglassError",
    "create",
    "embed",
    "export",
    "generate",
    "generating",
    "load",
    "price",
    "study",
    "tokenizer",
    "trace",
    "train",
    "train_tokenizer",
    "training",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'isinglass' has no attribute {name!r}")
    return getattr(importlib.import_module(f"isinglass.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
