"""The vocabularies that tests use, loaded once for each worker; and the published libraries to compare with."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from isinglass.assets.find import find
from isinglass.assets.gguf import GGUF
from isinglass.core.errors import AssetError
from isinglass.text import load
from isinglass.text.tokenizer import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))  # random_text

#: Fetched by the project's set-up, so their absence is a failure; the others are skipped where they are not.
EMBEDDED = ("gpt2", "cl100k_base", "o200k_base", "bert-base-uncased", "t5", "smollm2")
OPTIONAL = ("r50k_base", "p50k_base", "llama3", "mistral-v1", "tekken")


@cache
def _loaded(name: str) -> Tokenizer:
    return load.tokenizer(name)


@pytest.fixture(scope="session")
def tokenizer() -> Callable[[str], Tokenizer]:
    """`tokenizer(name)`: a shared one by name; skips the test when an optional vocabulary is not on this machine."""

    def get(name: str) -> Tokenizer:
        try:
            return _loaded(name)
        except AssetError as error:
            if name in EMBEDDED:
                raise
            pytest.skip(error.message)

    return get


@pytest.fixture(scope="session")
def facts() -> Path:
    """The folder of shared facts beside a checkout; tests that need it are skipped elsewhere."""
    for parent in Path(__file__).resolve().parents:
        folder = parent / "shared" / "facts"
        if folder.is_dir():
            return folder
    pytest.skip("no shared/facts folder beside the repository")


@pytest.fixture(scope="session")
def smollm2_metadata() -> dict[str, Any]:
    return GGUF(find("smollm2")).metadata


@pytest.fixture(scope="session")
def fuzz_count() -> int:
    """How many random strings for each vocabulary; ISINGLASS_FUZZ=100000 is the full run."""
    return int(os.environ.get("ISINGLASS_FUZZ", "300"))


@cache
def rank_pattern(name: str) -> str:
    """The pattern as the publisher writes it: ours are simplified, so this checks them too."""
    if name == "tekken":
        return json.loads(find("mistral-tekken").read_text("utf-8"))["config"]["pattern"]
    if name == "llama3":
        return r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    import tiktoken_ext.openai_public as published

    if name in ("gpt2", "r50k_base", "p50k_base"):
        return published.r50k_pat_str
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published, "load_tiktoken_bpe", lambda *_, **__: {})
        return getattr(published, name)()["pat_str"]
