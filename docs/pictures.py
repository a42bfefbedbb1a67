"""Take the pictures of the guides to the lab, from a real run: python docs/pictures.py [PAGE ...]

Needs chromium and the packages of the tests. SmolLM2 is the model; the run of the page Train is made in a temporary folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
FRANCE = "The capital of France is"
CAT = "The cat sat on the mat because it was tired"
# page -> what stands in its address, and how high the picture is
PICTURES: dict[str, tuple[dict[str, str], int]] = {
    "tokens": ({"text": "Tokenizers split unbelievable words, 2026 and Привет."}, 900),
    "predict": ({"text": FRANCE, "normalizations": "sparsemax,l1"}, 1000),
    "attention": ({"text": CAT, "layer": "16", "head": "0"}, 900),
    "layers": ({"text": FRANCE, "answer": " Paris"}, 1000),
    "intervene": ({"text": FRANCE, "corrupted": "The capital of Italy is", "answer": " Paris", "other": " Rome"}, 1000),
    "generate": ({"text": "It was a cold night and", "max_tokens": "40"}, 1000),
    "train": ({"text": "And God said", "steps": "400"}, 1000),
    "embeddings": ({"text": "something warm to eat"}, 1000),
    "cost": ({}, 1000),
    "ask": ({"text": "How long is the warranty on the heating element?"}, 1000),
}
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]


def main(asked: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "isinglass.cli.main", "lab", "--no-open", "--quiet"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as server:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            try:
                with sync_playwright() as playwright:
                    browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                    for page in asked or PICTURES:
                        _take(browser.new_page(), address, page)
                    browser.close()
            finally:
                server.terminate()


def _take(tab: Page, address: str, page: str) -> None:
    options, height = PICTURES[page]
    tab.set_default_timeout(600_000)
    tab.set_viewport_size({"width": 1280, "height": height})
    root, _, token = address.partition("/?")
    tab.goto(f"{root}/{page}?{urlencode(options)}&{token}")
    tab.wait_for_selector("body[data-ready]")
    if page == "train":
        tab.get_by_role("button", name="Start").click()
        tab.get_by_text("of 400, ended").wait_for()
    tab.wait_for_selector("lab-view[data-state=done]")
    if page == "ask":
        tab.locator(".lab-said .lab-cite").first.click()
    tab.wait_for_timeout(1000)
    tab.screenshot(path=IMAGES / f"lab-{page}.png")
    print(IMAGES / f"lab-{page}.png")
    tab.close()


if __name__ == "__main__":
    main(sys.argv[1:])
