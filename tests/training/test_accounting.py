"""Speed and memory of a run: the arithmetic against counts by hand, the memory against what autograd keeps."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import isinglass as ig
from isinglass.models.cost import forward_flops, step_flops, step_memory
from isinglass.models.machine import peak_rate
from isinglass.models.trainable import fused
from isinglass.nn.attention.slots import Slots
from isinglass.training import accounting
from isinglass.training.config import TrainConfig
from isinglass.training.loop import train
from isinglass.training.objective import Batch
from isinglass.training.objectives.causal_lm import next_token_loss
from isinglass.training.recompute import recompute

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
CONFIG: dict[str, Any] = dict(context_length=16, batch_size=4)


def decoder(**settings: Any) -> Any:
    values = {"n_layers": 3, "d_model": 64, "n_heads": 4, "context_length": 32, **settings}
    return ig.create(f"gpt2({', '.join(f'{name}={value!r}' for name, value in values.items())})").decoder.requires_grad_(True).train()


def test_a_frozen_part_takes_fewer_flops() -> None:
    """By hand: of a block 2 x 12 x 64^2 per token, and 4 x 64 per score; gradients of a last block that trains alone stop at its input."""
    model, tokens, scores = decoder(embeddings="untied"), 2 * 16, 2 * 16**2
    products, attention, head = 2 * 12 * 64**2 * tokens, 4 * 64 * scores, 2 * 256 * 64 * tokens
    assert forward_flops(model, 2, 16) == 3 * (products + attention) + head
    assert step_flops(model, 2, 16) == 3 * forward_flops(model, 2, 16)
    model.requires_grad_(False)
    assert step_flops(model, 2, 16) == forward_flops(model, 2, 16)
    model.lm_head.requires_grad_(True)
    assert step_flops(model, 2, 16) == forward_flops(model, 2, 16) + head
    model.norm.requires_grad_(True)
    assert step_flops(model, 2, 16) == forward_flops(model, 2, 16) + 2 * head
    assert step_flops(model, 2, 16, first_block=2) == products + attention + 3 * head


def test_an_adapter_costs_its_own_products() -> None:
    from isinglass.models.adapted import adapt

    model = adapt(decoder(embeddings="untied"), "lora(rank=2, targets='q_proj')", seed=0)
    plain = forward_flops(decoder(embeddings="untied"), 1, 8)
    assert forward_flops(model, 1, 8) == plain + 3 * 2 * 8 * 2 * (64 + 64)


@pytest.mark.parametrize("preset", ["gpt2", "tiny"])
@pytest.mark.parametrize("activations", ["kept", "recomputed"])
def test_activations_of_the_training_form_are_those_that_autograd_keeps(preset: str, activations: Any) -> None:
    lm = ig.create(f"{preset}(n_layers=6, d_model=64, n_heads=4, context_length=128)")
    form = fused(lm.decoder.requires_grad_(True).train())
    if activations == "recomputed":
        recompute(form)
    own = {weight.untyped_storage().data_ptr() for weight in form.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(x: Tensor) -> Tensor:
        if (place := x.untyped_storage().data_ptr()) not in own:
            kept[place] = x
        return x

    ids = torch.randint(lm.config.vocab_size, (4, 97))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        next_token_loss(form, form.hidden(ids[:, :-1]), ids[:, 1:])
    found = sum(x.untyped_storage().nbytes() for x in kept.values())
    predicted = step_memory(form, 4, 96, activations=activations, held_logits=1).activations
    if activations == "recomputed":  # what is computed again is one block's
        whole, blocks = step_memory(form, 4, 96, held_logits=1).activations, 6
        assert found + 0.8 * whole / blocks < predicted < found + 1.2 * whole / blocks
    else:
        assert 0.9 < predicted / found < 1.1


def test_frozen_weights_need_neither_gradients_nor_states() -> None:
    model = decoder()
    model.requires_grad_(False)
    model.layers[2].requires_grad_(True)
    n = sum(weight.numel() for weight in model.layers[2].parameters())
    found, whole = step_memory(model, 2, 16), step_memory(decoder(), 2, 16)
    assert (found.gradients, found.optimizer) == (4 * n, 8 * n)
    assert found.weights == whole.weights and found.activations < 0.6 * whole.activations


def test_every_step_says_its_share_of_the_machine(tmp_path: Path) -> None:
    run = train(ig.create("tiny(n_layers=2)"), [TEXT], steps=4, out=tmp_path, config=CONFIG)
    peak = peak_rate(torch.float32, torch.device("cpu"), torch.get_num_threads())
    flops = step_flops(run.lm.decoder.requires_grad_(True), 4, 16)
    for row in run.rows:
        assert row["mfu"] == pytest.approx(flops / row["seconds"] / peak)
        assert row["tokens_per_second"] == pytest.approx(64 / row["seconds"])
    assert run.cost is not None and run.cost.mfu is not None and 0 < run.cost.mfu < 1.5
    seconds = sum(row["seconds"] for row in run.rows)
    assert run.cost.tokens_per_second == pytest.approx(4 * 64 / seconds)
    assert run.cost.mfu == pytest.approx(4 * flops / seconds / peak)
    card = (tmp_path / "card.md").read_text("utf-8")
    assert "- mfu: " in card and "- predicted_growth_bytes: " in card and "- measured_growth_bytes: " in card
    assert "model FLOPs utilisation" in run.cost.table.to_terminal()
    json.dumps(run.cost.values())


def test_growth_is_measured_against_what_was_held_before() -> None:
    """In a process of its own: one that has held more before grows by less."""
    code = """
        import torch
        from isinglass.models.presets import tiny
        from isinglass.models.transformer import Decoder
        from isinglass.training import accounting
        from isinglass.training.config import TrainConfig

        account = accounting.Account(Decoder(tiny.build(vocab_size=100)), TrainConfig())
        held = torch.ones(40, 2**18)  # 42 MB
        account.look()
        print(account.memory().grown_bytes)
    """
    grown = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True).stdout.strip()
    assert grown == "None" or 30e6 < int(grown) < 400e6


def test_a_model_that_is_not_counted_has_no_share() -> None:
    account = accounting.Account(torch.nn.Linear(2, 2), TrainConfig())
    ids = torch.ones(2, 3, dtype=torch.long)
    assert account.utilisation([Batch(ids, Slots.first(ids), ids)], 1.0) is None
    assert "measured growth" in account.memory().rows() and account.memory().predicted is None
