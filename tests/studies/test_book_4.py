"""Assignment 4, run in quick mode with a GPT-2 of random weights: its files, its values, and that the README says what was measured."""

import math
import re
from pathlib import Path

import pytest
import torch

import isinglass
import isinglass as ig
from isinglass.data.sources import read
from isinglass.report.document import Code, Document
from isinglass.report.execute import execute

SOURCE = Path(isinglass.__file__).parent / "studies" / "book" / "assignment_4.py"


@pytest.fixture(scope="module")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder as GPT-2's is, of another library's making."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "little-gpt2"
    GPT2LMHeadModel(GPT2Config(n_layer=2, n_embd=32, n_head=2, n_positions=64)).save_pretrained(folder)
    ig.tokenizer("gpt2").save(folder)
    return folder


@pytest.fixture(scope="module")
def done(gpt2_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, Path]:
    folder = tmp_path_factory.mktemp("book-4")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        environment.setenv("PYTHONPATH", str(Path(isinglass.__file__).parents[1]))
        parameters = {"quick": True, "model": str(gpt2_folder)}
        return execute(SOURCE, parameters=parameters, folder=folder, out=folder / "assignment4.ipynb"), folder


@pytest.fixture(scope="module")
def readme(done: tuple[Document, Path]) -> str:
    return (done[1] / "README.md").read_text("utf-8")


def cells(text: str, first: str) -> list[str]:
    """The cells of the first row of a pipe table that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_every_figure_it_shows_was_written(done, readme):
    shown = set(re.findall(r"\]\(figures/([\w-]+\.svg)\)", readme))
    written = {path.name for path in (done[1] / "figures").iterdir()}
    assert shown <= written
    assert {"loops.svg", "training.svg", "early_stopping.svg", "temperatures.svg", "schedules.svg", "datasets.svg"} <= written
    assert (done[1] / "assignment4.ipynb").is_file()


def test_the_loop_by_hand_is_isinglass_loop(readme):
    (difference,) = re.findall(r"give losses that differ by at most (\de[-+]\d+) nats", readme)
    assert float(difference) <= 1e-5
    assert "ended with the same weights, bit for bit; the model loaded from disk gives the same logits" in readme
    (first,) = re.findall(r"Before training the held-out loss is ([\d.]+) nats", readme)
    assert float(first) == pytest.approx(math.log(400), abs=0.05)
    assert float(cells(readme, "12")[2]) < float(first)  # it learns


def test_the_report_says_what_the_run_recorded(done, readme):
    assert ig.load(done[1] / "run").config.d_model == 32
    lines = (done[1] / "run" / "metrics.csv").read_text("utf-8").splitlines()
    last = dict(zip(lines[0].split(","), lines[-1].split(","), strict=True))
    assert len(lines) == 1 + 12
    assert f"to {float(last['validation_loss']):.3f} (perplexity" in readme
    samples = (done[1] / "run" / "samples.md").read_text("utf-8")
    assert samples.count("**And God said**") == 2
    printed = "".join(output.text for part in done[0].parts if isinstance(part, Code) for output in part.outputs)
    assert f"step 12: {float(last['validation_loss']):.3f} nats per token" in printed


def test_bits_per_byte_of_the_given_gpt2_are_those_of_transformers(gpt2_folder, readme):
    from transformers import GPT2LMHeadModel

    text = "\n".join(record.text for record in read("kjv"))[:60_000]
    held = text[int(len(text) * 0.9) :][:400]
    tokenizer = ig.tokenizer("gpt2")
    ids = tokenizer.encode(held)
    theirs, nats = GPT2LMHeadModel.from_pretrained(gpt2_folder).eval(), 0.0
    with torch.no_grad():
        for at in range(0, len(ids) - 1, 64):
            row = torch.tensor([ids[at : at + 65]])
            logits = theirs(row[:, :-1]).logits
            nats += float(torch.nn.functional.cross_entropy(logits[0], row[0, 1:], reduction="sum"))
    n_bytes = len(held.encode()) - len(tokenizer.decode(ids[:1]).encode())
    assert float(cells(readme, "little-gpt2")[-1]) == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-3)
    (difference,) = re.findall(r"by hand and by Isinglass they give logits that differ by at most (\de[-+]\d+)", readme)
    assert float(difference) <= 1e-6


def test_accumulation_changes_no_gradient(readme):
    (relative,) = re.findall(r"gradient differs by a relative (\de[-+]\d+)", readme)
    assert float(relative) <= 1e-6
    assert [float(cells(readme, parts)[2]) for parts in ("1", "2", "4")] == pytest.approx([float(cells(readme, "1")[2])] * 3, abs=1e-3)
