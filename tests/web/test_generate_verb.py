"""Generate: what the columns tell is what `ig.generate` gives and what the real caches hold; and what may stand in an address."""

import json
import re
import shlex

import pytest

import isinglass as ig
from helpers.lab import tiny_folder
from isinglass.cli.main import main
from isinglass.core.errors import EngineError, IsinglassError
from isinglass.generation import strategies
from isinglass.metrics.diversity import distinct, repetition
from isinglass.models.summary import kv_bytes_per_token
from isinglass.nn.attention.caches.contiguous import Contiguous
from isinglass.web import files
from isinglass.web.bench import Bench
from isinglass.web.events import Shown
from isinglass.web.verb import request
from isinglass.web.writing import Column

TEXT = "to be or not to be"
ALL = ["greedy", "sample(temperature=0.8, top_p=0.9)", "beam(n_beams=3)", "contrastive(k=2, alpha=0.6)"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny", attention={"n_kv_heads": 2})


@pytest.fixture(scope="module")
def lm(folder):
    return ig.load(folder)


def written(folder, names, bench=None, **more):
    """The columns as the page has them at the end, and the table."""
    given = {"text": TEXT, "model": folder, "strategies": ";".join(names), "max_tokens": 12, **more}
    events = [event for event in request("generate", given).run(bench or Bench()) if isinstance(event, Shown)]
    assert [event.slot for event in events] == ["board", *["tokens"] * (len(events) - 2), "table"]
    told = [event.data for event in events if event.slot == "tokens"]
    columns = [{**last, "new": [token for one in told for token in one[at]["new"]]} for at, last in enumerate(told[-1])]
    return events[0].data, columns, events[-1].parts[0].rows


def test_each_column_is_what_generate_gives(folder, lm):
    board, columns, rows = written(folder, ALL, seed=7)
    assert [one["strategy"] for one in board] == ALL and [one["late"] for one in board] == [False, False, True, False]
    for name, column, row in zip(ALL, columns, rows, strict=True):
        alone = ig.generate(lm, TEXT, strategy=name, max_tokens=12, seed=7)
        assert [token["id"] for token in column["new"]] == alone.ids and column["text"] == alone.text
        assert [-token["surprisal"] for token in column["new"]] == pytest.approx(alone.log_probs, abs=1e-9)
        assert column["finish"] == alone.finish == "length" and row["tokens"] == 12
        assert (row["distinct_1"], row["distinct_2"], row["repetition"]) == (
            distinct(alone.ids, 1),
            distinct(alone.ids, 2),
            repetition(alone.ids),
        )


@pytest.mark.parametrize(
    ("name", "rows"), [("greedy", 1), ("sample", 1), ("beam(n_beams=3)", 3), ("contrastive(k=2)", 2), ("speculative(n_tokens=3)", 1)]
)
def test_the_meter_counts_what_a_cache_really_holds(folder, lm, name, rows, monkeypatch):
    seen, extend = [], Contiguous.extend

    def watched(cache, slots):
        keys = extend(cache, slots)
        seen.append((sum(k.nbytes + v.nbytes for k, v in cache.layers), cache.length, cache.capacity))
        return keys

    monkeypatch.setattr(Contiguous, "extend", watched)
    _, (column,), _ = written(folder, [name])
    whole, length, capacity = seen[-1]  # at the last pass; prompt lookup has no cache of its own
    each = rows * kv_bytes_per_token(lm.config, 4)
    assert column["cache"]["whole"] == whole == capacity * each
    assert column["cache"]["used"] == length * each <= whole
    assert ("texts at once" in column["cache"]["text"]) == (rows > 1)


def test_the_meter_of_a_window_stays_at_its_size(tmp_path):
    made = tiny_folder(tmp_path / "window", "tiny", attention={"mask": "causal & sliding_window(8)"})
    _, (column,), _ = written(made, ["greedy"])
    assert 0 < column["cache"]["used"] == column["cache"]["whole"] <= 8 * kv_bytes_per_token(ig.load(made).config, 4)


def test_nothing_is_left_on_the_model(folder, lm):
    column = Column.of("greedy")
    column.begin(lm, TEXT, max_tokens=2, seed=0)
    while column.step():
        pass
    assert not lm.packed().layers[0]._forward_pre_hooks
    assert column.held[0] == (len(TEXT) + 1) * kv_bytes_per_token(lm.config, 4)


def test_an_end_token_is_a_chip_but_no_part_of_the_measures(folder, lm):
    from dataclasses import replace

    first = ig.generate(lm, TEXT, max_tokens=1).ids[0]
    column = Column.of("greedy")
    column.begin(replace(lm, end_ids=frozenset({first})), TEXT, max_tokens=5, seed=0)
    assert column.step() and not column.step()
    told = column.told()
    assert [token["id"] for token in told["new"]] == [first]
    assert (told["finish"], told["tokens"], told["text"]) == ("end", 0, "") and column.row()["perplexity"] is None


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        ("", {}, "0 strategies, expected 1 to 4"),
        (";".join(["greedy"] * 5), {}, "5 strategies, expected 1 to 4"),
        ("gredy", {}, "unknown strategy 'gredy' in strategy"),
        ("sample(top_p=2)", {}, "top_p: p = 2, expected 0 < p <= 1"),
        ("sample(", {}, "cannot read the variant 'sample('"),
        ("greedy", {"max_tokens": 0}, "max_tokens = 0"),
        ("greedy", {"text": "x" * 5000}, "prompt 0 has 5000 tokens"),
    ],
)
def test_bad_input_gets_one_clear_error(folder, names, more, message):
    with pytest.raises(IsinglassError) as caught:
        list(request("generate", {"text": TEXT, "model": folder, "strategies": names, **more}).run(Bench()))
    assert message in caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        "./evil.py", "evil.py(k=1)", "speculative(draft=./evil.py)", "speculative(choose='./evil.py')", "speculative(choose='./evil.' 'py')",
        "speculative(choose='./evil\\x2epy')", "speculative(choose=\"speculative(choose='./e' '.py')\")", "sample(ban=['a/b.py'])",
        "greedy & ./evil.py",
    ],
)  # fmt: skip
def test_an_address_runs_no_file(tmp_path, folder, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('ran', 'w').close()\n")
    with pytest.raises(IsinglassError, match="the lab takes names alone, no files"):
        list(request("generate", {"text": TEXT, "model": folder, "strategies": name}).run(Bench()))
    assert not (tmp_path / "ran").exists()


def test_an_encoder_says_that_it_does_not_write(tmp_path):
    made = tiny_folder(tmp_path / "encoder", "bert(n_layers=1, d_model=32, n_heads=4)", tokenizer="bert-base-uncased")
    with pytest.raises(EngineError, match="does not continue a text"):
        written(made, ["greedy"])


def test_what_is_copied_writes_the_same(folder, capsys):
    """Of all columns, and of each alone."""
    names = ["greedy", "sample(temperature=0.7, top_k=9)"]
    given = {"text": 'it\'s "so"', "model": folder, "strategies": ";".join(names), "max_tokens": 6, "seed": 3}
    verb = request("generate", given)
    board, columns, _ = written(folder, names, text=given["text"], max_tokens=6, seed=3)
    assert main([*shlex.split(verb.command)[1:], "--json", "--quiet"]) == 0
    assert [one["samples"][0]["text"] for one in json.loads(capsys.readouterr().out)["strategies"]] == [one["text"] for one in columns]
    assert [row["text"] for row in last_value(verb.python)[1].rows] == [one["text"] for one in columns]
    for copies, column in zip(board, columns, strict=True):
        assert last_value(copies["python"]).ids == [token["id"] for token in column["new"]]
        assert main([*shlex.split(copies["command"])[1:], "--json", "--quiet"]) == 0
        assert json.loads(capsys.readouterr().out)["text"] == column["text"]


def last_value(lines):
    scope = {}
    *before, last = lines.splitlines()
    exec("\n".join([*before, f"found = {last}"]), scope)
    return scope["found"]


def test_the_page_offers_the_strategies_there_are():
    page = files.modules()["pages/generate.js"]
    listed = re.search(r"STRATEGIES = \[(.*?)\]", page, re.DOTALL)
    assert listed is not None
    offered = re.findall(r'"([^"]+)"', listed[1])
    assert {name.partition("(")[0] for name in offered} == set(strategies.family.names())
    assert all(Column.of(name).expression == name for name in offered)
