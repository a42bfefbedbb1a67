"""The study of a model's inside: every question of the assignment has two or three paragraphs that cite numbers of the run."""

from __future__ import annotations

import re

import nbformat
import pytest

from isinglass.studies.study import study

QUESTIONS = [  # as the assignment asks them, by what they turn on
    "key components", "vocabulary size", "layer normalization", "out-of-vocabulary", '"The" and "the"', "different contexts", "different "
    "tokenizer",
    "softmax", "temperature affect", "confidence and the correctness", "caching provide", "complexity of attention", "memory trade-offs",
    "sampling methods", "ambiguous or trick", "unusual tokenization", '"understand" language', "internal representations", "next-token "
    "prediction objective",
    "(extensions)",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "internals"
    study("internals", out=out, quick=True)
    return out


@pytest.fixture(scope="module")
def answers(folder):
    """Question -> its paragraphs, from README.md."""
    text = (folder / "README.md").read_text("utf-8").split("## The critical questions")[1].split("## Main tables")[0]
    parts = re.split(r"\n### ", text)[1:]
    return {part.split("\n", 1)[0]: [each for each in part.split("\n", 1)[1].split("\n\n") if each.strip()] for part in parts}


@pytest.fixture(scope="module")
def cells(folder):
    return nbformat.read(folder / "internals.ipynb", 4).cells


def test_every_question_has_two_or_three_paragraphs_with_numbers(answers):
    assert len(answers) == len(QUESTIONS)
    for wanted in QUESTIONS:
        (question,) = [name for name in answers if wanted in name]
        assert 2 <= len(answers[question]) <= 3, question
        assert all(len(paragraph.split()) > 40 for paragraph in answers[question]), question
        assert re.search(r"\d", " ".join(answers[question])), question


def test_the_answers_stand_in_the_notebook_after_their_experiments(answers, cells):
    shown = [
        output.data["text/markdown"] for cell in cells for output in cell.get("outputs", []) if "text/markdown" in output.get("data", {})
    ]
    for question, paragraphs in answers.items():
        assert any(question in text and paragraphs[0][:80] in text for text in shown), question


def test_numbers_are_those_of_the_model(answers):
    text = "\n".join("\n".join(paragraphs) for paragraphs in answers.values())
    assert "134.5M weights" in text and "49,152 tokens, the hidden dimension is 576" in text
    assert "At 0.1 the first token has 1.0000, at 1 0.7725" in text  # of transformers, for the same weights: 0.7725
    assert "46.1 kB for each token" in text  # 2 x 30 layers x 3 heads x 64 numbers x 4 bytes
    assert "The answer is the same token in both cases." in text


def test_sections_and_extensions_are_there(cells):
    titles = [cell.source for cell in cells if cell.cell_type == "markdown"]
    for wanted in (
        "## 1. Architecture",
        "## 2. Tokens",
        "## 3. Probabilities",
        "## 4. Generation",
        "## 5. Behaviour and limits",
        "## Extensions",
    ):
        assert any(title.startswith(wanted) for title in titles), wanted


def test_pictures_and_no_errors(folder, cells):
    assert {path.name for path in (folder / "figures").iterdir()} == {
        "next_tokens.png",
        "normalizations.png",
        "cache.png",
        "lens.png",
        "attention.png",
    }
    assert not [output for cell in cells for output in cell.get("outputs", []) if output.output_type == "error"]
