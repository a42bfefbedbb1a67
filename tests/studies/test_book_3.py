"""Assignment 3, run in quick mode: its files, its values, and that the README says what the notebook measured."""

import re
from pathlib import Path

import pytest

import isinglass
from isinglass.report.document import Code, Document
from isinglass.report.execute import execute

SOURCE = Path(isinglass.__file__).parent / "studies" / "book" / "assignment_3.py"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Document, Path]:
    folder = tmp_path_factory.mktemp("book-3")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OMP_NUM_THREADS", "1")
        environment.setenv("PYTHONPATH", str(Path(isinglass.__file__).parents[1]))
        return execute(SOURCE, parameters={"quick": True}, folder=folder, out=folder / "assignment3.ipynb"), folder


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
    assert {"gelu.svg", "roles.svg", "gradients.svg", "parameters.svg", "dropout.svg", "cache.svg", "memory.svg"} <= written
    assert (done[1] / "assignment3.ipynb").is_file()


def test_it_meets_the_books_numbers(readme):
    assert cells(readme, "parameters, output head of its own")[1:] == ["163,009,536", "163,009,536", "yes"]
    assert cells(readme, "parameters, output head tied")[1:] == ["124,412,160", "124,412,160", "yes"]
    # the ids the book prints for a model of seed 123: weights are drawn in the same order, and the forward pass is the same
    assert cells(readme, "greedy ids after “Hello, I am”")[2] == "27018, 24086, 47843, 30961, 42348, 7267"
    assert "is 0.2217 on average with shortcuts and 0.000202 without" in readme


def test_what_is_written_by_hand_is_what_others_have(readme):
    sentence = readme[readme.index("Beside PyTorch") : readme.index("Of 6 numbers")]
    differences = [float(number) for number in re.findall(r"\de[-+]\d+", sentence)]
    assert len(differences) == 5
    assert max(differences) <= 5e-6
    assert "The tokens are the same, and on the same weights the same as `ig.generate`" in readme


def test_its_counts_are_isinglass_counts_and_its_memory_arithmetic(readme):
    for component in ("token embedding", "position embedding", "attention", "feed-forward", "norms"):
        row = cells(readme, component)
        assert row[3] == row[4]  # GPT-2's by hand, Isinglass's
    held, after, predicted = re.search(r"memory: ([\d,]+) bytes after (\d+) tokens; predicted were ([\d,]+)\.", readme).groups()
    assert held == predicted
    assert int(held.replace(",", "")) == 2 * 3 * 64 * 4 * int(after)  # keys and values, 3 layers, d_model 64, 4 bytes


def test_the_report_says_what_the_notebook_measured(done, readme):
    outputs = [output.text for part in done[0].parts if isinstance(part, Code) for output in part.outputs]
    roles = next(text for text in outputs if "After 6 steps" in text)
    for name in ("pre-norm", "post-norm", "without shortcuts", "without attention", "without positions"):
        loss = cells(readme, name)[1]
        assert re.search(rf"{re.escape(name)}\s+{re.escape(loss)}\b", roles)
    spread = [float(line.split("|")[4]) for line in readme.splitlines() if re.match(r"\| 0(\.\d)? \| \d", line)]
    assert len(spread) == 5
    assert spread[0] == 0.0
    assert spread == sorted(spread)  # more dropout, more scatter
