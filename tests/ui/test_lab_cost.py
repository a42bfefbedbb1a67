"""The page Cost in a real browser: a form whose plan follows, and the files that it hands over."""

import io

import pytest

from isinglass.cli.main import main

pytestmark = pytest.mark.slow


@pytest.fixture
def cost(open_lab, ended):
    def opened(path="/cost", **how):
        tab = open_lab(path, **how)
        ended(tab)
        return tab

    return opened


def bill(tab):
    """What stands in large figures."""
    return tab.locator(".lab-bill dd").all_inner_texts()


def test_a_plan_is_there_at_once(cost):
    tab = cost()
    assert bill(tab)[0] == "$712.50" and bill(tab)[2].endswith("%")
    assert {"Plan: workload", "The bill after each step", "Why", "The bill month by month", "Break-even"} <= set(
        tab.locator("figcaption").all_inner_texts()
    )
    assert tab.locator("ig-figure svg").count() == 5
    assert tab.locator("input[name=priced]").get_attribute("list") == "priced-offers"
    assert "gpt-4o-mini" in tab.locator("#priced-offers option").evaluate_all("all => all.map(one => one.value)")


def test_everything_follows_while_one_types(cost):
    tab = cost()
    field = tab.get_by_role("spinbutton", name="Requests a month")
    field.click()
    field.press("Control+a")
    field.press_sequentially("200000", delay=30)
    tab.locator(".lab-bill dd", has_text="$1,425.00").wait_for()
    assert "requests=200000" in tab.url and field.evaluate("one => one === document.activeElement")
    for box in tab.locator(".lab-savings input[type=checkbox]").all():
        box.uncheck()
    tab.locator(".lab-bill dt", has_text="NOT reached").wait_for()
    assert "savings=" in tab.url
    tab.get_by_label("response_cache", exact=True).check()
    numbers = tab.get_by_label("Numbers of response_cache")
    numbers.fill("response_cache(hit_rate=0.5)")
    numbers.press("Enter")
    tab.locator("[data-slot=plan] td", has_text="50% of the requests were answered before").or_(
        tab.locator("[data-slot=plan] td", has_text="taken")
    ).first.wait_for()
    tab.reload()
    tab.locator("lab-view[data-state=done]").wait_for()
    assert tab.get_by_label("Numbers of response_cache").input_value() == "response_cache(hit_rate=0.5)"
    assert not tab.get_by_label("batch", exact=True).is_checked()


def test_a_wrong_number_leaves_the_last_result(cost):
    tab = cost()
    tab.locator("summary", has_text="What the savings depend on").click()
    tab.get_by_label("Shared prefix (tokens)").fill("999")
    tab.locator(".lab-failed", has_text="the shared prefix has 999 tokens, the whole request 150").wait_for()
    assert bill(tab)[0] == "$712.50"
    tab.get_by_label("Shared prefix (tokens)").fill("-1")  # refused by the field itself
    tab.wait_for_timeout(500)
    assert "prefix_tokens=999" in tab.url


def test_the_bars_text_is_counted_at_a_click(cost):
    tab = cost("/cost?text=GPT-4+costs+%2410%2FM+tokens")
    tab.get_by_role("button", name="Count the bar’s text").click()
    tab.get_by_text("counted by o200k_base").wait_for()
    assert tab.get_by_label("Tokens in").input_value() == "8"
    tab.locator(".lab-bill dd", has_text="$606.00").wait_for()
    assert "tokens_in=8" in tab.url


def test_files_and_command(cost, tmp_path, monkeypatch, capsys):
    import openpyxl

    tab = cost("/cost?target=30&growth=0&machine=0")
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="Plan as a workbook (XLSX)").click()
    assert waiting.value.suggested_filename == "plan.xlsx"
    book = openpyxl.load_workbook(io.BytesIO(waiting.value.path().read_bytes()))
    assert "Plan" in book.sheetnames
    with tab.expect_download() as waiting:
        tab.get_by_role("button", name="workload.toml").click()
    (tmp_path / "workload.toml").write_bytes(waiting.value.path().read_bytes())
    tab.get_by_role("button", name="Copy as command").click()
    tab.get_by_text("Copied").wait_for()
    monkeypatch.chdir(tmp_path)
    assert tab.evaluate("navigator.clipboard.readText()") == "isinglass price plan workload.toml --target 0.3"
    assert main(["price", "plan", "workload.toml", "--target", "0.3"]) == 0
    assert bill(tab)[0] in capsys.readouterr().out
    assert "Break-even" not in tab.locator("figcaption").all_inner_texts()


def test_nothing_is_wider_than_a_phone(cost):
    tab = cost(width=390)
    for name in ("What the savings depend on", "Months", "A machine of one’s own"):
        tab.locator("summary", has_text=name).click()
    tab.wait_for_timeout(100)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
