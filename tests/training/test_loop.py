"""The loop against plain torch, and what it promises about parts, precision, patience and memory."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, EngineError, TrainingError
from isinglass.core.runtime import derive_seed
from isinglass.data.loader import Loader
from isinglass.data.records import Record
from isinglass.data.windows import Windows
from isinglass.generation.lm import LM
from isinglass.nn.loss import IGNORED
from isinglass.training import optimizers, schedules
from isinglass.training.checkpoint import newest
from isinglass.training.config import TrainConfig
from isinglass.training.events import Evaluated, Finished, Sampled, Started, StepDone, TrainEvent
from isinglass.training.loop import train, training
from isinglass.training.objectives.causal_lm import CausalLM
from isinglass.training.trainer import Trainee, Trainer

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
CONFIG = dict(context_length=16, batch_size=4, optimizer="adamw(lr=0.01, weight_decay=0.0)", schedule="constant(warmup=0)", clip=None)


def fresh(**settings: Any) -> LM:
    values = ", ".join(f"{name}={value!r}" for name, value in {"n_layers": 2, **settings}.items())
    return ig.create(f"tiny({values})", seed=3)


def losses(config: dict[str, Any], lm: LM | None = None, **more: Any) -> list[float]:
    events = training(lm or fresh(), [TEXT], steps=6, config={**CONFIG, **config}, **more)
    return [event.loss for event in events if isinstance(event, StepDone)]


def weights(lm: LM) -> dict[str, torch.Tensor]:
    return lm.model.state_dict()


def test_equals_a_loop_written_out_in_torch() -> None:
    """Same weights, same windows, torch's own loss, backward and AdamW: the same losses and the same weights."""
    lm = fresh()
    text = TEXT[: int(len(TEXT) * 0.9)]
    windows = Windows(np.array(lm.tokenizer.encode(text)), 16, 16)
    model = copy.deepcopy(lm.decoder).requires_grad_(True).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)
    loader, theirs = Loader(len(windows), 4, derive_seed(5, "loader")), []
    for _ in range(6):
        batch = torch.stack([torch.from_numpy(windows[draw.example]) for draw in loader.draw()])
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    run = train(lm, [TEXT], steps=6, seed=5, config=CONFIG)
    assert [row["loss"] for row in run.rows] == pytest.approx(theirs, abs=1e-5)
    for name, weight in weights(run.lm).items():
        torch.testing.assert_close(weight, model.state_dict()[name], atol=2e-4, rtol=1e-3)
    assert theirs[-1] < theirs[0] - 0.5


def test_the_given_model_is_not_touched() -> None:
    lm = fresh()
    before = {name: weight.clone() for name, weight in weights(lm).items()}
    train(lm, [TEXT], steps=2, config=CONFIG)
    assert all(torch.equal(weights(lm)[name], weight) for name, weight in before.items())
    assert not any(weight.requires_grad for weight in lm.model.parameters())


@pytest.mark.parametrize("other", [{"accumulation": 4}, {"accumulation": 2, "activations": "recomputed"}, {"activations": "recomputed"}])
def test_the_way_of_computing_changes_no_loss(other: dict[str, Any]) -> None:
    assert losses(other) == pytest.approx(losses({}), abs=1e-5)


def test_recomputed_dropout_draws_the_same_mask() -> None:
    """Loss and gradients: with another mask the second step would differ."""
    assert losses({"activations": "recomputed"}, fresh(dropout=0.3)) == pytest.approx(losses({}, fresh(dropout=0.3)), abs=1e-6)


def test_bfloat16_is_near() -> None:
    assert losses({"precision": "bfloat16"}) == pytest.approx(losses({}), abs=0.02)


def test_the_mean_is_over_all_targets_however_they_are_divided() -> None:
    """Two parts with 3 and 100 trained tokens: the mean of their means would be another number."""
    lm = fresh()

    class Uneven(CausalLM):
        def collate(self, examples: Any, seeds: Any) -> Any:
            batch = super().collate(examples, seeds)
            targets = batch.targets.clone()
            targets[0, 3:] = IGNORED
            return replace(batch, targets=targets)

    def gradient(accumulation: int) -> torch.Tensor:
        goal = Uneven(None, "joined")
        config = TrainConfig(batch_size=4, accumulation=accumulation, clip=1e9)
        model = goal.trainee(lm, 0).requires_grad_(True)
        examples = goal.examples(lm, [Record({"text": TEXT}, "t")], 16)
        trainer = Trainer(Trainee(model, goal), {name for name, _ in model.named_parameters()}, examples, config,
                          optimizers.family.resolve("adamw"), schedules.family.resolve("constant"), 0)  # fmt: skip
        batches = trainer._batches(trainer.loader.draw())
        trainer._accumulate(batches)
        return model.embed_tokens.weight.grad.clone()

    torch.testing.assert_close(gradient(2), _over_the_same_targets(lm), atol=1e-6, rtol=1e-4)


def _over_the_same_targets(lm: LM) -> torch.Tensor:
    """torch's mean over exactly the same trained tokens, in one part."""
    model = copy.deepcopy(lm.decoder).requires_grad_(True)
    windows = Windows(np.array(lm.tokenizer.encode(TEXT)), 16, 16)
    draws = Loader(len(windows), 4, derive_seed(0, "loader")).draw()
    batch = torch.stack([torch.from_numpy(windows[draw.example]) for draw in draws])
    targets = batch[:, 1:].clone()
    targets[0, 3:] = targets[2, 3:] = -100  # the first row of each part
    F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), targets.flatten(), ignore_index=-100).backward()
    return model.embed_tokens.weight.grad


def test_clipping_bounds_the_step_and_reports_the_norm_before() -> None:
    events = list(training(fresh(), [TEXT], steps=2, config={**CONFIG, "clip": 1e-3, "optimizer": "adamw(lr=0.01)"}))
    assert all(event.gradient_norm > 0.1 for event in events if isinstance(event, StepDone))


def test_early_stopping_keeps_the_best(tmp_path: Path) -> None:
    """A learning rate that ruins the model: nothing gets better after the first evaluation."""
    config = {**CONFIG, "optimizer": "adamw(lr=5.0)", "evaluate_every": 1, "patience": 3}
    events = list(training(fresh(), [TEXT], steps=50, out=tmp_path, config=config))
    seen = [event for event in events if isinstance(event, Evaluated)]
    assert isinstance(events[-1], Finished) and events[-1].reason == "patience"
    best = min(seen, key=lambda event: event.loss)
    assert events[-1].run.best_step == best.step and events[-1].run.best_loss == best.loss
    assert len(seen) == best.step + 3
    again = ig.load(tmp_path / "best")
    held = TEXT[int(len(TEXT) * 0.9) :]
    ids = torch.tensor([again.tokenizer.encode(held)])
    n = (ids.shape[1] - 1) // 16 * 16
    mean = F.cross_entropy(again.decoder(ids[:, :-1][:, :n].reshape(-1, 16)).flatten(0, 1), ids[0, 1 : n + 1])
    assert float(mean) == pytest.approx(best.loss, rel=0.15)  # the last window of the evaluation reaches back


def test_bits_per_byte_counts_bytes_not_tokens() -> None:
    """Text of two-byte letters read by a character vocabulary: half as many bits per byte as per token."""
    text = "ночь улица фонарь аптека " * 60
    lm = ig.create("tiny(n_layers=1)", tokenizer=ig.train_tokenizer("character", [text]))
    (seen,) = [e for e in training(lm, [text], steps=1, config={**CONFIG, "evaluate_every": 1}) if isinstance(e, Evaluated)]
    bits_per_token = seen.figures["loss"] / math.log(2)
    held = text[int(len(text) * 0.9) :]
    assert seen.figures["bits_per_byte"] == pytest.approx(bits_per_token / (len(held.encode()) / len(held)), rel=0.02)
    assert seen.figures["perplexity"] == pytest.approx(math.exp(seen.figures["loss"]))


def test_documents_apart_do_not_see_each_other() -> None:
    """The loss of each packed text is that of the text alone."""
    lm, texts = fresh(), ["the age of wisdom ", "it was the worst of times", "best"]
    goal = CausalLM(None, "apart")
    length = sum(len(text) for text in texts) - 1
    examples = goal.examples(lm, [Record({"text": text}, "t") for text in texts], length)
    batch = goal.collate([examples[0]], [0])
    logits = goal.trainee(lm, 0)(batch.ids, slots=batch.slots)[0]
    start = 0
    for text in texts:
        alone = lm.decoder(torch.tensor([lm.tokenizer.encode(text)]))[0]
        n = min(len(text), length - start)
        torch.testing.assert_close(logits[start : start + n], alone[:n], atol=1e-5, rtol=1e-5)
        start += len(text)


def test_events_come_in_order() -> None:
    events = list(training(fresh(), [TEXT], steps=4, config={**CONFIG, "evaluate_every": 2, "samples": ["It was"], "sample_tokens": 3}))
    kinds = [type(event) for event in events]
    assert kinds == [Started, StepDone, StepDone, Evaluated, Sampled, StepDone, StepDone, Evaluated, Sampled, Finished]
    assert [event.step for event in events if not isinstance(event, Started)] == [1, 2, 2, 2, 3, 4, 4, 4, 4]


def test_samples_do_not_disturb_training() -> None:
    assert losses({"samples": ["It"], "sample_tokens": 2, "evaluate_every": 1}, fresh(dropout=0.2)) == losses({}, fresh(dropout=0.2))


@pytest.mark.parametrize(
    ("data", "config", "error", "text"),
    [
        ([], {}, DataError, "there is no record to learn from"),
        (["too short"], {}, DataError, r"the corpus has 8 tokens, and one window needs 17: .*longer than the corpus\nhint: set context_length to at most 7"),
        ([TEXT], {"context_length": 10_000}, ConfigError, r"context_length = 10,000: the model's is"),
        ([{"txt": TEXT}], {"validation": 0.0}, DataError, r"record 0: no field 'text'\n  it has: txt"),
        ({"file": "a.txt"}, {}, ConfigError, r"unknown option 'file' in data\n  known: columns, format, source, unit"),
        ({"columns": ["text"]}, {}, ConfigError, r"data\.source is missing\nhint: data = \{source"),
        ([TEXT], {"optimizer": "adam"}, ConfigError, r"unknown optimizer 'adam' in train\.optimizer[\s\S]*did you mean 'adamw'"),
        ([TEXT], {"steps": 3, "epochs": 2}, ConfigError, r"steps = 3 beside epochs = 2: give one of them"),
        ([TEXT], {"patience": 2, "validation": 0.0}, ConfigError, "patience needs a validation set"),
        ([TEXT], {"accumulation": 3}, ConfigError, r"batch_size = 4 does not divide into accumulation = 3 equal parts"),
        ([TEXT], {"lr": 3}, ConfigError, r"unknown key 'train\.lr'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_error(data: Any, config: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        train(fresh(), data, config={**CONFIG, **config})


def test_a_loss_that_is_no_number_stops_with_the_weights_of_the_step_before(tmp_path: Path) -> None:
    lm = fresh()
    config = {**CONFIG, "optimizer": "adamw(lr=1e30)", "save_every": 1}
    with pytest.raises(
        TrainingError, match=r"step \d+: the loss is .*(nan|inf), expected finite numbers\n  kept: .*step-0+1\nhint: a lower learning rate"
    ):
        train(lm, [TEXT], steps=20, out=tmp_path, config=config)
    last = newest(tmp_path / "checkpoints")
    assert last is not None and load_file(last / "state.safetensors")


def test_closing_early_without_a_folder_is_no_error() -> None:
    events: Iterator[TrainEvent] = training(fresh(), [TEXT], steps=4, config=CONFIG)
    assert isinstance(next(events), Started)
    events.close()  # type: ignore[attr-defined]


def test_the_name_of_the_package_is_the_function() -> None:
    import isinglass.training.loop

    assert isinglass.training is ig.training
    assert isinstance(next(ig.training(fresh(), [TEXT], steps=1, config=CONFIG)), Started)


def test_an_adapter_on_the_output_head_learns() -> None:
    lm = fresh(embeddings="untied")
    run = train(lm, [TEXT], steps=6, adapter="lora(rank=4, targets=('lm_head',))", config=CONFIG)
    assert not torch.equal(run.lm.decoder.lm_head.weight, lm.decoder.lm_head.weight)  # type: ignore[union-attr]
    assert torch.equal(run.lm.decoder.layers[0].mlp.down_proj.weight, lm.decoder.layers[0].mlp.down_proj.weight)  # type: ignore[union-attr]


def test_a_prefix_is_kept_beside_the_model(tmp_path: Path) -> None:
    """No weight can hold it: it is saved alone, and loading the folder puts it back."""
    run = train(fresh(), [TEXT], steps=6, adapter="prefix(length=4)", out=tmp_path, config=CONFIG)
    ids = torch.tensor([[1, 2, 3]])
    assert not torch.allclose(run.lm.decoder(ids), fresh().decoder(ids), atol=1e-4)
    assert torch.equal(ig.load(tmp_path).decoder(ids), run.lm.decoder(ids))
    assert ig.generate(ig.load(tmp_path), "It was", max_tokens=3).ids == ig.generate(run.lm, "It was", max_tokens=3).ids
    with pytest.raises(EngineError, match=r"prefix\(length=4\) cannot be merged"):
        ig.export(run.lm, tmp_path / "out")
