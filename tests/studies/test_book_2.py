"""The notebook of assignment 2, with a tiny model in place of SmolLM2: every step of it is compared inside with Isinglass and torch."""

import math
import re

import nbformat
import pytest

from helpers.tensors import randomised
from isinglass.generation.lm import create, export
from isinglass.studies.study import studying

FIGURES = {
    "all-heads", "attention-code", "attention-narrative", "attention-poetry", "attention-without-weights", "heads", "score-size",
    "spread-by-layer", "token-before", "trained-1", "trained-8",
}  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(folder, README, code cells) of one quick run."""
    folder = tmp_path_factory.mktemp("book")
    tiny = create("tiny", tokenizer="gpt2", seed=1)
    randomised(tiny.model)
    export(tiny, folder / "tiny")
    (folder / "text.txt").write_text("The owl called twice, and nobody answered. " * 400, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        events = list(studying("book-2", out=folder / "out", quick=True, data=folder / "text.txt", model=folder / "tiny"))
    cells = nbformat.read(events[-1].path, as_version=4).cells
    return folder / "out", (folder / "out" / "README.md").read_text("utf-8"), [cell for cell in cells if cell.cell_type == "code"]


def rows(readme, title):
    """The cells of the table of that title."""
    table = readme.split(f"**{title}")[1].split("\n\n")[1].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def test_the_folder_has_what_the_assignment_asks_for(ran):
    folder, readme, cells = ran
    assert {path.stem for path in (folder / "figures").iterdir()} == FIGURES
    for question in ("Why causal masking is necessary", "The purpose of multiple heads", "How attention weights reveal the model's focus"):
        assert f"## {question}" in readme
    assert set(re.findall(r"\]\(figures/([^)]+)\.svg\)", readme)) == FIGURES
    assert all(cell.execution_count for cell in cells)


def test_the_book_s_printed_figures_come_out(ran):
    for _, here, book in rows(ran[1], "Chapter 3"):
        assert here == book
    assert "0.2943, 0.3897" in ran[1]  # the book's two heads with seed 123


def test_a_causal_model_cannot_tell_whether_the_future_is_there(ran):
    (causal, seen, unseen), (none, *_) = rows(ran[1], "Loss at the same places")
    assert (causal, none) == ("causal", "none") and seen == unseen


def test_heads_cost_no_parameters_and_shared_keys_save_cache(ran):
    found = rows(ran[1], "12 steps, 1 seed")
    assert [row[:2] for row in found] == [["1", "1"], ["2", "2"], ["4", "4"], ["8", "8"], ["8", "2"], ["8", "1"]]
    assert len({row[3] for row in found[:4]}) == 1
    assert [row[5] for row in found[3:]] == ["1.0 kB", "256 B", "128 B"]  # 2 layers x 2 x kv_heads x 8 x 4 bytes
    losses = [float(row[6]) for row in found]
    told = re.search(r"Its validation loss is ([\d.]+) in place of ([\d.]+)\.", ran[1])
    assert told and [float(told[1]), float(told[2])] == pytest.approx([losses[5], losses[3]], abs=1e-3)
    assert max(losses) < math.log(256)  # better than no idea at all


def test_every_form_of_the_layer_gives_the_same(ran):
    for *_, loop, ours, theirs in rows(ran[1], "Shapes, and the largest difference"):
        assert max(map(float, (loop, ours, theirs))) < 1e-6
