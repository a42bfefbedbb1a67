"""Whatever a run has left on the disk: it goes on to the same weights and rows, or says in one error what is wrong and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import IsinglassError
from isinglass.training.checkpoint import newest
from isinglass.training.loop import train
from isinglass.training.run import Run

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 8
CONFIG = dict(context_length=16, batch_size=4, evaluate_every=2, save_every=3, samples=["It"], sample_tokens=3)


def run(out: Path, steps: int = 8) -> Run:
    return train(ig.create("tiny(n_layers=1, dropout=0.1)", seed=3), [TEXT], steps=steps, out=out, resume=True, seed=5, config=CONFIG)


def rows(run: Run) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in {"seconds", "tokens_per_second", "mfu"}} for row in run.rows]


def same(one: Run, other: Run) -> bool:
    ours, theirs = one.lm.model.state_dict(), other.lm.model.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours) and rows(one) == rows(other)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run: checkpoints of steps 6 and 8."""
    return run(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def copy(whole: Run, tmp_path: Path) -> Path:
    assert whole.folder is not None
    return Path(shutil.copytree(whole.folder, tmp_path / "copy"))


def last(folder: Path) -> Path:
    found = newest(folder / "checkpoints")
    assert found is not None
    return found


def rewind(folder: Path) -> None:
    """As if the process had been killed after step 8 was recorded and before its checkpoint was."""
    shutil.rmtree(last(folder))
    for name in ("model.safetensors", "config.toml", "card.md"):
        (folder / name).unlink()


def half_written(folder: Path) -> None:
    (last(folder) / "state.json").unlink()


def staged(folder: Path) -> None:
    rewind(folder)
    for place in (folder / "checkpoints" / ".step-00000008.ab12cd_9", folder / ".best.xy34zw78"):
        place.mkdir()
        (place / "state.safetensors").write_bytes(b"half")
    (folder / ".metrics.csv.k3j2h1g0.csv").write_text("step,lo")


def stepped_aside(folder: Path) -> None:
    rewind(folder)
    (folder / "best").rename(folder / ".best.old")


def cut_after_the_checkpoint(folder: Path) -> None:
    rewind(folder)
    metrics = folder / "metrics.csv"
    metrics.write_text(metrics.read_text("utf-8").rstrip("\n")[:-3], encoding="utf-8")


def only_the_older(folder: Path) -> None:
    (folder / "checkpoints" / "step-00000006").rename(folder / "6")
    shutil.rmtree(folder / "checkpoints")
    (folder / "checkpoints").mkdir()
    (folder / "6").rename(folder / "checkpoints" / "step-00000006")


def without(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            place = folder / name
            shutil.rmtree(place) if place.is_dir() else place.unlink()

    return remove


GOES_ON = {
    "finished": lambda folder: None,
    "rows ahead of the checkpoint": rewind,
    "the newest checkpoint half written": half_written,
    "only one checkpoint": only_the_older,
    "temporary files": staged,
    "best stepped aside": stepped_aside,
    "a row cut short": cut_after_the_checkpoint,
    "no samples": without("samples.md"),
    "no best": without("best"),
    "no model": without("model.safetensors", "config.toml", "tokenizer.json"),
    "no checkpoints": without("checkpoints"),
    "nothing but metrics and samples": without("checkpoints", "run.toml", "best"),
}


@pytest.mark.parametrize("state", GOES_ON)
def test_it_goes_on(whole: Run, copy: Path, state: str) -> None:
    GOES_ON[state](copy)
    resumed = run(copy)
    assert same(resumed, whole)
    assert not list(copy.rglob(".*"))
    assert (copy / "best").is_dir() or state == "no best"
    assert whole.folder is not None
    expected = (whole.folder / "samples.md").read_text("utf-8")
    assert state == "no samples" or (copy / "samples.md").read_text("utf-8") == expected  # none is there twice


def test_without_the_metrics_it_goes_on_and_has_the_rows_from_there(whole: Run, copy: Path) -> None:
    rewind(copy)
    (copy / "metrics.csv").unlink()
    resumed = run(copy)
    assert rows(resumed) == rows(whole)[6:]
    again = run(copy)
    assert rows(again) == rows(whole)[6:] and torch.equal(again.lm.model.embed_tokens.weight, whole.lm.model.embed_tokens.weight)


def truncated(name: str, size: int) -> Callable[[Path], None]:
    def cut(folder: Path) -> None:
        path = last(folder) / name if name.startswith("state") else folder / name
        path.write_bytes(path.read_bytes()[:size])

    return cut


def written(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (last(folder) / name if name.startswith("state") else folder / name).write_bytes(content)

    return write


def of_another_model(folder: Path) -> None:
    train(ig.create("tiny(n_layers=2)"), [TEXT], steps=8, out=folder / "other", config=CONFIG)
    shutil.rmtree(last(folder))
    shutil.move(folder / "other" / "checkpoints" / "step-00000008", folder / "checkpoints" / "step-00000008")


SAYS = {
    "no run.toml": (without("run.toml"), ["has checkpoints and no run.toml", "hint: put run.toml back"]),
    "run.toml cut short": (truncated("run.toml", 40), ["run.toml' has no 'model': it was cut short", "hint: put run.toml back"]),
    "weights cut short": (truncated("state.safetensors", 1000), ["cannot read the checkpoint", "step-00000008", "hint: remove it"]),
    "weights empty": (truncated("state.safetensors", 0), ["cannot read the checkpoint", "hint: remove it"]),
    "state cut short": (truncated("state.json", 20), ["cannot read the checkpoint", "hint: remove it"]),
    "state of something else": (written("state.json", b'{"progress": {}}'), ["cannot read the checkpoint", "'step'", "hint: remove it"]),
    "rows lost": (truncated("metrics.csv", 200), ["metrics.csv' ends with step", "the checkpoint is of step 8", "hint: put the file back"]),
    "no rows of metrics": (written("metrics.csv", b"step,loss\n1,one\n"), ["metrics.csv:2: no row of metrics", "'one'", "remove it to go on"]),
    "metrics of bytes": (written("metrics.csv", b"\xff\xfe\x00"), ["metrics.csv:1: no row of metrics", "remove it to go on"]),
    "another model's checkpoint": (of_another_model, ["step-00000008 do not fit the model", "unexpected: model.layers.1"]),
}  # fmt: skip


@pytest.mark.parametrize("state", SAYS)
def test_it_says_what_is_wrong_and_touches_nothing(copy: Path, state: str) -> None:
    damage, fragments = SAYS[state]
    damage(copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != "run.toml"}
    with pytest.raises(IsinglassError) as caught:
        run(copy)
    for fragment in fragments:
        assert fragment in str(caught.value), str(caught.value)
    assert before == {path: path.read_bytes() for path in copy.rglob("*") if path.is_file() and path.name != "run.toml"}


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_file_missing_or_cut_anywhere(whole: Run, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """The same weights, or an error of ours with something one can do."""
    assert whole.folder is not None
    folder = Path(shutil.copytree(whole.folder, tmp_path_factory.mktemp("cut") / "run"))
    path = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())), label="file")
    size = data.draw(st.none() | st.integers(0, path.stat().st_size), label="size")
    path.unlink() if size is None else path.write_bytes(path.read_bytes()[:size])
    try:
        resumed = run(folder)
    except IsinglassError as fault:
        assert fault.hint or "run.toml" in fault.message
    else:
        ours, theirs = resumed.lm.model.state_dict(), whole.lm.model.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
