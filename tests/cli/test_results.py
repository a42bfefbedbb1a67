"""What each verb finds: as JSON, in files, and for people."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import isinglass as ig
from helpers.command import command
from isinglass.inspection.predictions import at_temperature


@pytest.mark.parametrize(
    "arguments",
    [
        ["tokens", "Hello, world!"],
        ["tokens", "compare", "Hello"],
        ["model", "list"],
        ["model", "show", "tiny"],
        ["assets", "list"],
        ["assets", "get", "gpt2-vocab"],
        ["explain"],
        ["explain", "masks"],
        ["explain", "causal"],
        ["doctor"],
        ["predict", "MODEL", "Hello there"],
        ["generate", "MODEL", "Hello there", "--max-tokens", "3"],
    ],
)
def test_json_alone_on_stdout_and_quiet_says_nothing(cli, arguments, tiny_folder, tmp_path):
    arguments = [tiny_folder if one == "MODEL" else one for one in arguments]
    ran = cli(*arguments, "--json", "--quiet", "--save", tmp_path / "same.json")
    assert ran.code == 0 and ran.err == ""
    assert ran.json and ran.json == json.loads((tmp_path / "same.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("suffix", "begins"),
    [
        (".csv", b"temperature,rank,token"),
        (".html", b"<!doctype html>"),
        (".json", b"{"),
        (".md", b"| temperature"),
        (".png", b"\x89PNG"),
        (".svg", b"<svg"),
        (".txt", b"What follows"),
    ],
)
def test_results_are_saved_in_the_format_of_the_suffix(cli, byte_folder, tmp_path, suffix, begins):
    path = tmp_path / "new folder" / f"next{suffix}"
    ran = cli("predict", byte_folder, "Hello", "--top", "3", "--save", path)
    assert ran.code == 0 and f"saved {path}" in ran.err
    assert path.read_bytes().startswith(begins)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_predict_on_the_real_model():
    asked = command("predict", "smollm2", "The capital of France is", "--top", "10", "--temperatures", "0.1,1,2", "--json")
    done = subprocess.run(asked, capture_output=True, check=True, timeout=240)
    found = json.loads(done.stdout)
    at = {t: [row for row in found["predictions"] if row["temperature"] == t] for t in (0.1, 1, 2)}
    assert [len(rows) for rows in at.values()] == [10, 10, 10]
    for rows in at.values():
        assert rows[0]["token"] == " Paris" and [row["rank"] for row in rows] == list(range(1, 11))
    assert at[1][0]["probability"] == pytest.approx(0.77, abs=0.005)
    assert at[0.1][0]["probability"] > 0.999 > at[1][0]["probability"] > at[2][0]["probability"]
    assert found["entropy_nats"]["0.1"] < found["entropy_nats"]["1"] < found["entropy_nats"]["2"]
    assert "".join(token["piece"] for token in found["tokens"]) == "The capital of France is"


def test_predict_agrees_with_the_model_itself(cli, tiny_folder):
    lm = ig.load(tiny_folder)
    with torch.inference_mode():
        logits = lm.model(torch.tensor([lm.encode("Hello there")]))[0, -1]
    for row in cli("predict", tiny_folder, "Hello there", "--temperatures", "0.5", "--json").json["predictions"]:
        assert row["probability"] == pytest.approx(float(at_temperature(logits, 0.5)[row["id"]]))
        assert row["logit"] == pytest.approx(float(logits[row["id"]]), abs=1e-5)


def test_tokens_with_offsets(cli):
    found = cli("tokens", "naïve 🙂!", "--with", "gpt2,bert-base-uncased", "--json").json
    assert found["text"] == "naïve 🙂!"
    gpt2, bert = found["tokenizers"]
    assert gpt2["tokenizer"] == "gpt2" and gpt2["n_tokens"] == len(gpt2["tokens"])
    assert [found["text"][t["start"] : t["end"]] for t in bert["tokens"]] == ["naïve", "🙂", "!"]
    assert bert["characters_per_token"] == pytest.approx(8 / 3)
    assert bert["bytes_per_token"] == pytest.approx(len("naïve 🙂!".encode()) / 3)


def test_tokens_from_an_argument_a_file_and_stdin_are_the_same(cli, process, tmp_path):
    text = "two\r\nlines \n"
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode())
    ids = [
        [t["id"] for t in ran.json["tokenizers"][0]["tokens"]]
        for ran in (
            cli("tokens", text, "--json"),
            cli("tokens", "--file", path, "--json"),
            process("tokens", "-", "--json", input=text.encode()),
        )
    ]
    assert ids[0] == ids[1] == ids[2] == ig.tokenizer("gpt2").encode(text)


def test_a_text_may_begin_with_a_hyphen(cli):
    assert cli("tokens", "-5 degrees", "--json").json["text"] == "-5 degrees"


def test_special_tokens_as_asked_for(cli):
    counts = [cli("tokens", "<|endoftext|>", "--special", way, "--json").json["tokenizers"][0]["n_tokens"] for way in ("text", "parse")]
    assert counts[0] > 1 and counts[1] == 1


def test_a_comparison_as_a_table(cli, tmp_path):
    path = tmp_path / "results.csv"
    ran = cli("tokens", "compare", "GPT-4 costs $10/M tokens", "--with", "cl100k_base,bert-base-uncased,t5", "--save", path)
    assert "G│PT│-│4│·costs" in ran.out
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["tokenizer"]: int(row["tokens"]) for row in rows} == {"cl100k_base": 9, "bert-base-uncased": 11, "t5": 9}


def test_a_long_text_is_shown_in_part_and_saved_whole(cli, tmp_path):
    path = tmp_path / "all.csv"
    ran = cli("tokens", "word " * 1500, "--save", path)
    assert "the first 200 of 1,501 rows" in ran.out and "the first 1,000 tokens" in ran.out
    assert len(path.read_text(encoding="utf-8").splitlines()) == 1502


def test_a_model_from_a_preset_a_folder_and_a_file(cli, tiny_folder):
    gpt2 = cli("model", "show", "gpt2", "--json").json
    assert gpt2["n_parameters"] == 124_439_808 and gpt2["config"]["attention"]["n_heads"] == 12
    assert sum(row["share"] for row in gpt2["parts"]) == pytest.approx(1)
    assert cli("model", "show", "smollm2", "--json").json["n_parameters"] == 134_515_008
    assert cli("model", "show", tiny_folder, "--json").json["config"]["context_length"] == 64
    costs = {row["quantity"]: row["value"] for row in cli("model", "show", "smollm2", "--bytes-per-number", "2", "--json").json["costs"]}
    assert costs["KV cache per token"] == 2 * 30 * 3 * 64 * 2


def test_model_show_reads_no_weights(cli, tiny_folder, tmp_path):
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "bare"))
    (folder / "model.safetensors").unlink()
    assert cli("model", "show", folder).code == 0


def test_presets_are_listed_with_their_sizes(cli):
    sizes = {row["model"]: row["parameters"] for row in cli("model", "list", "--json").json}
    assert sizes["gpt2(size='1558m')"] == 1_557_611_200 and sizes["llama(size='smollm2-135m')"] == 134_515_008 and "tiny" in sizes


def test_explain_reads_the_card(cli):
    found = cli("explain", "sliding_window", "--json").json
    assert found["name"] == "masks.sliding_window" and found["signature"] == "sliding_window(window: int)"
    assert found["file"] == "nn/attention/masks/sliding_window.py" and "Mistral" in found["sections"]["Used by"]
    shown = cli("explain", "masks").out
    assert all(name in shown for name in ("causal", "documents", "full", "sliding_window"))
    assert {row["name"] for row in cli("explain", "--json").json} >= {
        "masks.causal",
        "positions.rotary",
        "strategies.sample",
        "presets.gpt2",
    }


def test_doctor_finds_what_is_missing_and_says_how_to_mend_it(process, tmp_path):
    good = process("doctor", "--json")
    assert good.code == 0 and good.json["good"] is True
    assert {row["check"] for row in good.json["checks"]} >= {"Python", "torch", "memory", "cache", "asset smollm2", "extra test"}
    bad = process("doctor", "--json", ISINGLASS_CACHE=str(tmp_path / "empty"))
    missing = [row for row in bad.json["checks"] if row["state"] == "missing"]
    if not missing:
        pytest.skip("the assets come from installed packages here, not from the cache")
    assert bad.code == 1 and bad.json["good"] is False
    assert all(row["mend"].startswith("isinglass assets get ") for row in missing)


def test_assets_get_says_what_was_here(cli):
    rows = cli("assets", "get", "gpt2-vocab", "gpt2-vocab", "--json").json
    assert [(row["name"], row["state"], Path(row["path"]).name) for row in rows] == [("gpt2-vocab", "was here", "vocab.bpe")]


def test_an_export_is_read_back_and_equal(cli, byte_folder, tmp_path):
    folder = tmp_path / "out" / "copy"
    ran = cli("export", byte_folder, folder, "--json")
    assert {row["file"] for row in ran.json["files"]} >= {"config.json", "model.safetensors", "tokenizer.json", "card.md"}
    assert (folder / "model.safetensors").read_bytes() == (byte_folder / "model.safetensors").read_bytes()
    assert [path.name for path in folder.parent.iterdir()] == ["copy"]


def test_an_export_refuses_a_folder_that_holds_something(cli, byte_folder, tmp_path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    ran = cli("export", byte_folder, tmp_path)
    assert ran.code == 1 and "is not empty" in ran.err and "--overwrite" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    ran = cli("export", byte_folder, tmp_path / "mine.txt")
    assert ran.code == 1 and "is a file, expected a folder" in ran.err


def test_overwriting_replaces_the_model_and_leaves_other_files(cli, byte_folder, tmp_path):
    (tmp_path / "mine.txt").write_text("keep", encoding="utf-8")
    assert cli("export", byte_folder, tmp_path, "--overwrite", "--format", "isinglass").code == 0
    assert cli("export", byte_folder, tmp_path, "--overwrite", "--dtype", "bfloat16").code == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert "config.json" in names and "config.toml" not in names  # or a reader would take the old settings
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "keep"


def test_an_export_that_fails_leaves_nothing(cli, byte_folder, tmp_path):
    ours = tmp_path / "ours"
    assert cli("export", byte_folder, ours, "--format", "isinglass").code == 0
    config = ours / "config.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace('mask = "causal"', 'mask = "causal & sliding_window(8)"'), encoding="utf-8"
    )
    ran = cli("export", ours, tmp_path / "theirs")
    assert ran.code == 1 and "cannot express this model" in ran.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ours"]
