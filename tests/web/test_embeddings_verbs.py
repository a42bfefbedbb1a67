"""The three views of the page Embeddings: what they show is what the library says, and what they copy makes the same."""

import json
import shlex
import threading

import numpy as np
import pytest

import isinglass as ig
from helpers.lab import tiny_folder
from isinglass.cli.main import main
from isinglass.core.errors import ConfigError, IsinglassError
from isinglass.embedding.collections import topics
from isinglass.embedding.word_vectors import load_vectors
from isinglass.web.bench import Bench
from isinglass.web.events import Shown, Working
from isinglass.web.verb import request
from isinglass.web.verbs import embeddings

EVIL = "</script><img src=x onerror=window.broken=1>"
OWN = "season: In spring it rains.\nseason: The spring was warm.\nmetal: The spring broke.\nmetal: A spring: of steel."


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = tmp_path_factory.mktemp("models")
    return {
        "decoder": tiny_folder(made / "decoder"),
        "encoder": tiny_folder(made / "encoder", "bert(n_layers=1, d_model=32, n_heads=4)", tokenizer="bert-base-uncased"),
    }


@pytest.fixture(scope="module")
def bench():
    return Bench()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("\n\n".join(["the cat sat on the mat", "the dog sat on the rug", "a king and a queen sat on a throne"] * 60))
    return str(file)


def ran(command, capsys):
    """What a copied command prints as JSON."""
    first, group, part, *rest = shlex.split(command)[:]
    assert first == "isinglass" and main([group, part, "--json", *rest]) == 0
    return json.loads(capsys.readouterr().out)


def slots(events):
    """The last of each slot."""
    return {event.slot: event for event in events if isinstance(event, Shown)}


def test_the_map_is_that_of_the_library(bench, folders):
    found = slots(request("embeddings", {"text": "a warm meal", "model": folders["encoder"]}).run(bench))
    assert list(found) == ["map", "nearest", "alike", "groups"]
    given = topics()
    expected = ig.embed(ig.load(folders["encoder"]), given.texts)
    rows = found["map"].parts[0].data.rows
    assert np.allclose([[row["PCA 1"], row["PCA 2"]] for row in rows], expected.map("pca").points, atol=1e-5)
    assert [row["group"] for row in rows] == list(given.labels)
    assert found["groups"].data["purity"] == expected.clusters(4, labels=given.labels).purity
    assert found["alike"].parts[0].rows[0]["cosine"] == pytest.approx(expected.pairs(1).most[0].cosine, abs=1e-6)
    assert found["nearest"].parts[0].rows[0]["query"] == "a warm meal" and len(found["nearest"].parts[0].rows) == 5


def test_own_texts_with_pooling_and_layer(bench, folders):
    lines = "A cat sleeps.\n\n  A kitten naps. \nStocks fell.\n" + EVIL
    asked = {"text": "", "model": folders["decoder"], "texts": lines, "method": "tsne", "pooling": "last", "layer": 1}
    found = slots(request("embeddings", asked).run(bench))
    texts = ["A cat sleeps.", "A kitten naps.", "Stocks fell.", EVIL]
    assert found["map"].data["texts"] == texts and found["nearest"].parts == ()
    assert found["groups"].data["purity"] is None  # nobody has said what belongs together
    expected = ig.embed(ig.load(folders["decoder"]), texts, pooling="last", layer=1)
    assert np.allclose([row["cosine"] for row in found["alike"].parts[1].data.rows], expected.cosines.ravel(), atol=1e-5)
    assert not any("<img" in part["html"] for shown in found.values() for part in shown.message()["parts"])


def test_many_texts_are_embedded_some_at_a_time_and_have_no_heat_map(folders):
    bench, lines = Bench(), "\n".join(f"text number {number}" for number in range(70))
    events = list(request("embeddings", {"text": "", "model": folders["decoder"], "texts": lines}).run(bench))
    assert [event.done for event in events if isinstance(event, Working) and event.total] == [0, 32, 64]
    assert len(slots(events)["alike"].parts) == 1 and "these are 70" in slots(events)["alike"].data["note"]


@pytest.mark.parametrize(
    "more", [{}, {"texts": "A cat.\n--seed=3\nA dog.\nStocks fell.", "pooling": "mean", "layer": 0, "seed": 2, "clusters": 2}]
)
def test_what_the_map_copies_makes_the_same(bench, folders, more, capsys):
    verb = request("embeddings", {"text": "it's a", "model": folders["decoder"], **more})
    found = slots(verb.run(bench))
    scope = {}
    lines = verb.python.splitlines()
    exec("\n".join([*lines[:-1], f"result = {lines[-1]}"]), scope)
    shown = [[row["PCA 1"], row["PCA 2"]] for row in found["map"].parts[0].data.rows]
    assert np.allclose(scope["result"].points, shown, atol=1e-5)
    assert np.allclose(ran(verb.command, capsys)["maps"][0]["points"], shown, atol=1e-5)
    for part, name in ((found["alike"].parts[0], "pairs"), (found["nearest"].parts[0], None)):
        said = ran(part.command, capsys)
        rows = said[name] if name else said
        assert [row["cosine"] for row in rows] == pytest.approx([row["cosine"] for row in part.rows], abs=1e-5)


@pytest.mark.parametrize("more", [{"word": "bank"}, {"word": "spring", "sentences": OWN}])
def test_senses_and_what_they_copy(bench, folders, more, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verb = request("senses", {"text": "", "model": folders["encoder"], **more})
    found = slots(verb.run(bench))["result"]
    layers = found.parts[1].rows
    assert [row["layer"] for row in layers] == [0, 1] and layers[0]["apart"] == pytest.approx(0, abs=1e-5)
    assert {row["sense"] for row in found.parts[2].rows} == ({"river", "money"} if "sentences" not in more else {"season", "metal"})
    if found.data["toml"]:
        (tmp_path / found.data["file"]).write_text(found.data["toml"])
    again = ran(verb.command, capsys)["layers"]
    assert [row["within"] for row in again] == pytest.approx([row["within"] for row in layers], abs=1e-6)
    lines = verb.python.splitlines()
    scope = {}
    exec("\n".join([*lines[:-1], f"result = {lines[-1]}"]), scope)
    assert scope["result"].table.rows == layers


def test_words_are_learned_written_and_asked(source, tmp_path, capsys):
    file = tmp_path / "runs" / "words.safetensors"
    asked = {"vectors": str(file), "source": source, "way": "word2vec(d=8, epochs=2)", "nearest": "Cat, dog", "sums": "king - cat + dog"}
    before = slots(request("words", asked).run(Bench()))
    assert list(before) == ["begin"] and not before["begin"].data["there"]
    events = list(request("words", {"action": "learn", **asked}).run(Bench()))
    after = slots(events)
    held = load_vectors(file)
    assert (after["begin"].data["words"], after["begin"].data["d"]) == (len(held.words), 8)
    assert [part.title for part in after["answers"].parts] == ["The nearest words", "king - cat + dog", "Words in a plane"]
    assert after["answers"].parts[0].rows[0]["near"] == held.nearest("cat", 1)[0].word
    assert any(isinstance(event, Working) and event.total for event in events)
    verb = request("words", asked)
    assert ran(verb.command, capsys)["nearest"]["cat"] == after["answers"].parts[0].rows[:8]
    scope = {}
    lines = verb.python.splitlines()
    exec("\n".join([*lines[:-1], f"result = {lines[-1]}"]), scope)
    assert [part.title for part in scope["result"].parts] == [part.title for part in after["answers"].parts]
    again = tmp_path / "again.safetensors"
    command = before["begin"].data["learning"].replace(str(file), str(again))
    assert main(shlex.split(command)[1:]) == 0
    assert np.array_equal(load_vectors(again).vectors, held.vectors)


def test_learning_that_is_stopped_keeps_what_it_has(source, tmp_path):
    bench, file = Bench(), tmp_path / "words.safetensors"
    asked = {"vectors": str(file), "source": source, "way": "word2vec(d=8, epochs=5000)", "nearest": "cat", "sums": ""}
    events = request("words", {"action": "learn", **asked}).run(bench)
    while not (event := next(events)).total:
        pass
    assert event.done < event.total and bench.training == {str(file)}
    later = []
    look = threading.Thread(target=lambda: later.extend(request("words", asked).run(bench)))
    look.start()  # a second tab waits for the file
    events.close()
    look.join(20)
    assert load_vectors(file).vectors.shape[1] == 8 and bench.training == set()
    assert slots(later)["begin"].data["there"]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("embeddings", {"texts": "one\ntwo"}, "2 texts make no map"),
        ("embeddings", {"texts": "\n".join(map(str, range(embeddings.MOST + 1)))}, "401 texts, a map shows up to 400"),
        ("embeddings", {"layer": 9}, "layer = 9, expected 0"),
        ("embeddings", {"clusters": 99}, "k = 99, expected 1 to"),
        ("senses", {"word": "spring"}, "unknown word 'spring'"),
        ("senses", {"word": "spring", "sentences": "The spring broke."}, "no sense in the line"),
        ("senses", {"word": "spring", "sentences": "metal: The spring broke."}, "'spring' has {'metal': 1}"),
        ("senses", {"word": "winter", "sentences": OWN}, "'winter' does not stand in"),
        ("words", {"action": "learn", "source": ""}, "there is no text to learn from"),
        ("words", {"action": "learn", "source": "nothing.txt"}, "no such file, folder or corpus"),
        ("words", {"action": "learn", "vectors": "words.md"}, "vectors 'words.md': expected a file"),
        ("words", {"action": "learn", "way": "./evil.py(d=8)"}, "way './evil.py(d=8)': the lab takes names alone"),
        ("words", {"action": "learn", "way": "word3vec"}, "unknown method 'word3vec'"),
    ],
)
def test_bad_input_gets_one_clear_error(bench, folders, name, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IsinglassError) as caught:
        list(request(name, {"text": "", "model": folders["decoder"], **arguments}).run(bench))
    assert message in caught.value.message


def test_a_file_that_holds_no_vectors_is_never_overwritten(source, tmp_path):
    file = tmp_path / "diary.txt"
    file.write_text("dear diary, 1 2 3")
    with pytest.raises(ConfigError, match="is there, and holds no vectors"):
        list(request("words", {"action": "learn", "vectors": str(file), "source": source}).run(Bench()))
    assert file.read_text() == "dear diary, 1 2 3"
