"""Several processes against one: the same curve, and checkpoints that any number of processes can go on from."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
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


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, list[float]]:
    """How two processes shared the work, their run (to be read only), and its curve."""
    out = tmp_path_factory.mktemp(request.param) / "run"
    return request.param, out, curve(out, 2, request.param)


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(tmp_path: Path, alone: list[float], together: tuple[str, Path, list[float]]) -> None:
    """fp32, no dropout; then the checkpoint of two is gone on with by one, and the saved model is whole."""
    parallel, made, losses = together
    assert losses == pytest.approx(alone, abs=1e-4) and len(losses) == STEPS
    assert set(ig.load(made).model.state_dict()) == set(ig.create("tiny(n_layers=2)").model.state_dict())
    run = Path(shutil.copytree(made, tmp_path / "run"))
    for name in ("model.safetensors", "config.toml"):
        (run / name).unlink()
    shutil.rmtree(run / "checkpoints" / f"step-{STEPS:08d}")
    resumed = curve(run, 1, parallel, resume="yes")
    assert resumed == pytest.approx(alone, abs=1e-4) and len(resumed) == STEPS


@pytest.mark.slow
def test_what_two_processes_made_is_read_by_transformers(tmp_path: Path, together: tuple[str, Path, list[float]]) -> None:
    """The run as a Hugging Face folder: another implementation of the model gives the logits of ours, and ours is the trained one."""
    from transformers import AutoModelForCausalLM

    _, run, losses = together
    lm = ig.load(run)
    theirs = AutoModelForCausalLM.from_pretrained(ig.export(lm, tmp_path / "exported"), dtype=torch.float32).eval()
    ids = torch.tensor([lm.encode(TEXT[:60])])
    with torch.no_grad():
        ours, others = lm.model(ids), theirs(ids).logits
    assert torch.allclose(ours, others, atol=1e-4)
    loss = torch.nn.functional.cross_entropy(others[0, :-1], ids[0, 1:])
    assert float(loss) < losses[0] - 0.5


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


@pytest.mark.slow
def test_two_processes_that_are_stopped_write_a_checkpoint_of_the_same_step(tmp_path: Path) -> None:
    """Ctrl-C reaches torchrun, which tells its processes; they agree on a step and leave together."""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    recipe = tmp_path / "recipe.toml"
    values = "steps = 100000\nbatch_size = 4\ncontext_length = 16\nsave_every = 90000\nvalidation = 0"
    recipe.write_text(f'model = "tiny"\ndata = {str(tmp_path / "text.txt")!r}\n[train]\n{values}\n', encoding="utf-8")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "isinglass.cli.main"]
    child = subprocess.Popen([*torchrun, "train", str(recipe), "--out", str(tmp_path / "run")], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "run" / "run.toml").exists() and child.poll() is None:
        time.sleep(0.05)
    time.sleep(2)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=120)
    saved = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert len(saved) == 1 and saved[0] != "step-00000000", said
    assert "stopped; go on with: isinglass train" in said
