"""Assignment 5, its three options: each notebook runs in quick mode, writes its files, and its README holds what the run measured."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest

from isinglass.report.document import Code, Document
from isinglass.report.execute import execute
from isinglass.report.parameters import known
from isinglass.report.percent import read

BOOK = Path(__file__).parents[2] / "src" / "isinglass" / "studies" / "book"
FILES = ("classification", "instruction", "lora")
FIGURES = {
    "classification": {"own_loop", "strategies", "accuracy", "loss", "confusion", "imbalance", "four_classes"},
    "instruction": {"trained_tokens", "loss", "masks", "formats", "responses", "dpo"},
    "lora": {"loss", "ranks", "rank_loss", "directions", "efficiency", "memory"},
}
SPAM = Path(__file__).parents[3] / "shared" / "facts" / "data" / "sms_spam.tsv"
INSTRUCTIONS = Path(__file__).parents[3] / "shared" / "facts" / "data" / "instruction-data.json"


def run(name: str, folder: Path, **parameters: object) -> tuple[Document, str]:
    """The notebook that was run, and its README."""
    source = BOOK / f"assignment_5_{name}.py"
    document = execute(source, parameters={"quick": True, **parameters}, out=folder / "run.ipynb", folder=folder)
    return document, (folder / "README.md").read_text("utf-8")


def printed(document: Document) -> str:
    """What all cells printed and showed."""
    return "\n".join(output.text for part in document.parts if isinstance(part, Code) for output in part.outputs)


def number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, f"{pattern!r} is not in the text"
    return float(found[1].replace(",", ""))


def texts_of(file: Path) -> list[str]:
    """The texts of one side of the split."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [row["text"] for row in csv.DictReader(lines)]


def column(text: str, row: str, place: int) -> str:
    """A cell of the Markdown table row that begins with a name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {row} |"))
    return line.split(" | ")[place].strip("| ")


@pytest.mark.parametrize("name", FILES)
def test_parameters(name: str) -> None:
    assert known(read(BOOK / f"assignment_5_{name}.py"), name) == {
        "quick": "False", "data": '"kjv-web"', "model": '"smollm2"', "seed": "0",
    }  # fmt: skip


def test_classification(tmp_path: Path) -> None:
    document, readme = run("classification", tmp_path)
    said = printed(document)
    assert {path.stem for path in (tmp_path / "figures").glob("*.svg")} == FIGURES["classification"]
    assert number(r"beside Isinglass's: (\S+) apart", said) < 1e-5
    assert number(r"gradients (\S+) apart", said) < 1e-6
    assert number(r"beside scikit-learn: (\S+) apart", said) < 1e-12
    assert "the same number as under `last_block`" in readme
    # the split is the book's, and no text is on two sides
    sides = {name: texts_of(tmp_path / "splits" / f"{name}.csv") for name in ("train", "validation", "test")}
    sizes = {name: len(texts) for name, texts in sides.items()}
    assert [round(size / sum(sizes.values()), 2) for size in sizes.values()] == [0.7, 0.1, 0.2]
    assert len({text for texts in sides.values() for text in texts}) == sum(sizes.values())
    # the confusion matrix sums to the test texts, and its diagonal gives the accuracy that the README says
    cells = [[int(column(readme.split("**Confusion matrix**")[1], label, place)) for place in (1, 2)] for label in ("kjv", "web")]
    assert sum(map(sum, cells)) == sizes["test"]
    assert f"{100 * (cells[0][0] + cells[1][1]) / sizes['test']:.1f} % of the test texts" in readme
    assert column(readme, "head", 1) == "130"  # 64 x 2 weights and 2 biases


def test_instruction(tmp_path: Path) -> None:
    document, readme = run("instruction", tmp_path)
    said = printed(document)
    assert {path.stem for path in (tmp_path / "figures").glob("*.svg")} == FIGURES["instruction"]
    assert "the same ids in 12 of 12" in said
    assert "inputs and targets are Isinglass's" in said
    assert number(r"\] (\S+) apart", said) < 1e-5
    assert "Of 5 values that the book prints, 5 are met exactly" in readme
    assert abs(number(r"DPO began at a loss of (\S+)", readme) - math.log(2)) < 1e-4
    learned, total = number(r"; ([\d,]+) of [\d,]+ tokens are learned", said), number(r"of ([\d,]+) tokens are learned", said)
    assert f"Of {total:,.0f} tokens {learned:,.0f} ({learned / total:.0%}) belong to responses" in readme
    before, after = (number(rf"held-out responses: .*?{pattern}", said) for pattern in (r"(\S+) nats", r"before, (\S+) after"))
    assert after < before
    assert f"from {before:.3f} to {after:.3f} nats a token" in readme.replace("\n", " ")


def test_lora(tmp_path: Path) -> None:
    document, readme = run("lora", tmp_path)
    said = printed(document)
    assert {path.stem for path in (tmp_path / "figures").glob("*.svg")} == FIGURES["lora"]
    # two blocks of q, o (64 x 64), k, v (64 x 32), gate, up, down (64 x 176) and the head (64 x 2), each with rank 8
    expected = 8 * (2 * (2 * 128 + 2 * 96 + 3 * 240) + 66)
    assert f"{expected:,} weights written out, {expected:,} in Isinglass, {expected:,} by rank x (d_in + d_out)" in said
    assert number(r"to \S+, (\S+) apart; logits", said) < 1e-6
    assert number(r"logits after five steps (\S+) apart", said) < 1e-5
    assert "before training 0.0e+00 from the base model; frozen weights with a gradient: 0" in said
    last_two = 2 * (2 * 128 + 2 * 96 + 3 * 240)
    for rank in (1, 4):  # the head that is not below an adapter's block is adapted as well
        assert readme.count(f"| rank {rank} |") == 2
        weights = number(rf"\| rank {rank} \| ([\d.]+)k? \|", readme)
        assert weights == pytest.approx(rank * (last_two + 66) / 1000, abs=0.06)
    assert number(r"merged beside adapted, written out \| (\S+) \|", readme) < 1e-4


@pytest.mark.skipif(not SPAM.exists(), reason="the SMS file is not beside the repository")
def test_classification_of_a_file(tmp_path: Path) -> None:
    document, readme = run("classification", tmp_path, data=str(SPAM))
    assert "| as it came | 5,1" in readme
    assert "spam" in printed(document)
    assert len(texts_of(tmp_path / "splits" / "test.csv")) == 16  # of 40 texts of each class


@pytest.mark.skipif(not INSTRUCTIONS.exists(), reason="the instruction file is not beside the repository")
def test_instructions_of_a_file(tmp_path: Path) -> None:
    short = [row for row in json.loads(INSTRUCTIONS.read_text("utf-8")) if len("".join(row.values())) < 100]
    (tmp_path / "mine.json").write_text(json.dumps(short[:60]), encoding="utf-8")
    document, readme = run("instruction", tmp_path, data=str(tmp_path / "mine.json"))
    assert "60 examples; 12 to learn from, 4 held out, 2 to be answered" in printed(document)
    assert "the answer to another question rejected" in readme
    assert "Archaic" not in readme
