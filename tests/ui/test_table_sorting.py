"""Tables on a page are sorted by their headings, with the mouse or the keyboard."""

import shutil

import pytest

from isinglass.show.marks.heatmap import heatmap
from isinglass.show.page import Section, page
from isinglass.show.table import Table

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
ROWS = [{"head": "b", "read_bytes": 20_000}, {"head": "a", "read_bytes": None}, {"head": "c", "read_bytes": 3_000_000}]


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    from playwright.sync_api import sync_playwright

    file = tmp_path_factory.mktemp("sorting") / "page.html"
    long = heatmap([[0.0] * 201], title="Long", rows=["x"], columns=list(map(str, range(201))), row_axis="r", column_axis="c", value="v")
    file.write_text(page("Tables", [Section("One", items=[Table(ROWS, title="Heads")]), Section("Two", items=[long])]), "utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        tab = browser.new_page()
        faults = []
        tab.on("pageerror", lambda fault: faults.append(fault))
        tab.goto(file.as_uri())
        tab.wait_for_selector("th button")
        yield tab
        browser.close()
        assert not faults


def order(tab):
    return tab.locator("#s-one-1 tbody td:first-child").all_inner_texts()


def test_headings_sort_by_raw_values(opened):
    opened.get_by_role("button", name="read").click()
    assert order(opened) == ["c", "b", "a"]  # 3.0 MB before 20 kB; what is missing is last
    opened.get_by_role("button", name="read").focus()
    opened.keyboard.press("Enter")
    assert order(opened) == ["b", "c", "a"]
    opened.keyboard.press("Shift+Tab")
    opened.keyboard.press("Space")
    assert order(opened) == ["a", "b", "c"]
    assert [heading.get_attribute("aria-sort") for heading in opened.locator("#s-one-1 th").all()] == ["ascending", None]


def test_the_first_rows_of_a_long_table_are_not_sorted_as_if_they_were_all(opened):
    assert opened.locator("#s-two-1 table").count() == 1
    assert opened.locator("#s-two-1 th button").count() == 0
