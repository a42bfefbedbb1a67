"""Plans: what a workload can save, in which order and why not; and the same figures in the workbook, recalculated by another program."""

from __future__ import annotations

import io
import warnings
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isinglass.core.errors import ConfigError, PriceError, VariantError
from isinglass.economics.break_even import break_even
from isinglass.economics.plan import applied, plan
from isinglass.economics.price_list import prices
from isinglass.economics.projection import Projection
from isinglass.economics.quote import day
from isinglass.economics.report import PlanReport
from isinglass.economics.saving import Risk
from isinglass.economics.savings import family
from isinglass.economics.sensitivity import sensitivity
from isinglass.economics.traffic import total
from isinglass.economics.workload import Hardware, Situation, Workload, read_workload

CHATBOT = Path(__file__).parents[2] / "examples" / "workloads" / "support_chatbot.toml"
ASKED = dict(model="gpt-4o", requests=100_000, tokens_in=150, tokens_out=200, variations=3, wait_seconds=10)


def workload(*savings, **changed):
    return Workload(**{**ASKED, "savings": savings, **changed})


def after(*savings, **changed):
    """Dollars a month after savings, one after the other."""
    asked = workload(*savings, **changed)
    situation = Situation(asked, prices(), day(asked.on))
    parts = (situation.traffic(),)
    for text in savings:
        parts = applied(family.resolve(text), parts, situation)
    return total(parts)


def test_the_chatbot_of_the_assignment():
    """Cache 30 %, then 70 % of the rest to the small model: the arithmetic of the facts file."""
    assert after() == Decimal("712.50")
    assert after("response_cache(0.3)", "routing(0.7, 'gpt-4o-mini')") == Decimal("170.5725")
    assert after("one_request") == Decimal("637.50")
    assert after("smaller_model('gpt-4o-mini')") == Decimal("42.75")
    assert after("prompt_compression(0.5)") == Decimal("712.50") - Decimal("56.25")  # half of the prompts' 112.50


def test_the_plan_reaches_half_and_says_why_not_the_others():
    found = plan(read_workload(CHATBOT), target=0.5)
    assert found.is_reached and found.saving >= Decimal("0.5")
    decisions = {step.name: (step.decision, step.why) for step in found.steps}
    assert decisions["one_request"][0] == decisions["routing"][0] == "taken"
    assert decisions["response_cache"][0] == decisions["shorter_answers"][0] == "not needed"
    assert decisions["batch"] == (
        "does not apply", "a batch may take 24 hours, and an answer here may take 10.0 s: somebody is waiting for it",
    )  # fmt: skip
    assert decisions["prefix_cache"] == ("does not apply", "the whole prompt has 150 tokens, and gpt-4o caches prefixes from 1,024 on")
    assert decisions["smaller_model"][0] == "too risky" and decisions["prompt_compression"][0] == "too small"
    text = str(found)
    assert "50% was the target" in text and "How it is done" in text and "month" in text


def test_less_risk_comes_first_and_the_plan_stops_at_its_target():
    savings = ("smaller_model('gpt-4o-mini')", "routing(0.5, 'gpt-4o-mini', wrong=0.01)", "response_cache(0.2)", "one_request")
    found = plan(workload(*savings), target=0.1)
    assert [step.expression for step in found.taken] == ["one_request"]
    assert {step.decision for step in found.steps[1:]} == {"not needed", "too risky"}
    risky = plan(workload(*savings), target=0.9, most=Risk.HIGH)
    assert [step.saving.risk for step in risky.taken] == sorted(step.saving.risk for step in risky.taken)
    assert risky.is_reached


def test_a_target_that_is_out_of_reach_is_told():
    found = plan(workload("one_request"), target=0.5)
    assert not found.is_reached and "NOT reached: 10.5%" in found.table.notes[0]


@pytest.mark.parametrize(
    ("saving", "changed", "applies", "why"),
    [
        ("response_cache(0.7)", {"personal_share": "0.5"}, False, "only 50% of the answers are the same for everybody"),
        ("one_request", {"variations": 1}, False, "the prompt is billed once already"),
        ("one_request", {"model": "groq/gpt-oss-120b"}, False, "groq gives 1 answer to a request"),
        ("batch", {"wait_seconds": None}, True, "nobody waits"),
        ("batch", {"wait_seconds": 90_000}, True, "nobody waits"),
        ("batch", {"wait_seconds": None, "model": "gemini-3.8-flash"}, False, "no batch price of gemini-3.8-flash is known"),
        ("prefix_cache", {"tokens_in": 3000, "prefix_tokens": 2000}, True, "1,920 of 3,000 tokens"),
        ("prefix_cache", {"tokens_in": 3000, "prefix_tokens": 1000}, False, "the shared prefix has 1,000 tokens"),
        ("prefix_cache", {"tokens_in": 3000}, False, "no part of the prompt is the same"),
        ("prefix_cache", {"model": "gpt-4o-2024-05-13", "prefix_tokens": 100}, False, "no price of cached input is known"),
        ("routing(0.5, 'gpt-4o')", {"model": "gpt-4o-mini"}, False, "gpt-4o is not cheaper than gpt-4o-mini"),
        ("fewer_variations", {}, False, "wants 3 answers to every request"),
        ("fewer_variations", {"variations_share": "0.1"}, True, "10% of the requests need 3 answers"),
        ("fewer_variations", {"variations": 1}, False, "there is one answer already"),
        ("shorter_answers(0.5)", {}, True, "the output is 84.2% of the bill"),
    ],
)
def test_where_a_saving_applies(saving, changed, applies, why):
    asked = workload(**changed)
    situation = Situation(asked, prices(), day(None))
    told = family.resolve(saving).verdict(situation.traffic(), situation)
    assert told.applies is applies and why in told.why


def test_what_is_cached_and_batched_costs_the_providers_rates():
    changed = {"tokens_in": 3000, "prefix_tokens": 2000, "variations": 1}
    assert after("prefix_cache", **changed) == 100_000 * (Decimal("1080") * Decimal("2.5") + 1920 * Decimal("1.25") + 2000) / 1_000_000
    assert after("batch", wait_seconds=None) == after() / 2
    assert after("fewer_variations", variations_share="0.1") == after() / 10 + after(variations=1) * Decimal("0.9")


@settings(max_examples=40, deadline=None)
@given(st.permutations(["one_request", "response_cache(0.25)", "shorter_answers(0.75)", "prompt_compression(0.5)"]))
def test_savings_that_multiply_commute(order):
    assert after(*order) == Decimal("100000") * Decimal("0.75") * (75 * Decimal("2.5") + 3 * 150 * Decimal(10)) / 1_000_000


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: plan(workload("cache")), VariantError, "unknown saving 'cache' in savings"),
        (lambda: plan(workload("routing(1.5, 'gpt-4o-mini')")), VariantError, "routing: share = 1.5, expected 0 to 1"),
        (lambda: plan(workload("routing(0.5, 'gpt-9')")), PriceError, "unknown model 'gpt-9'"),
        (lambda: plan(workload(), target=50), ConfigError, "target = 50, expected between 0 and 1"),
        (lambda: plan(workload(requests=0)), ConfigError, "costs nothing"),
        (lambda: sensitivity(plan(workload("one_request"), target=0.1), by=2), ConfigError, "by = 2"),
        (lambda: break_even([], Hardware(usd_per_month=1), requests=1), ConfigError, "tokens_per_second is missing"),
    ],
)
def test_what_cannot_be_is_told(make, error, message):
    with pytest.raises(error) as fault:
        make()
    assert message in str(fault.value)


def test_a_faulty_workload_is_told_with_its_line(tmp_path):
    file = tmp_path / "workload.toml"
    file.write_text('model = "gpt-4o"\nrequests = -5\ntokens_in = 1\ntokens_out = 1\n')
    with pytest.raises(ConfigError) as fault:
        read_workload(file)
    assert f"{file}:2: requests = -5" in str(fault.value)
    file.write_text('model = "gpt-4o"\nrequests = 5\ntokens_in = 1\ntokens_out = 1\nprefix_tokens = 2\n')
    with pytest.raises(ConfigError, match=r":5: prefix_tokens = 2, expected at most tokens_in = 1"):
        read_workload(file)


def test_months_grow_and_the_work_is_paid_back():
    asked = workload(growth="0.1", months=3, one_off_usd=150)
    found = Projection.of(asked, Decimal(100), Decimal(40))
    assert found.before == (100, 110, 121) and found.after == (40, 44, Decimal("48.4"))
    assert found.saved == (-90, -24, Decimal("48.6")) and found.paid_back == 3
    assert "paid back in month 3" in found.table.notes[0]


def test_break_even_is_where_one_machine_costs_what_the_provider_takes():
    asked = workload()
    parts = [Situation(asked, prices(), day(None)).traffic()]
    machine = Hardware(usd_per_month=500, tokens_per_second=400, utilisation="0.3", watts=1000, usd_per_kwh="0.10")
    found = break_even(parts, machine, requests=asked.requests)
    assert found.machine_usd == 500 + 730 * Decimal("0.10")
    assert found.at is not None and found.api_usd(found.at) >= found.own_usd(found.at) > found.api_usd(found.at - 1)
    assert found.capacity == 400 * Decimal("0.3") * 2_628_000 / 600 and found.machines(int(found.capacity) + 1) == 2
    slow = break_even(parts, machine.model_copy(update={"tokens_per_second": Decimal(1)}), requests=asked.requests)
    assert slow.at is None and "there is no break-even" in slow.table.notes[0]


def test_sensitivity_moves_one_number_at_a_time():
    found = sensitivity(plan(workload("response_cache(0.3)", "routing(0.7, 'gpt-4o-mini')"), target=0.5), by=0.1)
    by_name = {one.name: one for one in found.moved}
    assert by_name["response_cache: hit_rate"].saving_low == 1 - after("response_cache(0.27)", "routing(0.7, 'gpt-4o-mini')") / after()
    assert [one.swing for one in found.moved] == sorted((one.swing for one in found.moved), reverse=True)


def recalculated(content: bytes, tmp_path: Path, **inputs):
    """Cell -> value of a workbook, by an evaluator that is not ours and ignores the stored values."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    for name, value in inputs.items():
        sheet, place = next(iter(book.defined_names[name].destinations))
        book[sheet][place.replace("$", "")] = value
    file = tmp_path / "book.xlsx"
    book.save(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the evaluator's own dependencies
        import formulas

        solved = formulas.ExcelModel().loads(str(file)).finish().calculate()
    found = {}
    for key, cell in solved.items():
        sheet, _, place = str(key).rpartition("!")
        if ":" not in place and "]" in sheet:
            found[sheet.rpartition("]")[2].strip("'").lower(), place] = cell.value[0, 0]
    return found


def test_the_workbook_recalculates_to_the_same_figures(tmp_path):
    report = PlanReport.of(plan(read_workload(CHATBOT), target=0.75))
    content = report.workbook.to_xlsx()
    stored, solved = openpyxl.load_workbook(io.BytesIO(content), data_only=True), recalculated(content, tmp_path)
    live = openpyxl.load_workbook(io.BytesIO(content))
    checked = 0
    for sheet in live:
        for row in sheet.iter_rows():
            for cell in row:
                if isinstance(cell.value, str) and cell.value.startswith("="):
                    value, expected = solved[sheet.title.lower(), cell.coordinate], stored[sheet.title][cell.coordinate].value
                    assert value == (pytest.approx(expected, rel=1e-9, abs=1e-9) if isinstance(expected, int | float) else expected), cell
                    checked += 1
    assert checked > 150
    assert solved["models", "E2"] == pytest.approx(712.5) and solved["models", "C4"] == pytest.approx(56.25)


def test_a_changed_input_changes_every_sheet_as_a_new_plan_would(tmp_path):
    asked = read_workload(CHATBOT)
    content = PlanReport.of(first := plan(asked, target=0.75)).workbook.to_xlsx()
    solved = recalculated(content, tmp_path, requests=250_000, tokens_out=300, routing_share=0.4)
    savings = tuple(text.replace("share=0.6", "share=0.4") for text in asked.savings)
    again = plan(asked.model_copy(update={"requests": 250_000, "tokens_out": 300, "savings": savings}), target=0.65)
    assert [step.saving.__class__ for step in again.taken] == [step.saving.__class__ for step in first.taken]
    last = len(again.taken) + 2
    assert solved["plan", f"C{last}"] == pytest.approx(float(total(again.after)))
    assert solved["projection", "E13"] == pytest.approx(float(again.projection.saved[-1]))
