"""Models saved by transformers load here with the same logits, go back bit for bit, and load there again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import isinglass as ig
from helpers.tensors import random_ids

from .conftest import KINDS

IDS = random_ids(2, 24, vocab=256)  # longer than Mistral's window of 5 and than the rope's original context


def load_theirs(folder: Path) -> Any:
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_with_transformers(kind: str, save_theirs: Callable[..., Any], tmp_path: Path) -> None:
    theirs, folder = save_theirs(kind)
    lm = ig.load(folder)
    with torch.no_grad():
        expected = theirs(IDS).logits
    torch.testing.assert_close(lm.model(IDS), expected, atol=1e-4, rtol=0)
    assert expected.std() > 0.3

    back = ig.export(lm, tmp_path / "back")
    original, exported = load_file(folder / "model.safetensors"), load_file(back / "model.safetensors")
    assert original.keys() == exported.keys()
    assert all(torch.equal(original[name], exported[name]) for name in original)
    with torch.no_grad():
        torch.testing.assert_close(load_theirs(back)(IDS).logits, expected, atol=1e-6, rtol=0)

    own = ig.load(ig.export(lm, tmp_path / "own", format="isinglass"))
    assert own.config == lm.config
    assert torch.equal(own.model(IDS), lm.model(IDS))
    assert all(torch.equal(tensor, lm.model.state_dict()[name]) for name, tensor in own.model.state_dict().items())


def test_a_window_changes_the_logits_as_theirs(save_theirs: Callable[..., Any]) -> None:
    """The golden test above would pass with an ignored window if the window did nothing here."""
    _, folder = save_theirs("mistral")
    lm = ig.load(folder)
    assert lm.config.attention.mask == "causal & sliding_window(5)"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "sliding_window": None}))
    wide = ig.load(folder).model(IDS)
    torch.testing.assert_close(lm.model(IDS)[:, :5], wide[:, :5], atol=1e-5, rtol=1e-5)
    assert (lm.model(IDS)[:, 5:] - wide[:, 5:]).abs().amax(dim=(0, 2)).min() > 1e-3


@pytest.mark.parametrize("kind", ["gpt2", "llama untied"])
def test_sharded_files_load(kind: str, save_theirs: Callable[..., Any]) -> None:
    theirs, folder = save_theirs(kind, max_shard_size="20kB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    with torch.no_grad():
        torch.testing.assert_close(ig.load(folder).model(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


def test_names_of_the_hub_without_a_prefix_load(save_theirs: Callable[..., Any]) -> None:
    """The published gpt2 files name tensors `wte.weight`, `h.0. ...`, and hold the causal triangle."""
    theirs, folder = save_theirs("gpt2")
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    save_file({**bare, "h.0.attn.bias": torch.ones(1, 1, 64, 64).tril()}, folder / "model.safetensors", metadata={"format": "pt"})
    with torch.no_grad():
        torch.testing.assert_close(ig.load(folder).model(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


def test_settings_of_transformers_4_load(save_theirs: Callable[..., Any]) -> None:
    """Before version 5: `rope_theta` and `rope_scaling` instead of `rope_parameters`."""
    theirs, folder = save_theirs("llama, llama3 rope")
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    (folder / "config.json").write_text(json.dumps(config))
    with torch.no_grad():
        torch.testing.assert_close(ig.load(folder).model(IDS), theirs(IDS).logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["gpt2", "llama tied", "mistral"])
def test_bf16_loads_and_exports(kind: str, save_theirs: Callable[..., Any], tmp_path: Path) -> None:
    theirs, folder = save_theirs(kind)
    lm = ig.load(folder, dtype="bfloat16")
    assert {tensor.dtype for tensor in lm.model.state_dict().values()} == {torch.bfloat16}
    with torch.no_grad():
        expected = theirs(IDS).logits
    assert (lm.model(IDS).float() - expected).abs().max() < 0.1 * expected.abs().max()
    back = ig.export(lm, tmp_path / "back")
    assert json.loads((back / "config.json").read_text())["torch_dtype"] == "bfloat16"
    again = ig.load(back, dtype="bfloat16")
    assert all(torch.equal(tensor, lm.model.state_dict()[name]) for name, tensor in again.model.state_dict().items())


def test_a_created_model_is_read_by_transformers(make_lm: Callable[..., Any], tmp_path: Path) -> None:
    """Not only what came from there can go there."""
    for number, expression in enumerate(
        (
            "tiny",
            "gpt2(n_layers=2, d_model=32, n_heads=4, context_length=64)",
            "mistral(d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=48, window=6)",
        )
    ):
        lm = make_lm(expression, tokenizer=ig.create("tiny").tokenizer)
        folder = ig.export(lm, tmp_path / str(number))
        with torch.no_grad():
            torch.testing.assert_close(load_theirs(folder)(IDS).logits, lm.model(IDS), atol=1e-4, rtol=0)


@pytest.mark.parametrize("prompt", ["The capital of France is", "def fibonacci(n):\n", "Once upon a time, in a small village,"])
def test_greedy_on_smollm2_gives_the_tokens_of_transformers(prompt: str, smollm2: Any, smollm2_in_transformers: Any) -> None:
    ours = ig.generate(smollm2, prompt, max_tokens=24, ignore_end=True)
    ids = torch.tensor([ours.prompt_ids])
    options = dict(max_new_tokens=24, min_new_tokens=24, do_sample=False, pad_token_id=0)
    with torch.no_grad():
        theirs = smollm2_in_transformers.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, ids.shape[1] :]
    assert ours.ids == theirs.tolist()


@pytest.fixture(scope="module")
def smollm2_in_transformers(smollm2: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_theirs(ig.export(smollm2, tmp_path_factory.mktemp("smollm2")))
