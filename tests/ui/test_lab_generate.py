"""Generate in a real browser: columns that fill while one looks, a stop that keeps them, menus, copies, the keyboard."""

import re
from urllib.parse import parse_qs, quote, urlsplit

import pytest

import isinglass as ig

pytestmark = pytest.mark.slow
TEXT = "The cat sat on the mat"
EVIL = "</script><img src=x onerror=window.broken=1>"


def at(*strategies, text=TEXT, **more):
    options = "".join(f"&{name}={value}" for name, value in more.items())
    return f"/generate?text={quote(text)}&strategies={quote(';'.join(strategies))}{options}"


def ids(tab, column=0):
    return [
        int(one.partition(" ")[0])
        for one in tab.locator(".lab-column").nth(column).locator(".ig-tokens li").evaluate_all("all => all.map(one => one.dataset.id)")
    ]


def test_four_columns_hold_what_generate_gives(open_lab, lab_folder):
    names = ["greedy", "sample(top_k=20)", "beam(n_beams=2)", "contrastive(k=2)"]
    tab = open_lab(at(*names, max_tokens=10, seed=5))
    assert tab.locator("lab-view").get_attribute("data-state") == "done"
    lm = ig.load(lab_folder)
    for number, name in enumerate(names):
        made = ig.generate(lm, TEXT, strategy=name, max_tokens=10, seed=5)
        column = tab.locator(".lab-column").nth(number)
        assert column.locator("h2").inner_text() == name and ids(tab, number) == made.ids
        assert column.get_by_text("10 tokens; the limit is reached").is_visible()
        assert (
            column.locator("meter").evaluate("one => one.value > 0 && one.value <= one.max")
            and "kB of" in column.locator("dd").first.inner_text()
        )
        assert column.locator("th").all_inner_texts() == ["distinct-1", "distinct-2", "repetition", "mean surprisal", "perplexity"]
    assert tab.get_by_text("What they made of").is_visible()


def test_tokens_come_one_by_one_and_stop_keeps_them(open_lab, tmp_path_factory):
    from helpers.lab import tiny_folder

    slow = tiny_folder(tmp_path_factory.mktemp("lab") / "slow", "tiny(n_layers=48, d_model=64, n_heads=4, context_length=4096)")
    tab = open_lab(at("greedy", "sample", max_tokens=1000) + f"&model={quote(slow)}", ended=False)
    tab.locator(".lab-column li").nth(5).wait_for(timeout=60_000)
    assert tab.locator(".lab-live").evaluate("one => getComputedStyle(one).opacity") == "1"  # what is being written is not dimmed
    before = len(ids(tab))
    tab.get_by_role("button", name="Stop").click()
    tab.get_by_text("Stopped. What was written until then is kept.").wait_for()
    kept = len(ids(tab))
    assert 0 < before <= kept < 1000
    assert tab.locator(".lab-column .lab-note").first.inner_text() == f"stopped after {kept} tokens"
    tab.wait_for_timeout(300)
    assert len(ids(tab)) == kept
    tab.get_by_label("Tokens, at most").fill("3")
    tab.get_by_label("Tokens, at most").press("Enter")
    tab.locator("lab-view[data-state=done]").wait_for()
    assert len(ids(tab)) == 3


def test_strategies_by_menu_and_by_hand_are_in_the_address(open_lab, ended):
    tab = open_lab(at("greedy", max_tokens=4))
    assert not tab.get_by_role("button", name="Remove this strategy").is_visible()
    tab.get_by_label("Menu of strategy 1").select_option("beam(n_beams=4)")
    tab.locator(".lab-column h2", has_text="beam(n_beams=4)").wait_for()
    tab.get_by_role("button", name="Add a strategy").click()
    tab.locator(".lab-column").nth(1).wait_for()
    field = tab.get_by_label("Strategy 2", exact=True)
    field.fill("sample(top_k=3, temperature=2.0)")
    field.press("Enter")
    tab.locator(".lab-column h2", has_text="top_k=3").wait_for()
    assert parse_qs(urlsplit(tab.url).query)["strategies"] == ["beam(n_beams=4);sample(top_k=3, temperature=2.0)"]
    assert tab.get_by_label("Menu of strategy 2").locator("option:checked").inner_text() == "your own"
    tab.get_by_role("button", name="Remove this strategy").first.click()
    tab.locator(".lab-column h2", has_text="beam").wait_for(state="detached")
    ended(tab)
    assert tab.locator(".lab-column").count() == 1
    for _ in range(3):
        tab.get_by_role("button", name="Add a strategy").click()
    assert not tab.get_by_role("button", name="Add a strategy").is_visible()
    ended(tab)


def test_a_wrong_strategy_is_told_and_what_was_shown_stays(open_lab):
    tab = open_lab(at("greedy", max_tokens=4))
    field = tab.get_by_label("Strategy 1", exact=True)
    field.fill("gredy")
    field.press("Enter")
    tab.locator(".lab-failed", has_text="unknown strategy 'gredy'").wait_for()
    assert len(ids(tab)) == 4


def test_a_chip_says_its_id_and_its_surprisal_by_mouse_and_arrows(open_lab, lab_folder):
    tab = open_lab(at("greedy", max_tokens=6))
    made = ig.generate(ig.load(lab_folder), TEXT, max_tokens=6)
    chips = tab.locator(".lab-column li")
    chips.nth(0).focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("End")
    tab.keyboard.press("ArrowLeft")
    assert chips.nth(4).evaluate("one => one === document.activeElement && one.tabIndex === 0")
    assert tab.locator(".lab-column li[tabindex='0']").count() == 1
    told = dict(zip(tab.locator("lab-inspector dt").all_inner_texts(), tab.locator("lab-inspector dd").all_inner_texts(), strict=True))
    assert (told["id"], told["position"]) == (str(made.ids[4]), "4")
    assert float(told["value"].removeprefix("surprisal (nats) ")) == pytest.approx(-made.log_probs[4], rel=1e-3)
    chips.nth(2).hover()
    assert tab.locator("lab-inspector dd").nth(1).inner_text() == str(made.ids[2])


def test_a_column_is_copied_alone(open_lab, lab_folder):
    tab = open_lab(at("greedy", "sample(top_p=0.5)", max_tokens=3, seed=2))
    column = tab.locator(".lab-column").nth(1)
    column.get_by_role("button", name="Copy as command").click()
    column.get_by_text("Copied").wait_for()
    assert (
        tab.evaluate("navigator.clipboard.readText()")
        == f"isinglass generate {lab_folder} '{TEXT}' --strategy 'sample(top_p=0.5)' --max-tokens 3 --seed 2"
    )
    tab.locator(".lab-copies").get_by_role("button", name="Copy as Python").click()
    tab.locator(".lab-copies").get_by_text("Copied").wait_for()
    assert "['greedy', 'sample(top_p=0.5)'], n_samples=1, max_tokens=3, seed=2" in tab.evaluate("navigator.clipboard.readText()")


def test_text_is_never_markup(open_lab):
    """The prompt, what an address calls a strategy, and what a model writes, which is the last bytes of any text."""
    tab = open_lab(at(EVIL, text=EVIL))
    assert re.search("cannot read the variant", tab.locator(".lab-failed").inner_text())
    assert tab.get_by_label("Strategy 1", exact=True).input_value() == EVIL
    tab.locator("lab-view").evaluate(
        """async (view, text) => {
            const page = (await import('/static/pages/generate.js')).default;
            const place = document.createElement('section');
            view.results.append(place);
            page.shown(view, place, {slot: 'board', data: [{strategy: text, late: false, python: text, command: text}]});
            const told = {new: [{id: 1, text, surprisal: 2}], text, tokens: 1, finish: 'length', speed: text, measures: [[text, text]],
                cache: {used: 1, whole: 2, text}};
            page.shown(view, document.createElement('section'), {slot: 'tokens', data: [told]});
        }""",
        EVIL,
    )
    tab.wait_for_timeout(100)
    assert tab.locator(".lab-column li").inner_text() == EVIL
    assert tab.evaluate("window.broken === undefined") and tab.locator("img").count() == 0


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1024, False)])
def test_nothing_is_wider_than_the_window(open_lab, width, dark):
    tab = open_lab(at("greedy", "sample(temperature=0.8, top_p=0.9)", "beam", "contrastive", max_tokens=12), width=width, dark=dark)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
