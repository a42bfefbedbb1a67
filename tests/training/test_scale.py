"""Several processes against one: the same curve, and checkpoints that any number of processes can go on from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import isinglass as ig
from isinglass.core.errors import ConfigError
from isinglass.training.loop import train
from isinglass.training.scale import Alone, team

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness. " * 12
STEPS = 20
CHILD = """
import json, sys
import isinglass as ig
out, parallel, steps, resume, text = sys.argv[1:6]
import torch
torch.set_num_threads(1)
run = ig.train(ig.create("tiny(n_layers=2)", seed=3), [text], steps=int(steps), out=out, resume=resume == "yes", seed=5,
               config={"context_length": 16, "batch_size": 4, "save_every": 10, "parallel": parallel, "optimizer": "adamw(lr=0.01)"})
if run.folder is not None:
    import torch.distributed as dist
    if not dist.is_initialized() or dist.get_rank() == 0:
        print(json.dumps([row["loss"] for row in run.rows]))
if dist.is_initialized():
    dist.destroy_process_group()
"""


def curve(out: Path, processes: int, parallel: str, steps: int = STEPS, resume: str = "no") -> list[float]:
    script = out.parent / "child.py"
    script.write_text(CHILD.replace("import torch\n", "import torch\nimport torch.distributed as dist\n", 1), encoding="utf-8")
    given = [str(script), str(out), parallel, str(steps), resume, TEXT]
    how = (
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        if processes > 1
        else [sys.executable]
    )
    done = subprocess.run([*how, *given], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    return curve(tmp_path_factory.mktemp("alone") / "run", 1, "ddp")


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_give_the_curve_of_one(tmp_path: Path, alone: list[float], parallel: str) -> None:
    """fp32, no dropout; then the checkpoint of two is gone on with by one, and the saved model is whole."""
    losses = curve(tmp_path / "run", 2, parallel)
    assert losses == pytest.approx(alone, abs=1e-4) and len(losses) == STEPS
    assert set(ig.load(tmp_path / "run").model.state_dict()) == set(ig.create("tiny(n_layers=2)").model.state_dict())
    for name in ("model.safetensors", "config.toml"):
        (tmp_path / "run" / name).unlink()
    import shutil

    shutil.rmtree(tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}")
    resumed = curve(tmp_path / "run", 1, parallel, resume="yes")
    assert resumed == pytest.approx(alone, abs=1e-4) and len(resumed) == STEPS


def test_without_torchrun_one_process_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert isinstance(team("fsdp"), Alone)
    assert Alone().total([1.5, 2]) == [1.5, 2]


def test_half_of_torchruns_variables_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        ConfigError, match=r"WORLD_SIZE is set and RANK, MASTER_ADDR, MASTER_PORT is not[\s\S]*hint: start it with torchrun"
    ):
        train(ig.create("tiny"), [TEXT], steps=1, config={"context_length": 16})
    assert torch.distributed.is_available()
