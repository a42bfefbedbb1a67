"""A document's page in a real browser, from file://, without network."""

import shutil

import pytest

from isinglass.report.document import Code, Document, Heading
from isinglass.report.outputs import Output
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

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


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    figure = bars(["a", EVIL], [0.7, 0.3], title="Bars", unit="ratio")
    table = Table([{"name": EVIL, "share": 0.5}], title="A table", units={"share": "ratio"})
    run = Code(
        f"print({EVIL!r} * 9)  # {'long ' * 60}",
        (
            Output("stdout", {"text/plain": EVIL * 9}),
            Output("result", figure._repr_mimebundle_()),
            Output("display", table._repr_mimebundle_()),
        ),
        number=1,
    )
    text = f"Before.\n\n# One\n{EVIL}\n\n| a | b |\n| --- | --- |\n| {'wide ' * 40} | {'x' * 200} |\n"
    document = Document("A page", [text, table, figure, Heading("Two"), Heading("Below", 3), run])
    return document.save(tmp_path_factory.mktemp("page") / "page.html").as_uri()


@pytest.fixture
def tab(file):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page, asked, said = browser.new_page(), [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(file)
        page.wait_for_function("[...document.querySelectorAll('ig-figure')].every(element => element.dataset.ready)")
        yield page
        assert said == [] and [url for url in asked if not url.startswith(("file:", "data:"))] == []
        browser.close()


def test_it_shows_all_parts_and_fits_every_window(tab):
    assert tab.locator("h2").all_inner_texts() == ["One", "Two"]
    assert tab.locator(".ig-rail a").all_inner_texts() == ["One", "Two"]
    assert tab.locator("main ig-figure svg").count() == 1
    assert tab.locator(".ig-picture img").evaluate("image => image.complete && image.naturalWidth > 300")
    assert tab.locator(".ig-output table").count() == 1
    assert tab.evaluate("window.broken === undefined")
    assert tab.locator(".ig-printed").inner_text() == EVIL * 9
    for width in (390, 768, 1280):
        tab.set_viewport_size({"width": width, "height": 844})
        tab.wait_for_timeout(200)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
