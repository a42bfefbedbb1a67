"""The page Cost: its plan is that of `isinglass price plan`, and the workload, the workbook and the commands it hands over make the same."""

import base64
import io
import json
import re
import shlex
from datetime import date
from decimal import Decimal

import pytest

from isinglass.cli.main import main
from isinglass.core.errors import IsinglassError
from isinglass.economics.savings import family
from isinglass.economics.workload import read_workload
from isinglass.web import files
from isinglass.web.bench import Bench
from isinglass.web.events import Shown
from isinglass.web.verb import request

WORKLOAD = {
    "model": "gpt-4o", "models": ["gpt-4o", "gpt-4o-mini"], "requests": 100_000, "tokens_in": 150, "tokens_out": 200, "variations": 3,
    "wait_seconds": 10, "personal_share": 0.4, "growth": 0.05, "months": 6, "one_off_usd": 2000, "on": "2025-03-01",
    "savings": ["one_request", "response_cache(hit_rate=0.3)", "routing(share=0.6, to='gpt-4o-mini')", "batch"],
    "hardware": {"usd_per_month": 500, "tokens_per_second": 400, "utilisation": 0.3},
}  # fmt: skip
SLOTS = ["plan", "months", "even", "matters", "work", "models"]


def slots(**more):
    given = {"text": "", "model": "smollm2", "workload": {**WORKLOAD, **more.pop("workload", {})}, **more}
    return request("cost", given), {event.slot: event for event in request("cost", given).run(Bench()) if isinstance(event, Shown)}


def test_the_bill_and_the_plan():
    _, found = slots()
    assert list(found) == SLOTS
    plan = found["plan"]
    # 100,000 requests, three times 150 tokens at $2.50 and 200 at $10 a million
    assert plan.data["usd"][0] == pytest.approx(100_000 * 3 * (150 * 2.5 + 200 * 10) / 1e6)
    assert plan.data["reached"] and plan.data["saving"] == pytest.approx(1 - plan.data["usd"][1] / plan.data["usd"][0])
    assert [row["saving"] for row in plan.parts[0].rows][:2] == ["as it is", "one_request"]
    assert len(found["months"].parts[1].rows) == 6
    assert [part.title for part in found["even"].parts] == ["Break-even", "Own machine or provider, a month"]
    assert {row["model"] for row in found["models"].parts[0].rows} == {"gpt-4o", "gpt-4o-mini"}
    assert "gpt-4o" in plan.data["models"] and "groq/mixtral" in plan.data["models"]  # which was sold on that day


def test_without_a_machine_and_without_a_plan_there_is_less_to_show():
    _, found = slots(workload={"hardware": None, "savings": []})
    assert found["even"].parts == () and found["matters"].parts == () and not found["plan"].data["reached"]


def test_command_and_file_make_the_same(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    verb, found = slots(target=0.4, most="low")
    plan = found["plan"]
    (tmp_path / plan.data["file"]).write_text(plan.data["toml"])
    workload = read_workload(plan.data["file"])
    assert workload == verb.workload and workload.on == date(2025, 3, 1) and workload.growth == Decimal("0.05")
    assert main([*shlex.split(verb.command)[1:], "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert float(said["saving"]) == pytest.approx(plan.data["saving"]) and said["break_even"]["break_even_requests"]
    assert [row["saving"] for row in said["steps"]] == [row["saving"] for row in plan.parts[0].rows][1:]
    for part in found["models"].parts:
        assert main([*shlex.split(part.command)[1:], "--json"]) == 0
        lines = json.loads(capsys.readouterr().out)["lines"]
        assert [line["usd"] for line in lines] == [str(row["usd"]) for row in found["models"].parts[0].rows]


def test_python_makes_the_same():
    verb, found = slots(target=0.4, most="low")
    lines, scope = verb.python.splitlines(), {}
    exec("\n".join([*lines[:-1], f"report = {lines[-1]}"]), scope)
    assert float(scope["report"].plan.saving) == pytest.approx(found["plan"].data["saving"])


def test_the_workbook_holds_the_plan(tmp_path, monkeypatch):
    import openpyxl

    monkeypatch.chdir(tmp_path)
    (event,) = request("workbook", {"workload": WORKLOAD, "target": 0.4}).run(Bench())
    book = openpyxl.load_workbook(io.BytesIO(base64.b64decode(event.data["xlsx"])))
    assert {"Assumptions", "Prices", "Traffic", "Plan"} <= set(book.sheetnames) and event.data["name"] == "plan.xlsx"
    cells = [cell.value for row in book["Plan"].iter_rows() for cell in row]
    assert any(str(value).startswith("=") for value in cells)
    verb = request("workbook", {"workload": WORKLOAD, "target": 0.4})
    exec(verb.python, {})
    assert (tmp_path / "plan.xlsx").stat().st_size > 5000


def test_tokens_are_counted_as_the_priced_model_counts_them(capsys):
    given = {"text": "GPT-4 costs $10/M tokens", "model": "smollm2", "priced": "gpt-4o"}
    (event,) = request("count", given).run(Bench())
    assert event.data == {"tokens": 8, "vocabulary": "o200k_base", "exact": True}
    verb = request("count", given)
    assert main([*shlex.split(verb.command)[1:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["tokens"] == 8
    scope, lines = {}, verb.python.splitlines()
    exec("\n".join([*lines[:-1], f"table = {lines[-1]}"]), scope)
    assert scope["table"].rows[0]["tokens"] == 8
    (event,) = request("count", {**given, "priced": "claude-sonnet-5-5"}).run(Bench())
    assert not event.data["exact"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"workload": {"requests": -1}}, "cost.workload.requests = -1"),
        ({"workload": {"tokens_in": 1.5}}, "cost.workload.tokens_in = 1.5"),
        ({"workload": {"personal_share": 2}}, "cost.workload.personal_share = 2"),
        ({"workload": {"on": "yesterday"}}, "cost.workload.on = 'yesterday'"),
        ({"workload": {"requests": 0}}, "costs nothing: there is nothing to save"),
        ({"workload": {"prefix_tokens": 151}}, "the shared prefix has 151 tokens, the whole request 150"),
        ({"workload": {"model": "gpt-4p"}}, "unknown model 'gpt-4p'"),
        ({"workload": {"models": ["gpt-4p"]}}, "unknown model 'gpt-4p'"),
        ({"workload": {"savings": ["./evil.py"]}}, "saving './evil.py': the lab takes names alone"),
        ({"workload": {"savings": ["routing(share=2, to='gpt-4o-mini')"]}}, "routing: share = 2"),
        ({"workload": {"savings": ["routing(share"]}}, "routing(share"),
        ({"target": 1}, "cost.target = 1"),
        ({"most": "some"}, "cost.most = 'some'"),
    ],
)
def test_bad_input_gets_one_clear_error(more, message):
    with pytest.raises(IsinglassError) as caught:
        slots(**more)
    assert message in caught.value.message
    with pytest.raises(IsinglassError, match="there is no text in the bar"):
        list(request("count", {"text": ""}).run(Bench()))


def test_the_page_offers_every_saving():
    page = files.modules()["pages/cost.js"]
    offered = re.search(r"SAVINGS = \[(.*?)\];", page, re.S)[1]
    expressions = re.findall(r'"(.+?)"', offered)
    assert sorted(expression.partition("(")[0] for expression in expressions) == sorted(family.names())
    for expression in expressions:
        family.resolve(expression)
