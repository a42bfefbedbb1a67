"""`walk`, `diverge` and `verify class` on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

RIGHT = """
import torch
from torch import nn


class MyAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.q_proj, self.k_proj, self.v_proj, self.o_proj = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, x):
        q, k, v = (f(x).unflatten(-1, (self.n_heads, -1)).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
        scores = scores.masked_fill(torch.ones(x.shape[1], x.shape[1]).triu(1).bool(), float("-inf"))
        return self.o_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
"""


@pytest.fixture
def mine(tmp_path: Path):
    def write(source: str) -> Path:
        path = tmp_path / "written.py"
        path.write_text(source, encoding="utf-8")
        return path

    yield write
    sys.modules.pop("student_written", None)


def test_walk(cli, byte_folder, tmp_path):
    ran = cli("walk", byte_folder, "abc", "--part", "attention", "--values", "2", "--save", tmp_path / "walk.html")
    assert ran.code == 0 and "ention/layer.py:104" in ran.out and "tokens: a│b│c" in ran.out
    assert f"$ isinglass walk {byte_folder} abc --layer 0 --part attention --values 2" in " ".join(ran.out.split())
    assert "nn/attention/layer.py" in (tmp_path / "walk.html").read_text("utf-8")
    found = cli("walk", byte_folder, "abc", "--layer", "1", "--written-out", "--json").json
    assert any("softmax(dim=-1)" in step.get("source", "") for step in found["steps"]) and found["lines_run"] > len(found["steps"])


def test_walk_refuses_what_is_not_there(cli, byte_folder):
    ran = cli("walk", byte_folder, "abc", "--layer", "2")
    assert ran.code == 1 and ran.err == "error: layer 2 does not exist\n  this model has layers 0 to 1\n"
    assert cli("walk", byte_folder, "").code == 1
    assert cli("walk", byte_folder, "abc", "--part", "norm").code == 2


def test_diverge_of_two_of_ours(cli, byte_folder, tmp_path):
    ran = cli("diverge", byte_folder, byte_folder, "abc")
    assert ran.code == 0 and "agree at all" in ran.out
    found = cli("diverge", byte_folder, byte_folder, "abc", "--scores", "--save", tmp_path / "found.csv", "--json").json
    assert found["first"] is None and len((tmp_path / "found.csv").read_text().splitlines()) == len(found["taps"]) + 1


def test_diverge_says_what_belongs_to_classes_alone(cli, byte_folder, tmp_path):
    ran = cli("diverge", byte_folder, byte_folder, "abc", "--map", tmp_path / "map.toml")
    assert ran.code == 2 and "--map was given, but neither" in ran.err
    ran = cli("diverge", "a:B", "c:D", "abc")
    assert ran.code == 2 and "both classes of yours" in ran.err
    assert cli("diverge", "nowhere", byte_folder, "abc").code == 1


def test_verify_class(cli, mine, tmp_path):
    right = cli("verify", "class", f"{mine(RIGHT)}:MyAttention", "--save", tmp_path / "checks.md")
    assert right.code == 0 and "MyAttentionasattention:all9checkspassed" in "".join(right.out.split())  # a long path folds anywhere
    assert "causality" in (tmp_path / "checks.md").read_text("utf-8")
    wrong = cli("verify", "class", f"{mine(RIGHT.replace(' / q.shape[-1] ** 0.5', ''))}:MyAttention", "--json")
    assert wrong.code == 1 and wrong.json["mistakes"] == ["no_scale"] and wrong.json["passed"] is False
    values = next(row for row in wrong.json["checks"] if row["check"] == "values")
    assert values["seen"].startswith("your output equals attention without dividing the scores by sqrt(d_head)")


def test_verify_class_says_errors_in_one_line_and_that_it_executes(cli, mine):
    ran = cli("verify", "class", f"{mine('print(1)' + chr(10) + 'import nothing_here')}:MyAttention", "--json")
    assert ran.code == 1 and ran.out == "" and "Traceback" not in ran.err
    assert "written.py, line 2: ModuleNotFoundError: No module named 'nothing_here'" in ran.err
    assert "and so executed" in " ".join(cli("verify", "class", "--help").out.split())
    assert cli("verify", "class", f"{mine(RIGHT)}:MyAttention", "--as", "attn").code == 2
    assert cli("verify", "class", f"{mine(RIGHT)}:MyAttention", "--args", "n_heads").code == 2


def test_arguments_are_taken(cli, mine):
    found = cli("verify", "class", f"{mine(RIGHT)}:MyAttention", "--as", "attention", "--args", "d_model=24,n_heads=3", "--json").json
    assert found["constructed"] == "MyAttention(d_model=24, n_heads=3)" and json.dumps(found)
