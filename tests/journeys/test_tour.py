"""`isinglass tour` as a newcomer meets it: the command in a process of its own, then its report in a real browser, from file://."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
COMMAND = [sys.executable, "-m", "isinglass.cli.main", "tour"]
STATIONS = [
    "architecture", "vocabularies", "tokenizers_compared", "next_token", "kv_cache", "decoding", "attention", "attention_kinds", "chat",
    "training",
]  # fmt: skip
READY = "[...document.querySelectorAll('ig-attention-grid,ig-figure')].every(element => element.dataset.ready)"
PAINTED = """() => {
  const map = document.querySelector('ig-attention-grid').map;
  const pixels = map.getContext('2d').getImageData(0, 0, map.width, map.height).data;
  const seen = new Set();
  for (let at = 0; at < pixels.length; at += 4)
    if (pixels[at + 3] === 255) seen.add((pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2]);
  return seen.size;
}"""


def start(folder, *options):
    """The command as a shell starts it; Ctrl-C works also where the tests run in the background, which makes children deaf to it."""
    return subprocess.Popen(
        [*COMMAND, *options],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_tour(tmp_path):
    process = start(tmp_path, "--steps", "20")  # all of it but the length of one training
    story, talk = process.communicate(timeout=500)
    assert process.returncode == 0, talk
    assert story.endswith("\n" + str(Path("out/tour/index.html")) + "\n")
    assert "10/10 training" in talk and "Traceback" not in talk
    # the six vocabularies hold an emoji of two columns, which rich counts as the terminal does
    from rich.cells import cell_len

    assert max(map(cell_len, story.split("\n"))) <= 80
    assert "\ufffd" not in story
    look_at(tmp_path / "out" / "tour" / "index.html")


def look_at(report):
    if CHROMIUM is None:
        pytest.skip("the report was written; no chromium on this machine to open it (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        complaints, requests = [], []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        page.wait_for_function(READY)
        assert page.evaluate("[...document.querySelectorAll('main section')].map(section => section.id)")[1:] == STATIONS
        assert page.evaluate(PAINTED) > 20
        assert page.locator("ig-figure svg, ig-figure canvas").count() >= 3
        assert "Paris" in page.locator("#chat").inner_text()
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert complaints == []
        assert requests == [report.as_uri()]
        browser.close()


def test_json_is_all_there_is_on_stdout(tmp_path):
    process = start(tmp_path, "--only", "architecture,vocabularies", "--json", "--out", "here")
    out, talk = process.communicate(timeout=200)
    assert process.returncode == 0, talk
    data = json.loads(out)
    assert data["report"] == str(Path("here/index.html")) and list(data["stations"]) == ["architecture", "vocabularies"]
    assert data["stations"]["architecture"]["n_parameters"] == 134_515_008
    assert (tmp_path / data["report"]).is_file()


def test_ctrl_c_keeps_the_stations_that_are_done(tmp_path):
    process = start(tmp_path, "--only", "architecture,kv_cache")
    # the second station measures for many seconds; stop it once it has begun
    assert any("2/2 kv cache" in line for line in process.stderr)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    story, talk = process.communicate(timeout=100)
    assert process.returncode == 130, talk
    assert talk.endswith("stopped\n") and "Traceback" not in talk
    assert "1. What it is made of" in story and "2." not in story.splitlines()[-1]
    report = tmp_path / "out" / "tour" / "index.html"
    assert "stopped after 1 of 2 stations" in report.read_text("utf-8")
    assert [path.name for path in report.parent.iterdir()] == ["index.html"]


def test_a_folder_that_cannot_be_is_refused_before_the_work(tmp_path):
    (tmp_path / "taken").write_text("a file")
    process = start(tmp_path, "--out", "taken/tour")
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 1 and out == ""
    assert "error: cannot write a report to 'taken/tour'" in talk and "hint: give another folder: --out FOLDER" in talk


def test_an_unknown_station_is_wrong_usage(tmp_path):
    process = start(tmp_path, "--only", "chatt")
    out, talk = process.communicate(timeout=60)
    assert process.returncode == 2 and out == ""
    assert "did you mean 'chat'?" in talk
