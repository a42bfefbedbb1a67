"""Tokens, Predict and Attention in a real browser, with mouse and keyboard."""

import re
from urllib.parse import quote

import numpy as np
import pytest

import isinglass as ig

pytestmark = pytest.mark.slow
TEXT = "The cat sat on the mat"


def values(tab):
    """What the inspector says, by name."""
    names, said = tab.locator("lab-inspector dt").all_inner_texts(), tab.locator("lab-inspector dd").all_inner_texts()
    return dict(zip(names, said, strict=True))


def shown_bars(tab):
    """The probabilities of the first chart, as percent."""
    texts = tab.locator("[data-slot=next] ig-figure svg text").all_text_contents()
    return [float(text.removesuffix(" %")) for text in texts if text.endswith(" %")]


def distribution(folder, text, temperature):
    logits = ig.trace(ig.load(folder), text).logits[0, -1].double()
    return (logits / temperature).softmax(-1)


def test_tokens_while_one_types(open_lab):
    tab = open_lab("/tokens")
    tab.locator("textarea[name=text]").press_sequentially("Hello 日", delay=20)
    strip = tab.locator(".ig-strip", has_text="gpt2").locator("li")
    tab.locator(".ig-strip", has_text="gpt2").get_by_text("4 tokens").wait_for()
    assert strip.all_inner_texts()[0] == "Hello" and strip.count() == 4
    assert "text=Hello" in tab.url  # and typing made no places to go back to
    assert tab.locator(".ig-strip").count() == 6


def test_a_token_says_its_id_and_its_bytes_by_mouse_and_by_keyboard(open_lab):
    tab = open_lab(f"/tokens?text={quote('Hello 日x')}&vocabularies=gpt2")
    chips = tab.locator(".ig-strip", has_text="gpt2").locator("li")
    chips.nth(0).hover()
    assert values(tab) == {
        "token": "Hello",
        "id": "15496",
        "position": "0",
        "vocabulary": "gpt2",
        "bytes": "48 65 6c 6c 6f",
        "characters": "0 to 5",
    }
    chips.nth(0).focus()
    tab.keyboard.press("Tab")
    found = values(tab)
    assert found["position"] == "1" and found["bytes"].startswith("20 e6") and "‹" in found["token"]


def test_other_vocabularies_are_an_option_in_the_address(open_lab):
    tab = open_lab("/tokens?text=abc")
    field = tab.get_by_label("Beside the model’s own")
    field.fill("gpt2")
    field.press("Enter")
    tab.get_by_text("The text through 2 vocabularies").wait_for()
    assert tab.url.endswith("text=abc&vocabularies=gpt2")


def test_predict_shows_the_models_own_probabilities(open_lab, lab_folder):
    tab = open_lab(f"/predict?text={quote(TEXT)}&top=5")
    expected = 100 * distribution(lab_folder, TEXT, 1.0).sort(descending=True).values[:5].numpy()
    assert np.abs(np.array(shown_bars(tab)) - expected).max() <= 0.051


def test_the_slider_weights_anew_at_once_over_the_whole_vocabulary(open_lab, lab_folder):
    tab = open_lab(f"/predict?text={quote(TEXT)}&top=5")
    tab.locator(".lab-facts", has_text="layers").wait_for()
    tab.evaluate(
        "(() => { window.asked = []; const before = window.fetch; window.fetch = (...all) => { window.asked.push(all); return before(...all); }; })()"
    )
    tab.evaluate(
        "(() => { const line = document.querySelector('input[name=temperature]'); line.value = 0.2; line.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    expected = distribution(lab_folder, TEXT, 0.2)
    tab.locator("[data-slot=next] .ig-note", has_text="temperature 0.2").wait_for()
    tab.wait_for_timeout(300)
    assert tab.evaluate("window.asked") == []
    assert np.abs(np.array(shown_bars(tab)) - 100 * expected.sort(descending=True).values[:5].numpy()).max() <= 0.051
    entropy = float(-(expected * expected.clamp_min(1e-300).log()).sum())
    assert f"entropy {entropy:.2f} nats" in tab.locator("[data-slot=next] .ig-note").first.inner_text()


def test_the_slider_by_keyboard_settles_in_the_address_and_the_tables(open_lab):
    tab = open_lab(f"/predict?text={quote(TEXT)}")
    line = tab.get_by_label("Temperature")
    line.focus()
    for _ in range(4):
        tab.keyboard.press("ArrowRight")
    tab.locator("[data-slot=next] td", has_text=re.compile("^1.2$")).first.wait_for()
    assert "temperature=1.2" in tab.url
    tab.locator("lab-view[data-state=done]").wait_for()
    assert tab.locator(".lab-previewed").count() == 0


def test_other_normalisations_come_and_go(open_lab):
    tab = open_lab(f"/predict?text={quote(TEXT)}")
    assert tab.locator("[data-slot=normalized]").count() == 0
    tab.get_by_role("checkbox", name="sparsemax").check()
    tab.locator("[data-slot=normalized] ig-figure svg").wait_for()
    assert "normalizations=sparsemax" in tab.url
    tab.get_by_role("checkbox", name="sparsemax").uncheck()
    tab.locator("[data-slot=normalized]").wait_for(state="detached")


def test_the_surprisal_strip_says_its_values(open_lab):
    tab = open_lab(f"/predict?text={quote(TEXT)}")
    tab.locator("[data-slot=surprisal] .ig-tokens li").nth(3).hover()
    found = values(tab)
    assert found["position"] == "3" and float(found["value"].removeprefix("surprisal (nats) ")) > 0


def test_pointing_at_a_bar_says_its_value(open_lab, lab_folder):
    tab = open_lab(f"/predict?text={quote(TEXT)}")
    bar = tab.locator("[data-slot=next] ig-figure svg .mark-rect path").first
    bar.hover(position={"x": 1, "y": 5})
    bar.hover(position={"x": 2, "y": 6})
    tab.locator("lab-inspector dt", has_text=re.compile("^value$")).wait_for()
    assert float(values(tab)["value"]) == pytest.approx(float(distribution(lab_folder, TEXT, 1.0).max()), rel=1e-4)


def test_attention_shows_all_heads_and_the_exact_row_of_what_is_pointed_at(open_lab, lab_folder):
    tab = open_lab(f"/attention?text={quote(TEXT)}")
    lm = ig.load(lab_folder)
    assert tab.locator(".ig-heads button").count() == lm.config.n_layers * lm.config.attention.n_heads
    where = tab.evaluate("(() => { const {margin, cell} = document.querySelector('ig-attention-grid').frame; return [margin, cell]; })()")
    tab.locator(".ig-map").hover(position={"x": where[0] + 2.5 * where[1], "y": where[0] + 9.5 * where[1]})
    tab.locator("lab-inspector dt", has_text="weight").wait_for()
    weight = ig.trace(lm, TEXT).attention_weights()[0, 0, 9, 2]
    assert float(values(tab)["weight"]) == pytest.approx(float(weight), rel=1e-4)
    assert values(tab)["query"] == "9 a" and values(tab)["key"] == "2 e"


def test_a_head_opened_by_keyboard_is_in_the_address(open_lab, lab_folder):
    tab = open_lab(f"/attention?text={quote(TEXT)}")
    tab.locator(".ig-heads button[tabindex='0']").focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    tab.locator("lab-inspector h2", has_text="Layer 1, head 1").wait_for()
    assert "layer=1&head=1" in tab.url
    assert tab.get_by_label("Layer", exact=True).input_value() == "1"
    tab.reload()
    tab.locator(".ig-head-bar strong", has_text="Layer 1, head 1 (KV head 0)").wait_for()


def test_head_statistics_sort(open_lab):
    tab = open_lab(f"/attention?text={quote(TEXT)}")
    table = tab.locator("figure.ig-card").nth(1)
    table.get_by_role("button", name="entropy").click()
    entropy = [
        float(cell)
        for cell in table.locator("tbody tr").evaluate_all(
            "rows => rows.map(row => row.cells[[...row.closest('table').tHead.rows[0].cells].findIndex(cell => cell.textContent.startsWith('entropy'))].textContent)"
        )
    ]
    assert entropy == sorted(entropy, reverse=True)


def test_options_of_an_encoder_decoder_are_there_for_one_alone(open_lab, tmp_path_factory):
    from helpers.lab import tiny_folder

    tab = open_lab(f"/attention?text={quote(TEXT)}")
    tab.locator(".lab-facts", has_text="layers").wait_for()
    assert not tab.get_by_label("What it has written").is_visible()
    both = tiny_folder(tmp_path_factory.mktemp("lab") / "both", "t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=64)", tokenizer="t5")
    tab = open_lab(f"/attention?text={quote(TEXT)}&model={quote(both)}")
    tab.get_by_label("What it has written").wait_for()
    tab.get_by_label("What it has written").fill("le chat")
    tab.keyboard.press("Enter")
    tab.get_by_label("Attention of the").select_option("cross")
    tab.locator("ig-figure svg").first.wait_for()
    assert "which=cross" in tab.url and "target=le+chat" in tab.url


def test_downloads_work_inside_the_lab(open_lab):
    tab = open_lab(f"/predict?text={quote(TEXT)}")
    with tab.expect_download() as download:
        tab.get_by_label("” as CSV").first.click()
    with open(download.value.path(), encoding="utf-8") as file:  # noqa: PTH123
        assert file.readline() == "label,probability\n"
