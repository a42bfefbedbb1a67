"""The notebook of assignment 1 on a small text: its cells compare our own tokenizers with Isinglass and tiktoken, so they must run."""

import re
from pathlib import Path

import nbformat
import pytest

from isinglass.studies.study import studying

FACTS = Path(__file__).parents[2].parent / "shared" / "facts" / "data"
VERSE = "In the beginning was the word, and the word was with {}; and the same was in the beginning with {}.\n"
NAMES = ("water", "wind", "stone", "fire", "salt", "rain", "snow", "iron", "glass", "wood")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """(folder, README, cells) of one quick run on a text of 40 verses."""
    folder = tmp_path_factory.mktemp("book")
    verses = [VERSE.format(one, two) for one in NAMES for two in NAMES[:4]]
    (folder / "text.txt").write_text("".join(verses), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        events = list(studying("book-1", out=folder / "out", quick=True, data=folder / "text.txt", seed=1))
    cells = nbformat.read(events[-1].path, as_version=4).cells
    return folder / "out", (folder / "out" / "README.md").read_text("utf-8"), [cell for cell in cells if cell.cell_type == "code"], verses


def printed(cells, start):
    """What the cell with a line that begins with `start` printed."""
    cell = next(cell for cell in cells if f"\n{start}" in f"\n{cell.source}")
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_folder_has_what_the_assignment_asks_for(ran):
    folder, readme, cells, _ = ran
    assert sorted(path.name for path in (folder / "figures").iterdir()) == ["characters-per-token.svg", "frequencies.svg", "tokens.svg"]
    for question in ("How BPE differs", "Why sliding windows", "Challenges with batching", "Token frequencies"):
        assert f"## {question}" in readme
    for link in re.findall(r"\]\((figures/[^)]+)\)", readme):
        assert (folder / link).is_file()
    assert all(cell.execution_count for cell in cells)


def test_figures_of_the_readme_are_those_of_the_text(ran):
    _, readme, _, verses = ran
    text = "".join(verses)
    held_out = text[len(text) * 9 // 10 :]
    assert f"{len(text):,} characters, of which the last {len(held_out):,}" in " ".join(readme.split())
    row = next(line for line in readme.splitlines() if line.startswith("| characters |"))
    characters = len(set(text[: len(text) * 9 // 10])) + 1
    assert [cell.strip() for cell in row.split("|")[2:5]] == [str(characters), str(len(held_out)), "1"]


def test_ids_equal_those_of_the_oracle(ran):
    tiktoken = pytest.importorskip("tiktoken")
    from isinglass.text.load import tokenizer
    from isinglass.text.patterns import GPT2

    _, readme, cells, verses = ran
    gpt2 = tokenizer("gpt2")
    ranks = {gpt2.token_bytes(number): number for number in range(50_256)}
    oracle = tiktoken.Encoding("gpt2", pat_str=GPT2, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50_256})
    count = len(oracle.encode_ordinary("".join(verses)))
    assert f"({count:,} tokens)" in readme and "Isinglass and tiktoken" in readme
    assert printed(cells, "class BytePairTokenizer").startswith("[15496, 11, 995, 0] [505, 50256, 11545] [")


def test_padding_is_less_when_texts_of_like_length_share_a_batch(ran):
    _, _, cells, _ = ran
    chance, alike = map(int, re.findall(r"(\d+)%", printed(cells, "def collate")))
    assert 0 <= alike <= chance < 100


def test_the_book_s_own_text_has_the_book_s_figures(tmp_path, monkeypatch):
    text = FACTS / "the-verdict.txt"
    if not text.is_file():
        pytest.skip(f"{text.name} is the user's own file and is not beside the repository")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    list(studying("book-1", out=tmp_path, quick=True, data=text))
    readme = (tmp_path / "README.md").read_text("utf-8")
    for row in ("| word tokens | 4,690 | 4,690 |", "| different words | 1,130 | 1,130 |", "| GPT-2 tokens | 5,145 | 5,145 |"):
        assert row in readme
