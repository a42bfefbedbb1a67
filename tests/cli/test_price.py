"""`isinglass price`: what it prints, saves and refuses."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from isinglass.cli import price, price_breakeven, price_cache, price_compress, price_list, price_plan, price_route, price_text

ROOT = Path(__file__).parents[2]
CHATBOT = str(ROOT / "examples" / "workloads" / "support_chatbot.toml")
VERBS = (price, price_list, price_text, price_plan, price_breakeven, price_cache, price_route, price_compress)
EXAMPLES = [example for verb in VERBS for example in verb.EXAMPLES if "minilm" not in example]


@pytest.mark.parametrize("example", dict.fromkeys(EXAMPLES))
def test_every_example_runs(cli, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("questions.txt", "prompts.txt"):
        (tmp_path / name).write_text("When are you open?\nwhen are you open\nWhere is my order?\n", encoding="utf-8")
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "README.md").write_text("A text of words.\n", encoding="utf-8")
    ran = cli(*shlex.split(example)[1:], "--quiet")
    assert ran.code == 0 and ran.out.strip() and ran.err == ""


def test_json_is_exact(cli):
    found = cli("price", "gpt-4o,groq/llama-70b", "--in", "1500", "--out", "1000", "--on", "2025-03-01", "--json").json
    assert [line["usd_per_request"] for line in found["lines"]] == ["0.01375", "0.001675"]


def test_the_command_that_is_shown_runs_again(cli):
    given = ("price", "gpt-4o", "--requests", "10", "--in", "2000", "--out", "5", "--variations", "2", "--cached-share", "0.6", "--batch")
    first = cli(*given, "--json").json
    shown = cli(*given).out.split("$ isinglass ")[1].splitlines()
    command = " ".join(line.strip() for line in shown[: next(i for i, line in enumerate(shown) if not line.strip())])
    assert cli(*shlex.split(command), "--json").json == first


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["gpt-4o", "--in", "-3", "--out", "1"], 2, "--in = '-3': expected at least 0"),
        (["groq/mixtral", "--in", "1", "--out", "1"], 1, "was retired on 2025-03-20"),
        (["gpt4o", "--in", "1", "--out", "1"], 1, "did you mean 'gpt-4o'"),
        (["gpt-4o", "--in", "1", "--out", "1", "--prices", "none.toml"], 2, "no file 'none.toml'"),
        (["text", "--with", "gpt-4o"], 2, "no text was given"),
    ],
)
def test_what_is_refused(cli, arguments, code, told):
    ran = cli("price", *arguments)
    assert ran.code == code and told in ran.err and "Traceback" not in ran.err


def test_a_plan_with_its_workbook(cli, tmp_path):
    book = tmp_path / "plan.xlsx"
    ran = cli("price", "plan", CHATBOT, "--target", "50%", "--save", str(book))
    assert "was the target" in ran.out and "nobody has compared" in " ".join(ran.out.split()) and book.read_bytes()[:2] == b"PK"
    found = cli("price", "plan", CHATBOT, "--target", "0.5", "--json").json
    assert found["reached"] is True and found["usd_before"] == "712.5" and found["sensitivity"]["numbers"]


def test_break_even(cli):
    found = cli("price", "breakeven", CHATBOT, "--json").json
    assert found["break_even_requests"] == 70176 and found["usd_per_request"] == "0.007125"
    after = cli("price", "breakeven", CHATBOT, "--after", "--json").json
    assert float(after["usd_per_request"]) < float(found["usd_per_request"]) / 2


def test_a_workload_without_a_machine(cli, tmp_path):
    (tmp_path / "bare.toml").write_text('model = "gpt-4o"\nrequests = 5\ntokens_in = 1\ntokens_out = 1\n')
    ran = cli("price", "breakeven", str(tmp_path / "bare.toml"))
    assert ran.code == 2 and "no table [hardware]" in "".join(ran.err.split("\n"))
