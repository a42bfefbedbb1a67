"""The attention grid and the charts in a real browser, from file://, without network."""

import re
import shutil

import numpy as np
import pytest

from isinglass.show import theme
from isinglass.show.marks.attention_grid import AttentionGrid
from isinglass.show.marks.bars import bars
from isinglass.show.marks.tokens import tokens
from isinglass.show.page import Section, page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt-get install chromium)")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EVIL = "</script><img src=x onerror=window.broken=1>"
READY = "[...document.querySelectorAll('ig-attention-grid,ig-figure')].every(element => element.dataset.ready)"
# the colour at the middle of a cell of the enlarged head
CELL = """([grid, query, key]) => {
  const element = document.querySelectorAll('ig-attention-grid')[grid];
  const {margin, cell, q0, k0} = element.frame, ratio = devicePixelRatio;
  const at = place => Math.round((margin + place * cell) * ratio);
  const one = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  one.drawImage(element.map, -at(key - k0 + 0.5), -at(query - q0 + 0.5));
  return [...one.getImageData(0, 0, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def weights():
    """Layer 0: every query looks at the first token with 1/4, at itself with 3/4; layer 1: only at itself."""
    made = np.zeros((2, 4, 40, 40), np.float32)
    made[0, :, :, 0] += 0.25
    made[0] += 0.75 * np.eye(40, dtype=np.float32)
    made[1] = np.eye(40)
    return made


@pytest.fixture(scope="module")
def file(tmp_path_factory, weights):
    names = ["<s>", EVIL, *[f" word{number}" for number in range(2, 40)]]
    linear = AttentionGrid(weights, names, title="Linear", causal=True, kv_head_of=[0, 0, 1, 1], focus=(0, 1), scale="linear")
    long = np.tile(np.eye(512, dtype=np.float32), (2, 2, 1, 1))
    grids = [linear, AttentionGrid(long, [f" t{number}" for number in range(512)], title="Long", causal=False)]
    others = [bars([EVIL, "b"], [0.7, 0.3], title=f"Bars {EVIL}", unit="ratio"), tokens([EVIL, " b"], [7, 8], title="Tokens")]
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(page("Test", [Section("Grids", [], grids), Section("Others", [], others)]), "utf-8")
    return path.as_uri()


@pytest.fixture
def tab(browser, file):
    """The page in a fresh offline context; whatever the console says or the page asks for fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", offline=True, accept_downloads=True)
    opened, said, asked = context.new_page(), [], []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(file)
    opened.wait_for_function(READY)
    yield opened
    assert said == []
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}
    context.close()


def readout(tab, grid=0):
    return re.sub(r"\s+", " ", tab.locator(".ig-readout").nth(grid).inner_text())


def test_cells_have_the_colours_of_their_weights(tab):
    for query, key, weight in ((20, 0, 0.25), (20, 20, 0.75), (20, 10, 0.0)):
        seen = tab.evaluate(CELL, [0, query, key])[:3]
        assert np.abs(np.array(seen) - theme.sequential(weight)).max() <= 2
    assert tab.evaluate(CELL, [0, 10, 20])[3] == 0  # hidden by the mask: nothing is painted


def test_pointing_at_a_cell_says_query_key_and_value(tab):
    where = tab.evaluate("(() => { const {margin, cell} = document.querySelector('ig-attention-grid').frame; return [margin, cell]; })()")
    tab.locator(".ig-map").first.hover(position={"x": where[0] + 0.5 * where[1], "y": where[0] + 30.5 * where[1]})
    assert readout(tab) == "query 30 ·word30 looks at key 0 <s>: 0.251 ± 0.002"  # 64/255 for 1/4


def test_the_legend_states_its_limits_and_follows_the_scale(tab):
    legend = tab.locator(".ig-legend").first
    assert legend.locator("span").all_inner_texts() == ["0", "0.25", "0.5", "0.75", "1"]
    tab.get_by_label("Colour scale").first.select_option("sqrt")
    assert legend.locator("span").all_inner_texts() == ["0", "0.063", "0.25", "0.56", "1"]
    assert np.abs(np.array(tab.evaluate(CELL, [0, 20, 0])[:3]) - theme.sequential(0.5)).max() <= 2
    tab.get_by_label("Colour scale").first.select_option("head")
    assert legend.locator("span").all_inner_texts()[-1] == "1"  # the first query gives 0.25 + 0.75 to the first token


def test_arrows_move_between_heads_and_between_cells(tab):
    name = tab.locator(".ig-head-bar strong").first
    tab.get_by_role("button", name="layer 0, head 1, key-value head 0").focus()
    tab.keyboard.press("ArrowRight")
    assert name.inner_text() == "Layer 0, head 2 (KV head 1)"
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowDown")  # stays in the last layer
    assert name.inner_text() == "Layer 1, head 2 (KV head 1)"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.className") == "ig-map"
    before = readout(tab)
    tab.keyboard.press("ArrowUp")
    assert before.startswith("query 39 ") and readout(tab).startswith("query 38 ")
    tab.keyboard.press("Escape")
    assert tab.evaluate("document.activeElement.getAttribute('aria-label')") == "layer 1, head 2, key-value head 1"


def test_only_one_thumbnail_is_in_the_tab_order(tab):
    assert tab.locator(".ig-heads").first.locator("button[tabindex='0']").count() == 1
    assert tab.locator(".ig-heads").first.locator("button[aria-pressed='true']").count() == 1


def test_labels_never_overlap_at_512_tokens(tab):
    tab.evaluate("""() => {
      const element = document.querySelectorAll('ig-attention-grid')[1], context = element.map.getContext('2d');
      window.drawn = [];
      const original = context.fillText.bind(context);
      context.fillText = (text, x, y) => { window.drawn.push([text, x, y, context.getTransform().b]); original(text, x, y); };
      element.drawHead();
    }""")
    drawn = tab.evaluate("window.drawn")
    for turned in (False, True):
        places = sorted(abs(y) for _, _, y, turn in drawn if (turn != 0) == turned)
        assert len(places) > 10 and np.diff(places).min() >= 12
    tab.get_by_label("Show fewer tokens").nth(1).click()
    assert tab.evaluate("document.querySelectorAll('ig-attention-grid')[1].span") == 256


def test_tokens_are_only_text(tab):
    assert tab.evaluate("window.broken === undefined")
    assert tab.locator("main img").count() == 0
    tab.locator(".ig-map").first.focus()
    tab.evaluate("(() => { const grid = document.querySelector('ig-attention-grid'); grid.query = 1; grid.key = 1; grid.drawHead(); })()")
    assert f"query 1 {EVIL.replace(chr(32), chr(183))} looks at key 1" in readout(tab)


def test_dark_mode_repaints(tab):
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(READY)
    tab.wait_for_timeout(200)
    assert np.abs(np.array(tab.evaluate(CELL, [0, 20, 0])[:3]) - theme.sequential(0.25, theme.DARK)).max() <= 2
    assert tab.locator("ig-figure svg text", has_text="70.0 %").first.evaluate("node => node.getAttribute('fill')") == theme.DARK.ink


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_window(tab, width):
    tab.set_viewport_size({"width": width, "height": 844})
    tab.wait_for_timeout(200)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    menu = tab.get_by_role("button", name="Contents")
    assert menu.is_visible() == (width == 390)
    if width == 390:
        assert not tab.get_by_role("link", name="Others").is_visible()
        menu.click()
        assert tab.get_by_role("link", name="Others").is_visible()


@pytest.mark.parametrize(("name", "start"), [("“Linear” as PNG", b"\x89PNG"), ("“Linear” as CSV", b"layer,head,"), (" as SVG", b"<svg")])
def test_downloads_are_made_in_the_browser(tab, name, start):
    with tab.expect_download() as download:
        tab.get_by_label(name).first.click()
    with open(download.value.path(), "rb") as file:  # noqa: PTH123
        assert file.read().startswith(start)
