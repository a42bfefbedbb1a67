"""Train in a real browser: start, the live curve, another page meanwhile, stop, go on, and the end."""

from urllib.parse import quote

import pytest

pytestmark = pytest.mark.slow
PRESET = "gpt2(n_layers=1, n_heads=2, d_model=32, context_length=32)"
EVIL = "</script><img src=x onerror=window.broken=1>"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("the cat sat on the mat and the dog sat on the log. " * 200)
    return file


@pytest.fixture
def address(text, tmp_path):
    def at(steps=40, prompt="the cat", **more):
        given = {"text": prompt, "data": text, "folder": tmp_path / "run", "preset": PRESET, "steps": steps, **more}
        return "/train?" + "&".join(f"{name}={quote(str(value))}" for name, value in given.items())

    return at


def step(tab):
    return int(tab.locator("[data-slot=curve] .lab-note").inner_text().split("step ")[1].split()[0].rstrip(".").replace(",", ""))


def later_than(tab, before):
    """Wait until a later step is shown."""
    for _ in range(600):
        if step(tab) > before:
            return
        tab.wait_for_timeout(100)
    raise AssertionError(f"still at step {before}")


def test_start_look_inside_stop_and_go_on(open_lab, address, tmp_path):
    tab = open_lab(address(steps=4000))
    tab.get_by_text("No run in").wait_for()
    tab.get_by_role("button", name="Start").click()
    tab.locator(".lab-inside").wait_for(timeout=90_000)
    assert tab.locator(".lab-options").get_attribute("inert") is not None and not tab.get_by_role("button", name="Start").is_visible()
    assert (
        tab.locator("[data-slot=curve] ig-figure svg").count() == 1 and "tokens per second, step:" in tab.locator(".lab-doing").inner_text()
    )
    tab.get_by_text("The same as a table").first.click()
    before = step(tab)
    later_than(tab, before)
    assert tab.locator("[data-slot=curve] details").first.get_attribute("open") is not None  # a table that is read stays open

    tab.locator(".lab-inside a", has_text="Attention").click()  # while it trains
    tab.wait_for_selector("lab-view[data-page=attention][data-state=done]")
    assert tab.locator("input[name=model]").input_value() == str(tmp_path / "run" / "best")
    back = tab.locator(".lab-rail a", has_text="Train")
    assert back.inner_text() == "Train · working"
    back.click()
    tab.locator(".lab-main lab-view[data-page=train][data-state=working]").wait_for()
    assert quote(str(tmp_path / "run"), safe="") in tab.url and tab.locator("input[name=folder]").input_value() == str(tmp_path / "run")

    tab.get_by_role("button", name="Stop").click()
    tab.get_by_text("Stopped. What it has learned is kept").wait_for()
    stopped = step(tab)
    assert before < stopped < 4000 and tab.locator(".lab-options").get_attribute("inert") is None
    checkpoints = [int(path.name.removeprefix("step-")) for path in (tmp_path / "run" / "checkpoints").glob("step-*")]
    assert max(checkpoints) == stopped
    tab.get_by_role("button", name="Go on").press("Enter")
    later_than(tab, stopped)


def test_to_the_end_and_looked_at_again(open_lab, address, ended):
    tab = open_lab(address())
    tab.locator("textarea[name=text]").press("Enter")  # Run is the button that is offered
    tab.get_by_text("step 40 of 40, ended").wait_for(timeout=90_000)
    ended(tab)
    assert tab.get_by_text("What it writes").is_visible() and tab.get_by_text("What a step took").is_visible()
    assert not tab.get_by_role("button", name="Go on").is_visible() and not tab.get_by_role("button", name="Start").is_visible()
    tab.reload()
    tab.get_by_text("step 40 of 40, ended").wait_for()
    field = tab.get_by_label("Kept in")
    field.fill(field.input_value() + "-other")
    field.press("Enter")
    tab.get_by_role("button", name="Start").wait_for()
    tab.get_by_label("Text to learn from").fill("nowhere.txt")
    tab.get_by_label("Text to learn from").press("Enter")
    tab.get_by_role("button", name="Start").click()
    tab.locator(".lab-failed", has_text="nowhere.txt").wait_for()
    assert tab.get_by_role("button", name="Start").is_visible()


def test_axe_is_clean_and_text_is_never_markup(open_lab, address, complaints):
    tab = open_lab(address(steps=2, prompt=EVIL), width=390, dark=True)
    tab.get_by_role("button", name="Start").click()
    tab.get_by_text("step 2 of 2, ended").wait_for(timeout=90_000)
    tab.wait_for_selector(".lab-main lab-view[data-state=done]")
    assert tab.evaluate("window.broken === undefined") and tab.locator("img").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints(tab) == []
