"""`isinglass eject`: the file on stdout or on disk, from presets, folders, assets and recipes; faults with file and line."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch

RECIPE = """# a recipe
model = "tiny(n_layers=1, d_model=32)"
tokenizer = "character"
data = "text.txt"

[train]
steps = 1
"""


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("abc cab " * 40, encoding="utf-8")
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    return tmp_path / "recipe.toml"


def test_stdout_holds_the_file_and_nothing_else(cli):
    ran = cli("eject", "llama(n_layers=4)")
    assert ran.code == 0 and ran.err == ""
    assert ran.out.startswith('"""A decoder of the llama family') and ran.out.endswith(".tolist())\n")
    assert "from llama(n_layers=4)\n" in ran.out and "N_LAYERS = 4\n" in ran.out
    compile(ran.out, "model.py", "exec")


def test_a_saved_file_takes_the_weights_of_the_folder_it_came_from(cli, byte_folder, tmp_path):
    from isinglass.generation.lm import export, load

    lm = load(byte_folder)
    ours, path = export(lm, tmp_path / "ours", format="isinglass"), tmp_path / "new" / "model.py"
    ran = cli("eject", byte_folder, "--save", path)
    assert ran.code == 0 and ran.out == ""
    assert f"saved {path}: {path.read_text('utf-8').count(chr(10))} lines" in ran.err.replace("\n", " ") or str(path.name) in ran.err
    assert [each.name for each in path.parent.iterdir()] == ["model.py"]
    done = subprocess.run([sys.executable, path, ours / "model.safetensors"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ids = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
    with torch.no_grad():
        for _ in range(8):
            ids = torch.cat([ids, lm.decoder(ids)[:, -1:].argmax(-1)], dim=1)
    assert done.stdout.splitlines()[-1] == f"greedy {ids[0].tolist()}"


def test_json_holds_the_file_with_its_settings(cli):
    ran = cli("eject", "gpt2", "--json")
    assert ran.json["config"]["d_model"] == 768 and ran.json["lines"] == ran.json["file"].count("\n")
    assert "class LayerNorm" in ran.json["file"]


def test_an_asset(cli):
    ran = cli("eject", "minilm")
    assert ran.code == 0 and '"pooling": Pooling()' in ran.out


def test_a_recipe_with_settings_replaced(cli, recipe):
    ran = cli("eject", recipe, "--set", 'model.attention.position="alibi"')
    assert ran.code == 0
    assert int(re.search(r"VOCAB_SIZE = (\d+)", ran.out)[1]) < 10  # a, b, c, space, and what is special
    assert "class Alibi" in ran.out and "class Rotary" not in ran.out


@pytest.mark.parametrize(
    ("given", "instead", "told"),
    [
        ("steps = 1", "stepz = 1", ":7: unknown key 'train.stepz'"),
        ("tiny(", "tinny(", ":2: unknown preset 'tinny' in model"),
        ("d_model=32", "mask='casual'", ":2: unknown mask 'casual' in attention.mask"),
        ("d_model=32", "d_model=33", ":2: d_model = 33 is not divisible by attention.n_heads = 4"),
    ],
)
def test_a_fault_of_a_recipe_names_file_and_line(cli, recipe, given, instead, told):
    recipe.write_text(RECIPE.replace(given, instead), encoding="utf-8")
    ran = cli("eject", recipe)
    assert ran.code == 2 and ran.out == ""
    assert f"error: {recipe}{told}" in ran.err


def test_set_is_for_recipes(cli):
    ran = cli("eject", "tiny", "--set", "train.steps=1")
    assert ran.code == 2
    assert "--set train.steps=1 beside 'tiny': --set is for recipes" in ran.err


def test_a_file_is_saved_as_python_alone(cli, tmp_path):
    ran = cli("eject", "tiny", "--save", tmp_path / "model.txt")
    assert ran.code == 2 and "unknown file format '.txt'" in ran.err
    assert not any(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(cli, tmp_path):
    (tmp_path / "taken").write_text("", encoding="utf-8")
    ran = cli("eject", "tiny", "--save", tmp_path / "taken" / "model.py")
    assert ran.code == 1 and "cannot write" in ran.err


def test_what_cannot_be_ejected_is_said(cli):
    ran = cli("eject", "hierarchical")
    assert ran.code == 1 and ran.out == ""
    assert "error: cannot eject a hierarchical model" in ran.err
