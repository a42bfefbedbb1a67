"""What stays on disk of a run."""

from __future__ import annotations

from pathlib import Path

from isinglass.training.events import Evaluated, Sampled, StepDone
from isinglass.training.record import Recorder, read_metrics
from isinglass.training.run import loss_curves, read_runs


def step(number: int) -> StepDone:
    return StepDone(number, 3.0 / number, 1e-3, 0.5, 64, 0.25, {"loss": 3.0 / number, "perplexity": 2.0})


def test_rows_grow_and_an_evaluation_adds_columns(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    for number in (1, 2):
        recorder.see(step(number))
    recorder.flush()
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.csv")] == [1, 2]
    recorder.see(Evaluated(2, {"loss": 1.6}, True, 0.1))
    recorder.see(step(3))
    recorder.flush()
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row.get("validation_loss") for row in rows] == [None, 1.6, None]
    assert rows == recorder.rows


def test_a_resumed_run_takes_back_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    first = Recorder(tmp_path)
    for number in (1, 2, 3):
        first.see(step(number))
    first.flush()
    with (tmp_path / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("4,0.7,2.")  # cut short by kill -9
    second = Recorder(tmp_path, step=2)
    second.see(step(3))
    second.flush()
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.csv")] == [1, 2, 3]


def test_samples_are_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.see(Sampled(10, "It was", " the best"))
    recorder.see(Sampled(20, "It was", " the worst"))
    assert (tmp_path / "samples.md").read_text("utf-8") == "## step 10\n\n**It was** the best\n\n## step 20\n\n**It was** the worst\n\n"


def test_several_runs_in_one_figure(tmp_path: Path) -> None:
    for name in ("low", "high"):
        recorder = Recorder(tmp_path / name)
        for number in range(1, 40):
            recorder.see(step(number))
        recorder.see(Evaluated(39, {"loss": 0.2}, True, 0.1))
        recorder.flush()
    figure = loss_curves(read_runs([tmp_path / "low", tmp_path / "high"]), title="Two runs")
    assert figure.data is not None
    assert {row["series"] for row in figure.data.rows} == {"low", "low, validation", "high", "high, validation"}
