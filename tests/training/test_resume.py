"""A run that was interrupted, at whatever moment, ends bit for bit where one that was not ends."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import isinglass as ig
from isinglass.core.errors import CheckpointError, IsinglassError, TrainingError
from isinglass.generation.lm import LM
from isinglass.training.checkpoint import newest
from isinglass.training.events import StepDone
from isinglass.training.loop import train, training
from isinglass.training.run import Run

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
STEPS = 14
CONFIG = dict(context_length=16, batch_size=4, accumulation=2, evaluate_every=5, save_every=3, optimizer="adamw(lr=0.01)")


def fresh() -> LM:
    return ig.create("tiny(dropout=0.1, n_layers=2)", seed=3)


def run(out: Path, **more: object) -> Run:
    return train(fresh(), [TEXT], steps=STEPS, out=out, seed=5, config=CONFIG, **more)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def same(one: LM, other: LM) -> bool:
    ours, theirs = weights(one.model), weights(other.model)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def numbers(run: Run) -> list[dict]:
    """The rows without what depends on the clock."""
    return [{name: value for name, value in row.items() if name not in {"seconds", "tokens_per_second", "mfu"}} for row in run.rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("stop", [1, 3, 5, 7, 10, 13, 14])
def test_closed_after_any_step_and_resumed(whole: Run, tmp_path: Path, stop: int) -> None:
    events = training(fresh(), [TEXT], steps=STEPS, out=tmp_path, seed=5, config=CONFIG)
    for event in events:
        if isinstance(event, StepDone) and event.step == stop:
            break
    events.close()
    resumed = run(tmp_path, resume=True)
    assert same(resumed.lm, whole.lm)
    assert numbers(resumed) == numbers(whole)
    assert (resumed.best_step, resumed.best_loss) == (whole.best_step, whole.best_loss)


@pytest.mark.parametrize("stop", [2, 6])
def test_an_error_inside_a_step_keeps_the_step_before(whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    """Ctrl-C may fall anywhere: here in between the two parts of a batch, after dropout has drawn."""
    from isinglass.training.objectives.causal_lm import CausalLM

    plain, calls = CausalLM.loss, iter(range(10_000))

    def interrupted(*given: object) -> object:
        if next(calls) == 2 * stop + 1:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(CausalLM, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(fresh(), [TEXT], steps=STEPS, out=tmp_path, seed=5, config={**CONFIG, "evaluate_every": 14})
    monkeypatch.undo()
    assert newest(tmp_path / "checkpoints") == tmp_path / "checkpoints" / f"step-{stop:08d}"
    assert same(run(tmp_path, resume=True).lm, whole.lm)


CHILD = """
import sys, json
sys.path.insert(0, {tests!r})
from training.test_resume import run
from pathlib import Path
run(Path({out!r}), resume=True)
"""


KILLS = int(os.environ.get("ISINGLASS_KILLS", "3"))


def killed(out: Path, seconds: float) -> bool:
    """A process that begins the run in `out`, or goes on with it, and after so many seconds of training is no more; False if it was done."""
    seen = (out / "run.toml").stat().st_mtime_ns if (out / "run.toml").exists() else 0
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parents[1]), out=str(out))], stderr=subprocess.DEVNULL
    )
    while child.poll() is None and (not (out / "run.toml").exists() or (out / "run.toml").stat().st_mtime_ns == seen):
        time.sleep(0.005)
    time.sleep(seconds)
    child.send_signal(signal.SIGKILL)
    return child.wait() != 0


@pytest.mark.parametrize("number", range(KILLS))
def test_killed_at_a_random_moment_and_resumed(whole: Run, tmp_path: Path, number: int) -> None:
    """kill -9 leaves whatever is on the disk at that moment."""
    killed(tmp_path, random.Random(number).uniform(0, 0.8))
    assert same(run(tmp_path, resume=True).lm, whole.lm)


def test_one_run_killed_again_and_again(whole: Run, tmp_path: Path) -> None:
    """Each process goes on with what the one before it left, and is killed at a random moment as well."""
    source = random.Random(KILLS)
    for _ in range(KILLS):
        killed(tmp_path, source.uniform(0, 0.15))
    resumed = run(tmp_path, resume=True)
    assert same(resumed.lm, whole.lm) and numbers(resumed) == numbers(whole)
    assert not list(tmp_path.rglob(".*"))  # nothing half written is left


def test_a_resumed_run_that_was_done_is_given_as_it_is(whole: Run) -> None:
    assert whole.folder is not None
    again = run(whole.folder, resume=True)
    assert same(again.lm, whole.lm)
    assert numbers(again) == numbers(whole)


def test_the_saved_model_is_the_trained_one(whole: Run) -> None:
    assert whole.folder is not None
    assert same(ig.load(whole.folder), whole.lm)
    assert ig.load(whole.folder / "best").card["source"] == str(whole.folder / "best")


def test_settings_that_change_the_steps_are_refused(whole: Run, tmp_path: Path) -> None:
    assert whole.folder is not None
    shutil.copytree(whole.folder, tmp_path / "copy")
    with pytest.raises(CheckpointError) as caught:
        train(fresh(), [TEXT], steps=STEPS, out=tmp_path / "copy", seed=6, resume=True, config={**CONFIG, "batch_size": 8})
    text = str(caught.value)
    assert "was made with other settings" in text and "seed was 5, is 6" in text and "train.batch_size was 4, is 8" in text


def test_another_run_in_the_folder_is_not_overwritten(whole: Run) -> None:
    assert whole.folder is not None
    with pytest.raises(IsinglassError, match=r"there is a run in .*\nhint: go on with resume"):
        run(whole.folder)


def test_a_damaged_checkpoint_is_named(whole: Run, tmp_path: Path) -> None:
    assert whole.folder is not None
    shutil.copytree(whole.folder, tmp_path / "copy")
    last = newest(tmp_path / "copy" / "checkpoints")
    assert last is not None
    state = last / "state.safetensors"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*step-00000014[\s\S]*hint: remove it"):
        run(tmp_path / "copy", resume=True)
    shutil.rmtree(last)
    assert same(run(tmp_path / "copy", resume=True).lm, whole.lm)


def test_a_checkpoint_of_another_model_is_refused(whole: Run, tmp_path: Path) -> None:
    assert whole.folder is not None
    shutil.copytree(whole.folder, tmp_path / "copy")
    other = ig.create("tiny(dropout=0.1, n_layers=3)", seed=3)
    with pytest.raises(CheckpointError, match=r"model\.n_layers was 2, is 3"):
        train(other, [TEXT], steps=STEPS, out=tmp_path / "copy", seed=5, resume=True, config=CONFIG)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Run) -> None:
    from isinglass.training import checkpoint

    plain = checkpoint.save_file

    def full(tensors: dict, path: Path) -> None:
        if "step-00000006" in str(path):
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        plain(tensors, path)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(TrainingError, match=r"cannot write the checkpoint of step 6 .*No space left[\s\S]*kept: .*step-00000003"):
        run(tmp_path)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]
    assert same(run(tmp_path, resume=True).lm, whole.lm)


def test_nothing_private_is_left(whole: Run) -> None:
    assert whole.folder is not None
    names = {path.name for path in whole.folder.iterdir()}
    model = {"card.md", "config.toml", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert names == model | {"best", "checkpoints", "metrics.csv", "run.toml"}
    assert sorted(path.name for path in (whole.folder / "checkpoints").iterdir()) == ["step-00000012", "step-00000014"]
