"""Checkpoints: all that training needs to go on bit for bit, in safetensors and JSON. A reader never sees half of one."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from isinglass.core.errors import CheckpointError, TrainingError
from isinglass.core.files import whole_folder
from isinglass.models.checkpoint import check_weights
from isinglass.training.trainer import DIVERGED, Trainer

KEPT = 2  # the newest ones; one more than needed, should the newest be lost with its disk block


@dataclass
class Progress:
    """What the loop itself remembers between steps: early stopping, and how much work was done."""

    best_loss: float | None = None
    best_step: int = 0
    evaluations_since_best: int = 0
    evaluated_step: int = 0  # of the last evaluation
    n_tokens: int = 0
    seconds: float = 0.0


def save(folder: Path, trainer: Trainer, progress: Progress) -> Path:
    """Write `folder/step-N` in one step and remove all but the newest ones (unless all are kept); of several processes the first one does.

    Raises TrainingError when the disk refuses.
    """
    tensors = trainer.tensors()  # for which all processes are needed
    target = folder / f"step-{trainer.step:08d}"
    facts = {"step": trainer.step, "steps": trainer.steps, "drawn": trainer.loader.drawn, "progress": asdict(progress)}
    if trainer.team.rank > 0:
        return target
    if not all(bool(tensors[f"model.{name}"].isfinite().all()) for name in trainer.trained):
        raise TrainingError(f"step {trainer.step:,}: weights are no finite numbers, so they are not saved", hint=DIVERGED)
    try:
        with whole_folder(target) as staging:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, staging / "state.safetensors")
            (staging / "state.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    except (OSError, SafetensorError) as fault:
        raise TrainingError(
            f"cannot write the checkpoint of step {trainer.step:,} to {str(folder)!r}: {fault}",
            hint="make room on the disk, then go on with resume",
        ) from None
    for old in all_of(folder)[:-KEPT] if trainer.config.keep == "newest" else ():
        shutil.rmtree(old, ignore_errors=True)
    return target


def newest(folder: Path) -> Path | None:
    """The newest checkpoint, or None."""
    found = all_of(folder)
    return found[-1] if found else None


def load(path: Path, trainer: Trainer) -> Progress:
    """Bring a trainer to a saved state. Raises CheckpointError for a damaged file, or for one of another model or optimizer."""
    try:
        facts = json.loads((path / "state.json").read_text(encoding="utf-8"))
        with safe_open(path / "state.safetensors", framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        progress, step, drawn = Progress(**facts["progress"]), int(facts["step"]), int(facts["drawn"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as fault:
        raise CheckpointError(
            f"cannot read the checkpoint {str(path)!r}: {fault}", hint=f"remove it to go on from an older one: {path}"
        ) from None
    expected = {f"model.{name}": weight.shape for name, weight in trainer.trained.items()}
    check_weights(expected, {name: tensor.shape for name, tensor in tensors.items() if name.startswith("model.")}, str(path))
    trainer.restore(tensors, step, drawn)
    return progress


def all_of(folder: Path) -> list[Path]:
    """Every checkpoint there is, the oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())
