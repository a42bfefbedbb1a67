"""What can be wrong with a recipe, its data or the disk: one clear error with file and line, before the first step where that can be."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import isinglass as ig
from isinglass.cli.main import main
from isinglass.core.errors import ConfigError, IsinglassError, TokenizerError, TrainingError
from isinglass.generation.lm import export
from isinglass.models.fingerprint import fingerprint
from isinglass.training.loop import train
from isinglass.training.run import Run

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom. " * 8
PLAIN = """
model = "tiny(n_layers=1, context_length=64)"
data = "DATA"
[train]
steps = 2
batch_size = 4
context_length = 16
"""
LABELLED = PLAIN.replace("data =", 'objective = "classification"\ndata =')
ASKED = (
    PLAIN.replace("data =", 'objective = "instruction"\ndata =').replace("= 64", "= 512").replace("=64", "=512").replace("= 16", "= 400")
)


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


SPAM = [{"text": f"text {number}", "label": "ab"[number % 2]} for number in range(10)]
TOLD = [{"instruction": f"say {number}", "output": f"{number}!"} for number in range(8)]
CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}
HELD = 'validation = "held.jsonl"\n'

# name: (recipe, file, content, exit code, what the error says)
CASES: dict[str, tuple[str, str, str | bytes, int, list[str]]] = {
    "empty file": (PLAIN, "a.txt", "", 1, ["'a.txt' holds no records", "hint: "]),
    "white space": (PLAIN, "a.txt", " \n\t\n", 1, ["'a.txt' holds no records"]),
    "a heading alone": (LABELLED, "a.csv", "text,label\n", 1, ["'a.csv' holds no records"]),
    "no such file": (PLAIN.replace("DATA", "nowhere.txt"), "a.txt", TEXT, 1, ["unknown source 'nowhere.txt'", "hint: give the path"]),
    "no such file held out": (PLAIN + 'validation = "nowhere.txt"\n', "a.txt", TEXT, 1, ["unknown source 'nowhere.txt'"]),
    "context longer than the corpus": (PLAIN, "a.txt", "short", 1, ["one window needs 17: context_length is longer", "hint: set context_length"]),
    "context longer than what is held out": (PLAIN, "a.txt", "x" * 60, 1, ["validation (the data held out, 1 records): the corpus has 6 tokens"]),
    "context longer than the model's": (PLAIN.replace("= 16", "= 160"), "a.txt", TEXT, 2, ["context_length = 160: the model's is 64", "at most 64"]),
    "one class": (LABELLED, "a.jsonl", lines(*SPAM[::2]), 1, ["have the same 'label': 'a'; expected at least two classes", "a.jsonl:1"]),
    "an unknown label held out": (LABELLED + HELD, "a.jsonl", lines(*SPAM), 1, ["unknown label 'c' in held.jsonl:2, field 'label'", "known: a, b"]),
    "a label that is none": (LABELLED, "a.jsonl", lines(*SPAM, {"text": "t", "label": None}), 1, ["a.jsonl:11: field 'label' is None, expected a label"]),
    "a label that is NaN": (LABELLED, "a.jsonl", lines(*SPAM, {"text": "t", "label": float("nan")}), 1, ["a.jsonl:11: field 'label' is nan"]),
    "a missing field": (LABELLED, "a.jsonl", lines(*SPAM, {"text": "t"}), 1, ["a.jsonl:11: no field 'label'", "it has: text"]),
    "a missing text": (PLAIN, "a.jsonl", lines(*SPAM, {"txt": "t"}), 1, ["a.jsonl:11: no field 'text'"]),
    "an empty text": (LABELLED, "a.jsonl", lines(*SPAM, {"text": "", "label": "a"}), 1, ["a.jsonl:11: the text '' has no token"]),
    "a cell missing": (LABELLED, "a.csv", "text,label\na,b\nc\n", 1, ["a.csv:3: 1 cells, expected 2: text, label"]),
    "a quotation mark that is never closed": (LABELLED, "a.csv", 'text,label\na,b\n"c,d\ne,f\n', 1, ["a.csv:3: broken CSV"]),
    "broken JSON": (PLAIN, "a.jsonl", '{"text": "a"}\n{"text": "b\n', 1, ["a.jsonl:2: broken JSON: Invalid control character at character 12"]),
    "not UTF-8": (PLAIN, "a.txt", b"ab\nna\xefve\n", 1, ["a.txt:2: not UTF-8: byte 0xef at place 3", "iconv"]),
    "one record to be divided": (PLAIN, "a.jsonl", lines({"txt": "t"}), 1, ["a.jsonl:1: one record cannot be learned from and held out", "validation = 0"]),
    "equal records": (PLAIN, "a.jsonl", lines({"text": TEXT}, {"text": TEXT}), 1, ["all 2 records hold the same", "validation = 0"]),
    "no output": (ASKED, "a.jsonl", lines(*TOLD, {"instruction": "x"}), 1, ["a.jsonl:9: no field 'output'"]),
    "two forms": (ASKED, "a.jsonl", lines(*TOLD, CHAT), 1, ["a.jsonl:9: this record holds 'messages', those before hold 'instruction' and 'output'"]),
    "in a template": (ASKED, "a.jsonl", lines(*TOLD, {"instruction": "<|im_start|>user\nhi", "output": "y"}), 1, ["a.jsonl:9: the text of the user begins with '<|im_start|>'"]),
    "a reply in a template": (ASKED, "a.jsonl", lines(*TOLD, {"instruction": "hi", "output": "### Response:\ny"}), 1, ["a.jsonl:9: the text of the assistant begins with '### Response:'"]),
    "an unknown template": (ASKED.replace('"instruction"', "\"instruction(template='alpca')\""), "a.jsonl", lines(*TOLD), 2, ["unknown template 'alpca'", "did you mean 'alpaca'?"]),
    "beyond the context": (ASKED.replace("= 400", "= 40"), "a.jsonl", lines(*TOLD), 1, ["a.jsonl:1: 146 tokens, beyond the context of 40", "too_long='dropped'"]),
    "rank 0": ('adapter = "lora(rank=0)"\n' + PLAIN, "a.txt", TEXT, 2, ["lora: rank = 0, expected at least 1"]),
    "rank 1.5": ('adapter = "lora(rank=1.5)"\n' + PLAIN, "a.txt", TEXT, 2, ["lora: rank = 1.5", "valid integer"]),
    "lr nan": (PLAIN + 'optimizer = "adamw(lr=nan)"\n', "a.txt", TEXT, 2, ["adamw: lr = nan"]),
    "lr below 0": (PLAIN + 'optimizer = "adamw(lr=-1)"\n', "a.txt", TEXT, 2, ["lr = -1.0, expected a number above 0"]),
    "no steps": (PLAIN.replace("steps = 2", "steps = 0"), "a.txt", TEXT, 2, ["recipe.toml:5: train.steps = 0", "greater than 0"]),
    "no batch": (PLAIN.replace("batch_size = 4", "batch_size = 0"), "a.txt", TEXT, 2, ["recipe.toml:6: train.batch_size = 0"]),
    "parts that are not equal": (PLAIN + "accumulation = 3\n", "a.txt", TEXT, 2, ["recipe.toml:4: train: batch_size = 4 does not divide into accumulation = 3"]),
    "steps and epochs": (PLAIN + "epochs = 1\n", "a.txt", TEXT, 2, ["recipe.toml:4: train: steps = 2 beside epochs = 1: give one"]),
    "a share above 1": (PLAIN + "validation = 1.5\n", "a.txt", TEXT, 2, ["recipe.toml:4: train: validation = 1.5"]),
    "an unknown key": (PLAIN + "stepz = 3\n", "a.txt", TEXT, 2, ["recipe.toml:8: unknown key 'train.stepz'", "did you mean 'steps'?"]),
    "an unknown key above": ("modle = 3\n" + PLAIN, "a.txt", TEXT, 2, ["recipe.toml:1: unknown key 'modle'", "did you mean 'model'?"]),
    "an unknown table": (PLAIN + "[trian]\nsteps = 2\n", "a.txt", TEXT, 2, ["recipe.toml:8: unknown key 'trian'", "did you mean 'train'?"]),
    "an unknown option of data": (PLAIN.replace('"DATA"', '{source = "DATA", colums = ["a"]}'), "a.txt", TEXT, 2, ["recipe.toml:3: data: unknown option 'colums'", "did you mean 'columns'?"]),
    "an unknown setting of attention": (PLAIN.replace('"tiny(n_layers=1, context_length=64)"', '{preset = "tiny", attention = {n_kv_head = 1}}'), "a.txt", TEXT, 2, ["recipe.toml:2: model.attention: unknown setting 'n_kv_head'", "did you mean 'n_kv_heads'?"]),
    "no data": (PLAIN.replace("data =", "# data ="), "a.txt", TEXT, 2, ["recipe.toml: data is missing"]),
    "not TOML": (PLAIN + "x = = 2\n", "a.txt", TEXT, 2, ["recipe.toml: not readable as TOML", "line 8"]),
    "a tokenizer for a loaded model": ('tokenizer = "gpt2"\n' + PLAIN.replace('"tiny(n_layers=1, context_length=64)"', '{load = "model"}'), "a.txt", TEXT, 2, ["tokenizer belongs to a fresh model", "the vocabulary its weights were made for"]),
    "a sample without text": (PLAIN + 'samples = ["ok", ""]\n', "a.txt", TEXT, 2, ["train.samples[1] = '': 0 tokens, expected from 1"]),
    "a sample of a classifier": (LABELLED + 'samples = ["ok"]\n', "a.jsonl", lines(*SPAM), 2, ["train.samples: the trained model does not continue a text"]),
    "patience without validation": (PLAIN + "validation = 0\npatience = 2\n", "a.txt", TEXT, 2, ["patience needs a validation set"]),
}  # fmt: skip


def prepared(folder: Path, recipe: str, name: str = "a.txt", content: str | bytes = TEXT) -> None:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (folder / "held.jsonl").write_text(lines(SPAM[0], {"text": "t", "label": "c"}), encoding="utf-8")
    (folder / "recipe.toml").write_text(recipe.replace("DATA", name), encoding="utf-8")


def refused(capfd: pytest.CaptureFixture[str], code: int, fragments: list[str], *more: str) -> None:
    """One error in the house form and nothing on stdout."""
    assert main(["train", "recipe.toml", "--out", "run", *more]) == code
    out, err = capfd.readouterr()
    assert out == "" and sum(line.startswith("error: ") for line in err.splitlines()) == 1 and "Traceback" not in err
    for fragment in fragments:
        assert fragment in err, err


@pytest.mark.parametrize("case", CASES)
def test_refused_before_the_first_step(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe, name, content, code, fragments = CASES[case]
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, recipe, name, content)
    refused(capfd, code, fragments)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "name", "content"),
    [
        (LABELLED + 'validation = "held.jsonl"\n', "a.jsonl", lines(*SPAM, {"text": "t", "label": "c"})),  # a class that is not held out
        (LABELLED, "a.jsonl", lines(*({"text": f"{n}", "label": [0, 1.0, "1", "0.0"][n % 2]} for n in range(10)))),
        (PLAIN + "evaluate_every = 100\n", "a.txt", TEXT),
        (PLAIN.replace("batch_size = 4", "batch_size = 500"), "a.txt", TEXT),
    ],
    ids=["a class that is not held out", "numbers as labels", "evaluated beyond the end", "a batch larger than the corpus"],
)
def test_unusual_and_fine(recipe: str, name: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, recipe, name, content)
    assert main(["train", "recipe.toml", "--out", "run", "--quiet"]) == 0


def test_an_override_is_named_and_the_last_of_two_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, PLAIN)
    refused(capfd, 2, ["--set train.steps=0: train.steps = 0"], "--set", "train.steps=0")
    assert main(["train", "recipe.toml", "--json", "--quiet", "--set", "train.steps=0", "--set", "train.steps=1"]) == 0
    assert json.loads(capfd.readouterr().out)["steps"] == 1


def test_resume_with_nothing_there_says_so_and_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    prepared(tmp_path, PLAIN)
    assert main(["train", "recipe.toml", "--out", "run", "--resume"]) == 0
    assert "no checkpoint in 'run': the run begins at its first step" in capfd.readouterr().err


def test_a_chat_template_of_another_kind(tmp_path: Path) -> None:
    folder = export(ig.create("tiny(context_length=400)"), tmp_path / "model")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<turn>{{ m.content }}{% endfor %}", encoding="utf-8")
    with pytest.raises(TokenizerError, match=r"the model's chat template is of no known kind[\s\S]*hint: name a template"):
        train(ig.load(folder), TOLD, objective="instruction(template='own')", steps=1)


def test_a_vocabulary_larger_than_the_model() -> None:
    from dataclasses import replace

    from isinglass.text.load import tokenizer

    with pytest.raises(ConfigError, match=r"tokenizer 'gpt2' has 50,257 tokens, the model has 256"):
        train(replace(ig.create("tiny"), tokenizer=tokenizer("gpt2")), [TEXT], steps=1, config={"context_length": 16})


# what happens while it runs -------------------------------------------------------------------------------------------

WATCHED = {"context_length": 16, "batch_size": 4, "evaluate_every": 1}


@pytest.mark.parametrize(("rate", "told"), [("1e30", r"the norm of the gradient nan"), ("1e39", r"the validation loss is nan")])
def test_weights_that_diverge_are_never_what_is_kept(tmp_path: Path, rate: str, told: str) -> None:
    with pytest.raises(TrainingError, match=rf"step \d: .*{told}[\s\S]*hint: a lower learning rate") as caught:
        train(ig.create("tiny(n_layers=1)"), [TEXT], steps=4, out=tmp_path, config={**WATCHED, "optimizer": f"adamw(lr={rate})"})
    for path in (tmp_path / "checkpoints").glob("*/state.safetensors"):
        from safetensors.torch import load_file

        assert all(bool(tensor.isfinite().all()) for name, tensor in load_file(path).items() if name.startswith("model."))
    assert "kept: " in str(caught.value) or "no checkpoint was written" in str(caught.value)


def test_the_last_good_checkpoint_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from isinglass.training.objectives.causal_lm import CausalLM

    plain, calls = CausalLM.loss, iter(range(10_000))

    def broken(*given: Any) -> Any:
        loss = plain(*given)
        return type(loss)(loss.total * float("nan"), loss.sums) if next(calls) == 4 else loss

    monkeypatch.setattr(CausalLM, "loss", broken)
    config = {"context_length": 16, "batch_size": 4, "validation": 0, "save_every": 3}
    with pytest.raises(TrainingError, match=r"step 5: the loss is nan[\s\S]*kept: .*step-00000003"):
        train(ig.create("tiny(n_layers=1)"), [TEXT], steps=6, out=tmp_path, config=config)
    monkeypatch.undo()
    train(ig.create("tiny(n_layers=1)"), [TEXT], steps=6, out=tmp_path, config=config, resume=True)
    whole = train(ig.create("tiny(n_layers=1)"), [TEXT], steps=6, config=config)
    assert torch.equal(ig.load(tmp_path).model.embed_tokens.weight, whole.lm.model.embed_tokens.weight)


LIMITED = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from isinglass.core.errors import IsinglassError
from training.test_bad_input import limited
import torch
torch.set_num_threads(1)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
try:
    limited(Path({out!r}), 40)
except IsinglassError as error:
    print(error)
    sys.exit(1)
"""


def limited(out: Path, steps: int) -> Run:
    config = {"context_length": 16, "batch_size": 4, "validation": 0, "save_every": 20, "schedule": "constant(warmup=0)"}
    return train(ig.create("tiny(n_layers=1)", seed=3), [TEXT], steps=steps, out=out, config=config, resume=True)


@pytest.mark.parametrize(("limit", "told"), [(400, "run.toml"), (3000, "File too large"), (100_000, "the checkpoint of step 40")])
def test_no_file_can_grow_any_further(tmp_path: Path, limit: int, told: str) -> None:
    """As on a full disk: the settings, the rows, or the checkpoint do not fit. What was there stays, and the run can go on."""
    limited(tmp_path / "run", 20)
    script = LIMITED.format(tests=str(Path(__file__).parents[1]), limit=limit, out=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=240)
    assert done.returncode == 1 and told in done.stdout and "hint: make room on the disk" in done.stdout, done
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-00000020"]
    resumed, whole = limited(tmp_path / "run", 40), limited(tmp_path / "whole", 40)
    assert torch.equal(resumed.lm.model.embed_tokens.weight, whole.lm.model.embed_tokens.weight)
    assert [row["loss"] for row in resumed.rows] == [row["loss"] for row in whole.rows]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(IsinglassError, match=r"cannot create the folder .*run': .*file' is a file"):
        train(ig.create("tiny"), [TEXT], steps=1, out=tmp_path / "file" / "run", config={"context_length": 16})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(IsinglassError, match=r"cannot write to .*Permission denied\nhint: name another folder"):
        train(ig.create("tiny"), [TEXT], steps=1, out=tmp_path / "run", config={"context_length": 16})


def test_another_model_to_begin_with_is_refused_and_named(tmp_path: Path) -> None:
    """Of an adapter only the adapter is in a checkpoint, so the weights beside it have to be those of before."""
    config = {"context_length": 16, "batch_size": 4}
    options: dict[str, Any] = dict(adapter="lora(rank=2)", steps=2, out=tmp_path, config=config)
    train(ig.create("tiny(n_layers=1)", seed=3), [TEXT], **options)
    train(ig.create("tiny(n_layers=1)", seed=3), [TEXT], resume=True, **options)
    other = ig.create("tiny(n_layers=1)", seed=4)
    with pytest.raises(IsinglassError, match=rf"other settings[\s\S]*weights was '\w+', is '{fingerprint(other.model)}'"):
        train(other, [TEXT], resume=True, **options)


def test_another_teacher_of_the_same_name_is_refused(tmp_path: Path) -> None:
    def distilled(seed: int) -> None:
        export(ig.create("tiny(n_layers=1)", seed=seed), tmp_path / "teacher", format="isinglass")
        objective = f"distillation(teacher={str(tmp_path / 'teacher')!r})"
        student = ig.create("tiny(n_layers=1)", seed=3)
        config = {"context_length": 16, "batch_size": 4}
        train(student, [TEXT], objective=objective, steps=1, out=tmp_path / "run", config=config, resume=True)

    distilled(1)
    distilled(1)
    with pytest.raises(IsinglassError, match=r"other settings[\s\S]*teacher was '\w+', is '\w+'"):
        distilled(2)
