"""The page Layers and the head statistics of Attention in a real browser, with mouse and keyboard."""

from urllib.parse import quote

import pytest

import isinglass as ig

pytestmark = pytest.mark.slow
TEXT = "a cat"
VIEWS = ("lens", "contributions", "similarity", "norms")
EVIL = "</script><img src=x onerror=window.broken=1>"


def option_names(tab):
    """The fields that are there to be used."""
    return tab.locator(".lab-option:visible span").all_inner_texts()


def test_the_lens_ends_with_the_models_own_answer(open_lab, lab_folder):
    tab = open_lab(f"/layers?text={quote(TEXT)}")
    expected = ig.trace(ig.load(lab_folder), TEXT).lens().data["cells"][-1]
    tab.get_by_text("The same as a table").first.click()
    last = tab.locator("figure.ig-card").first.locator("tbody tr").last
    assert last.locator("td, th").nth(1).inner_text() == "4"
    assert f"{100 * expected['probability']:.1f} %" in last.inner_text()
    assert tab.locator("ig-figure svg").count() == 3  # the map, and both curves


def test_views_by_keyboard_stand_in_the_address_and_have_their_own_options(open_lab, ended):
    tab = open_lab(f"/layers?text={quote(TEXT)}")
    assert option_names(tab) == ["Token", "Other token", "Position", "Read after each"]
    tab.get_by_role("radio", name="Logit lens").focus()
    for title, name, fields in (
        ("What each part adds", "contributions", ["Token", "Other token", "Position"]),
        ("Linear CKA", "similarity", ["Position", "First tokens left out"]),
        ("How long the vectors are", "norms", ["Position"]),
    ):
        tab.keyboard.press("ArrowRight")
        tab.get_by_text(title).first.wait_for()
        ended(tab)
        assert tab.url.endswith(f"view={name}") and option_names(tab) == fields
    tab.reload()
    tab.get_by_text("How long the vectors are").first.wait_for()
    assert tab.get_by_role("radio", name="Norms").is_checked()


def test_a_token_and_another_and_what_is_copied(open_lab, lab_folder):
    tab = open_lab(f"/layers?text={quote(TEXT)}&view=contributions")
    tab.get_by_label("Token", exact=True).fill(" ")
    tab.keyboard.press("Enter")
    tab.get_by_text("What each part adds to the logit of ' '").first.wait_for()
    tab.get_by_label("Other token").fill("x")
    tab.keyboard.press("Enter")
    tab.get_by_text("minus that of 'x'").first.wait_for()
    assert tab.url.endswith("view=contributions&answer=+&against=x")
    tab.get_by_role("button", name="Copy as command").click()
    tab.get_by_text("Copied").wait_for()
    copied = tab.evaluate("navigator.clipboard.readText()")
    assert copied == f"isinglass inspect layers {lab_folder} 'a cat' --view contributions --token ' ' --against x"


def test_tokens_are_offered(open_lab, lab_folder):
    tab = open_lab(f"/layers?text={quote(TEXT)}")
    offered = tab.locator("#answer-offers option").evaluate_all("all => all.map(one => one.value)")
    assert offered[0] == ig.trace(ig.load(lab_folder), TEXT).lens().data["watched"][0]["token"] and len(offered) == 10


def test_a_click_on_the_map_chooses_the_position(open_lab):
    tab = open_lab(f"/layers?text={quote(TEXT)}")
    words = tab.locator("ig-figure").first.locator("svg .layer_1_marks text")
    words.nth(1).hover()
    tab.locator("lab-inspector dt", has_text="value").wait_for()
    words.nth(1).click()
    tab.get_by_text("After token 1").first.wait_for()
    assert tab.url.endswith("position=1") and tab.get_by_label("Position").input_value() == "1"
    tab.get_by_label("Position").fill("")
    tab.keyboard.press("Enter")
    tab.get_by_text("After token 4").first.wait_for()
    assert "position" not in tab.url


def test_what_cannot_be_shown_is_said(open_lab, ended):
    tab = open_lab(f"/layers?text={quote(TEXT)}&answer=two")
    assert "the answer 'two' is 3 tokens, expected one" in tab.locator(".lab-failed").inner_text()
    tab.get_by_label("Token", exact=True).fill("t")
    tab.keyboard.press("Enter")
    ended(tab)
    tab.get_by_text("Logit lens: the token").first.wait_for()


def test_an_empty_page_says_how_to_begin(open_lab):
    tab = open_lab("/layers")
    assert tab.locator(".lab-empty p").inner_text() == "Type a text, and see where in the model its next token appears."
    assert tab.locator(".lab-example").inner_text() == "The capital of France is"


@pytest.mark.parametrize("view", VIEWS)
def test_text_is_never_markup_and_nothing_is_wider_than_a_phone(open_lab, view):
    tab = open_lab(f"/layers?text={quote(EVIL)}&view={view}", width=390)
    tab.wait_for_timeout(100)
    assert tab.evaluate("window.broken === undefined") and tab.locator("img").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_head_statistics_are_a_view_of_attention(open_lab, ended):
    tab = open_lab(f"/attention?text={quote(TEXT)}")
    tab.locator("ig-attention-grid").wait_for()
    assert option_names(tab)[:2] == ["Layer", "Head"]
    tab.get_by_role("radio", name="Head statistics").focus()
    tab.keyboard.press("Space")
    tab.get_by_text("induction of every head").first.wait_for()
    assert tab.url.endswith("view=heads")
    tab.get_by_label("Sorted by").select_option("entropy")
    tab.get_by_text("entropy of every head").first.wait_for()
    ended(tab)
    table = tab.locator("figure.ig-card").nth(2)
    layer = table.get_by_role("button", name="layer")
    layer.click()
    layers = table.locator("tbody tr").evaluate_all("rows => rows.map(row => Number(row.cells[0].textContent))")
    assert layers in (sorted(layers), sorted(layers, reverse=True)) and len(set(layers)) > 1
    tab.get_by_role("radio", name="Maps").check()
    tab.locator("ig-attention-grid").wait_for()
