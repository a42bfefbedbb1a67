"""Train: what the page is told is what `isinglass train` writes; a run that is stopped goes on to the same weights."""

import shlex

import pytest

import isinglass as ig
from isinglass.cli.main import main
from isinglass.core.errors import CheckpointError, ConfigError, DataError, IsinglassError
from isinglass.training.record import read_metrics, read_samples
from isinglass.web.bench import Bench
from isinglass.web.events import Shown, Working
from isinglass.web.verb import request

PRESET = "gpt2(n_layers=1, n_heads=2, d_model=16, context_length=16)"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("the cat sat on the mat and the dog sat on the log. " * 60)
    return str(file)


@pytest.fixture
def asked(tmp_path, text):
    """`asked("start", steps=20)` is the verb."""

    def make(action, **more):
        given = {"text": "the", "model": "smollm2", "folder": str(tmp_path / "run"), "data": text, "preset": PRESET, "steps": 20, **more}
        return request("train", {"action": action, **given})

    return make


def slots(events):
    """The last of each slot."""
    return {event.slot: event for event in events if isinstance(event, Shown)}


def test_a_run_from_its_start_to_its_end(asked, tmp_path):
    events = list(asked("start").run(Bench()))
    last = slots(events)
    assert last["curve"].data == {
        "folder": str(tmp_path / "run"), "step": 20, "steps": 20, "finished": True, "resumable": True, "there": True,
        "model": str(tmp_path / "run"),
    }  # fmt: skip
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert [row["step"] for row in rows] == list(range(1, 21))
    drawn = last["curve"].parts[0].data.rows
    assert {row["series"] for row in drawn} == {"training", "validation"}
    assert [drawn[-1]["step"], drawn[-1]["loss (nats per target)"]] == [20, pytest.approx(rows[-1]["validation_loss"])]
    samples = last["samples"].parts[0].rows
    assert [row["step"] for row in samples] == list(range(20, 0, -2)) and all(row["continued"].startswith("the") for row in samples)
    assert {row["quantity"] for row in last["cost"].parts[0].rows} >= {"tokens per second", "weights"}
    assert any(isinstance(event, Working) and event.doing == "learning the vocabulary" for event in events)


def test_what_is_shown_again_is_what_was_there(asked, tmp_path):
    assert slots(asked("look").run(Bench()))["curve"].data["there"] is False
    first = slots(asked("start").run(Bench()))
    again = slots(asked("look").run(Bench()))
    assert again["curve"].data == first["curve"].data and again["curve"].parts[0].data.rows == first["curve"].parts[0].data.rows
    assert again["samples"].parts[0].rows == first["samples"].parts[0].rows
    assert not (tmp_path / "other").exists()


def test_a_stopped_run_goes_on_to_the_weights_of_one_that_was_not(asked, tmp_path):
    whole = asked("start", folder=str(tmp_path / "whole"))
    assert list(whole.run(Bench()))
    bench, events = Bench(), None
    events = asked("start").run(bench)
    next(event for event in events if isinstance(event, Shown) and event.data["step"] >= 4)
    assert bench.training == {str(tmp_path / "run")}
    events.close()
    assert bench.training == set()
    stopped = slots(asked("settle").run(bench))["curve"].data
    assert 4 <= stopped["step"] < 20 and stopped["resumable"] and not stopped["finished"]
    assert stopped["model"] == str(tmp_path / "run" / "best") and ig.load(stopped["model"]).config.d_model == 16
    last = slots(asked("resume", steps=999).run(bench))["curve"].data  # the recipe that is there counts, not the page
    assert last["steps"] == 20 and last["finished"]
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_of_a_text_longer_than_the_context_the_end_is_continued(asked):
    rows = slots(asked("start", text="and the dog sat on the log. " * 9, steps=1).run(Bench()))["samples"].parts[0].rows
    assert rows[0]["continued"].startswith("he log. ")  # 8 of the context of 16


def test_two_do_not_train_in_one_folder(asked, tmp_path):
    bench = Bench()
    first = asked("start").run(bench)
    next(event for event in first if isinstance(event, Shown))
    second = asked("resume").run(bench)
    waits = [next(second) for _ in range(3)]
    assert all(isinstance(event, Working) for event in waits) and "which another tab trains" in waits[-1].doing
    first.close()
    assert slots(second)["curve"].data["finished"]


def test_a_lora_beside_the_model_above(asked, tmp_path, text):
    folder = str(ig.export(ig.create("tiny"), tmp_path / "tiny", format="isinglass"))
    data = slots(asked("start", preset="", model=folder, rank=2, steps=2).run(Bench()))["curve"].data
    assert data["finished"] and ig.load(data["model"]).config.d_model == 64
    assert 'adapter = "lora(rank=2)"' in (tmp_path / "run" / "recipe.toml").read_text()


def test_the_command_makes_the_same_run_again(asked, tmp_path):
    verb = asked("start")
    assert list(verb.run(Bench()))
    program, *arguments = shlex.split(verb.command)
    assert program == "isinglass" and main(arguments) == 0
    again = tmp_path / "run-again"
    assert (again / "model.safetensors").read_bytes() == (tmp_path / "run" / "model.safetensors").read_bytes()
    exec(verb.python.replace(str(again), str(tmp_path / "third")).replace("print(event)", "pass"), {})
    assert read_samples(tmp_path / "third" / "samples.md") == read_samples(again / "samples.md") != []


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"data": "nowhere.txt"}, IsinglassError, "nowhere.txt"),
        ({"preset": "gpt3000"}, IsinglassError, "gpt3000"),
        ({"preset": PRESET, "tokenizer": "characters"}, IsinglassError, "characters"),
        ({"learning_rate": -1.0}, ConfigError, "learning_rate"),
        ({"steps": 0}, ConfigError, "steps"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(asked, tmp_path, given, error, says):
    with pytest.raises(error, match=says):
        list(asked("start", **given).run(Bench()))
    assert not (tmp_path / "run").exists()


def test_a_text_that_is_too_short(asked, tmp_path):
    (tmp_path / "short.txt").write_text("abc")
    with pytest.raises(DataError):
        list(asked("start", data=str(tmp_path / "short.txt")).run(Bench()))
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_begun_over_another_nor_gone_on_with_without_its_recipe(asked, tmp_path):
    assert list(asked("start", steps=2).run(Bench()))
    before = (tmp_path / "run" / "recipe.toml").read_text()
    with pytest.raises(IsinglassError, match="there is a run in"):
        list(asked("start", steps=3).run(Bench()))
    assert (tmp_path / "run" / "recipe.toml").read_text() == before
    (tmp_path / "run" / "recipe.toml").unlink()
    with pytest.raises(CheckpointError, match="was not begun here"):
        list(asked("resume").run(Bench()))
