"""Intervene in a real browser, with mouse and keyboard."""

import re
from urllib.parse import quote

import pytest

import isinglass as ig
from helpers.lab import tiny_folder
from isinglass.inspection.patching import patch

pytestmark = pytest.mark.slow
PATCH = "/intervene?text=abcd&corrupted=abxd&answer=z"
EVIL = "</script><img src=x onerror=window.broken=1>"


def test_the_patch_map_fills_in_and_says_its_cells_by_keyboard(open_lab, lab_folder):
    tab = open_lab(PATCH)
    effects = patch(ig.load(lab_folder), "abcd", "abxd", answer="z").effects
    grid = tab.get_by_role("application", name=re.compile("2 layers and 4 positions"))
    grid.focus()
    for key in ("PageUp", "ArrowLeft"):
        tab.keyboard.press(key)
    said = tab.locator(".lab-readout").inner_text()
    assert said.startswith("layer 0, position 2 ≠x: effect ") and said.endswith(", exact")
    assert float(said.split("effect ")[1].split(",")[0]) == pytest.approx(float(effects[0, 2]), rel=1e-4)
    assert tab.locator("lab-inspector dd").first.inner_text() in said
    tab.get_by_text("exact: 8 of 8 cells").wait_for()
    assert tab.locator("[data-slot=result] ig-figure").count() == 2


def test_the_map_has_a_table_twin(open_lab, lab_folder):
    tab = open_lab(PATCH)
    tab.locator("lab-patch-map summary").press("Enter")
    tab.locator("lab-patch-map td").first.wait_for()
    shown = tab.locator("lab-patch-map td").all_inner_texts()
    effects = patch(ig.load(lab_folder), "abcd", "abxd", answer="z").effects.flatten().tolist()
    assert [float(each) for each in shown] == pytest.approx(effects, rel=1e-3, abs=1e-6)


def test_heads_are_cut_by_click_and_by_keyboard_and_put_back(open_lab):
    tab = open_lab("/intervene?text=abcd&doing=ablate")
    tab.get_by_role("button", name="layer 0, head 1").click()
    tab.wait_for_url(re.compile(r"cut=0\.1$"))
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.dataset.head") == "1.1"
    tab.keyboard.press("Space")
    tab.wait_for_url(re.compile("cut=0.1%2C1.1$"))
    tab.get_by_text("changed: Edit(layers.0.attention.z, head 1, set_to 0); Edit(layers.1.attention.z, head 1, set_to 0)").wait_for()
    assert tab.get_by_role("button", pressed=True).all_inner_texts() == ["×", "×"]
    tab.reload()
    tab.get_by_text("2 of 8 heads cut out").wait_for()
    tab.get_by_role("button", name="Put all back").click()
    tab.get_by_text("changed: nothing").wait_for()
    assert "cut" not in tab.url


def test_steering_is_an_option_in_the_address(open_lab):
    tab = open_lab("/intervene?text=abcd")
    tab.get_by_label("What to do").select_option("steer")
    tab.locator("[data-slot=continuation] td").first.wait_for()
    assert not tab.get_by_label("Corrupted prompt").is_visible() and "doing=steer" in tab.url
    line = tab.get_by_label("Strength")
    line.focus()
    tab.keyboard.press("ArrowRight")
    tab.get_by_text("2.25 × the difference").wait_for()
    assert "strength=2.25" in tab.url


def test_the_way_begins_with_an_example(open_lab):
    tab = open_lab("/intervene?text=abcd")
    tab.get_by_text("Write a corrupted prompt above: this text with a word changed, of as many tokens (4).").wait_for()
    assert "corrupted=" in tab.get_by_role("link", name=re.compile("against")).get_attribute("href")


def test_hostile_text_shows_as_text(open_lab):
    tab = open_lab(f"/intervene?text={quote(EVIL)}&corrupted={quote(EVIL.replace('x', 'y'))}")
    tab.locator("lab-patch-map summary").press("Enter")
    assert tab.evaluate("window.broken") is None and tab.locator("lab-patch-map img").count() == 0


def test_stop_keeps_the_cells_that_are_done(open_lab, tmp_path_factory):
    slow = tiny_folder(tmp_path_factory.mktemp("lab") / "slow", "tiny(n_layers=48, d_model=256, n_heads=4, d_ff=1024, context_length=512)")
    rest = "a" * 60  # the first token differs: columns before a difference are known without a run
    tab = open_lab(f"/intervene?text=b{rest}&corrupted=c{rest}&answer=z&model={quote(slow)}", ended=False)
    grid = tab.locator("lab-patch-map")
    tab.locator(".lab-doing", has_text=re.compile(r"patching cells: [1-9]")).wait_for(timeout=60_000)
    tab.get_by_role("button", name="Stop").click()
    told = tab.get_by_text(re.compile(r"Stopped\. The \d+ of 2,?928 exact cells that are done are kept")).inner_text()
    done = int(re.search(r"The (\d+) of", told).group(1))
    assert 0 < done < 48 * 61 and grid.is_visible() and tab.locator("lab-view").get_attribute("data-state") == "stopped"
    tab.wait_for_timeout(300)
    assert grid.evaluate("map => map.done") == done  # and nothing comes after it
