"""What one sees while a model trains: a bar with the numbers of now, the curve below it, evaluations and samples above."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from isinglass.core.units import duration, share
from isinglass.training.events import Evaluated, Sampled, Saved, Started, StepDone, TrainEvent
from isinglass.training.record import Recorder
from isinglass.training.run import loss_curves

if TYPE_CHECKING:
    from isinglass.training.record import Row

_EVERY_SECONDS = 0.5
_WIDTH = 30


class Live:
    """Follows the events on a console: live where it is a terminal, else one line for each evaluation."""

    def __init__(self, console: Console) -> None:
        self._console, self._recorder = console, Recorder(None)
        self._live = RichLive(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._steps, self._began, self._first, self._shown = 1, 0.0, 0, 0.0

    def __enter__(self) -> Live:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def see(self, event: TrainEvent) -> None:
        """Show an event."""
        self._recorder.see(event)
        match event:
            case Started():
                self._steps, self._first, self._began = event.steps, event.step, time.perf_counter()
                self._say(_about(event))
            case StepDone() if self._live is not None and time.perf_counter() - self._shown > _EVERY_SECONDS:
                self._shown = time.perf_counter()
                self._live.update(self._view(event), refresh=True)
            case Evaluated():
                self._say(self._evaluation(event))
            case Sampled(step, prompt, text):
                self._say(f"step {step:,} writes: {prompt}{text}".replace("\n", " / "))
            case Saved(step, path, best) if not best:
                self._say(f"step {step:,} saved: {path}")

    def _say(self, line: str) -> None:
        self._console.print(Text(line, style="quiet"), soft_wrap=True)

    def _evaluation(self, event: Evaluated) -> str:
        figures = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in event.figures.items())
        return (
            f"step {event.step:,} of {self._steps:,}: validation {figures}{' (best)' if event.best else ''}, {_speed(self._recorder.rows)}"
        )

    def _view(self, event: StepDone) -> Group:
        grid = Grid.grid(padding=(0, 2))
        grid.add_row(
            ProgressBar(self._steps, event.step, width=_WIDTH),
            f"step {event.step:,} of {self._steps:,}",
            f"loss {_smooth(self._recorder.rows):.4f}",
            f"gradient {event.gradient_norm:.2f}",
            f"rate {event.learning_rate:.2e}",
            _speed(self._recorder.rows),
            f"{duration(self._left(event.step))} left",
        )
        curve = loss_curves({"training": self._recorder.rows}, title="")
        return Group(grid, curve.sketch(min(self._console.width, 100)))

    def _left(self, step: int) -> float:
        done = step - self._first
        return (time.perf_counter() - self._began) / max(done, 1) * (self._steps - step)


def _about(event: Started) -> str:
    share = f" of {event.n_weights:,}" if event.n_trained < event.n_weights else ""
    going_on = f", going on at step {event.step:,}" if event.step else ""
    kept = f", {event.kept_bytes / 1e6:,.0f} MB of activations are computed once" if event.kept_bytes else ""
    return (
        f"{event.n_trained:,}{share} weights, {event.n_examples:,} examples, {event.n_validation_examples:,} held out, "
        f"{event.steps:,} steps{going_on}{kept}"
    )


def _speed(rows: list[Row]) -> str:
    """Of the last step."""
    last = next((row for row in reversed(rows) if "tokens_per_second" in row), None)
    if last is None:
        return "no step yet"
    used = f", {share(last['mfu'])} MFU" if "mfu" in last else ""
    return f"{last['tokens_per_second']:,.0f} tokens/s{used}"


def _smooth(rows: list[Row], last: int = 20) -> float:
    losses = [row["loss"] for row in rows[-last:] if "loss" in row]
    return sum(losses) / len(losses)
