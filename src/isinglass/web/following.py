"""A run as the page follows it: what is on the disk when one comes to it, and each event from then on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from isinglass.show.table import Table
from isinglass.training import checkpoint
from isinglass.training.events import Finished, Sampled, Started, TrainEvent
from isinglass.training.record import Recorder, read_metrics, read_samples
from isinglass.training.run import loss_curves, settings
from isinglass.web.events import Shown, Working

SAMPLES = 12  # shown, the newest first


class Following:
    """The run in `folder`, which may have none yet. CheckpointError when what stands there cannot be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._recorder = Recorder(None)
        self._recorder.rows = read_metrics(folder / "metrics.csv")
        self._samples = read_samples(folder / "samples.md")
        self._steps: int | None = None
        self._told = -1  # samples that have been shown
        if (folder / "run.toml").is_file():
            self._steps = settings(folder).get("train", {}).get("steps")
        self._last: Finished | None = None

    def see(self, event: TrainEvent) -> None:
        """Take up an event."""
        self._recorder.see(event)
        match event:
            case Started(step, steps):  # a run that goes on makes what comes after this step again
                self._recorder.rows = [row for row in self._recorder.rows if row["step"] <= step]
                self._samples, self._steps = [one for one in self._samples if one.step <= step], steps
            case Sampled():
                self._samples.append(event)
            case Finished():
                self._last = event

    @property
    def step(self) -> int:
        return self._recorder.rows[-1]["step"] if self._recorder.rows else 0

    def working(self) -> Working:
        """Where it is."""
        last = self._recorder.rows[-1] if self._recorder.rows else {}
        loss = f", loss {last['loss']:.3f}" if "loss" in last else ""
        speed = f", {last['tokens_per_second']:,.0f} tokens per second" if "tokens_per_second" in last else ""
        return Working(f"training{loss}{speed}, step", self.step, self._steps)

    def shown(self) -> Iterator[Shown]:
        """The curve and the samples, and beside them what the page makes its buttons and links of."""
        rows, model = self._recorder.rows, self._model
        command = f"isinglass train compare {self.folder}"
        curve = [loss_curves({"training": rows}, title="Loss while training", command=command)] if rows else []
        resumable = checkpoint.newest(self.folder / "checkpoints") is not None and (self.folder / "recipe.toml").is_file()
        about = {
            "folder": str(self.folder), "step": self.step, "steps": self._steps, "finished": (self.folder / "model.safetensors").is_file(),
            "resumable": resumable, "there": (self.folder / "run.toml").is_file(), "model": model,
        }  # fmt: skip
        yield Shown(curve, about, slot="curve")
        if len(self._samples) not in (0, self._told):
            self._told = len(self._samples)
            newest = [{"step": one.step, "continued": f"{one.prompt}{one.text}"} for one in self._samples[: -SAMPLES - 1 : -1]]
            notes = ["sampled at temperature 0.8; the newest first"]
            yield Shown([Table(newest, title="What it writes", notes=notes)], slot="samples")
        if self._last is not None and self._last.run.cost is not None:
            yield Shown([self._last.run.cost.table], slot="cost")

    @property
    def _model(self) -> str | None:
        """The folder of a model that can be looked into now: the last one when the run has ended, else the best so far."""
        for place in (self.folder, self.folder / "best"):
            if (place / "model.safetensors").is_file():
                return str(place)
        return None
