"""The lab in a real browser: one running server, and tabs that fail on any console message and any request to another place."""

import shutil
from importlib import resources

import pytest

from helpers.lab import lab, tiny_folder

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def lab_folder(tmp_path_factory):
    """A tiny model of bytes, with grouped heads."""
    return tiny_folder(tmp_path_factory.mktemp("lab") / "tiny", attention={"n_kv_heads": 2})


@pytest.fixture(scope="session")
def lab_running(lab_folder):
    """`isinglass lab` with that model."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with lab(lab_folder, "--quiet") as running:
        yield running


@pytest.fixture(scope="module")
def lab_browser(lab_running):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def open_lab(lab_browser, lab_running):
    """`open_lab("/predict?text=a", width=390, dark=True)` gives a tab of a fresh browser profile, with the page there.

    A page whose address has a text is waited for until its job has ended.
    """
    contexts, said, asked = [], [], []

    def opened(path="/", *, width=1280, dark=False, ended=True):
        scheme = "dark" if dark else "light"
        context = lab_browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=lab_running.root)
        context.set_default_timeout(90_000)  # the first job of a busy machine imports torch
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{lab_running.root}{path}{'&' if '?' in path else '?'}token={lab_running.token}")
        page.wait_for_selector("body[data-ready]")
        if ended and "text=" in path:
            wait_until_ended(page)
        return page

    yield opened
    assert said == []
    assert [url for url in asked if not url.startswith((f"{lab_running.root}/", "data:", "blob:"))] == []
    for context in contexts:
        context.close()


def wait_until_ended(page):
    """Until the job of the view has ended, well or not."""
    page.wait_for_selector("lab-view:is([data-state=done],[data-state=failed])", state="attached", timeout=90_000)


@pytest.fixture
def ended():
    """`ended(page)`: wait until the view's job has ended."""
    return wait_until_ended


@pytest.fixture
def complaints():
    """`complaints(page)`: what axe-core objects to."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")

    def found(page):
        page.evaluate(axe)
        result = page.evaluate("axe.run()")
        assert len(result["passes"]) > 10
        return [f"{one['id']}: {node['html'][:200]}" for one in result["violations"] for node in one["nodes"][:3]]

    return found
