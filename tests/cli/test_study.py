"""`isinglass study`, with a notebook of two cells in place of the real ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

import isinglass
from isinglass.studies import study as module
from isinglass.studies.study import Study

SOURCE = """# %% [markdown]
# # Counting

# %% tags=["parameters"]
quick = False
seed = 0

# %%
from pathlib import Path

Path("README.md").write_text(f"{quick} {seed}", "utf-8")
"""
WAITING = """
# %%
import time

Path("waits").touch()
time.sleep(300)
"""
# the command line, with that notebook as the only study
RUN = """
import sys
from pathlib import Path
from isinglass.cli.main import main
from isinglass.studies import study
study.studies = lambda: {"count": study.Study("count", "Counting", Path(sys.argv[1]))}
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    path = tmp_path / "assignment_9.py"
    path.write_text(SOURCE, "utf-8")
    monkeypatch.setattr(module, "studies", lambda: {"count": Study("count", "Counting", path)})
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return path


def test_the_list_names_each_study_with_its_parameters(cli, source):
    ran = cli("study", "list")
    assert ran.code == 0 and all(word in ran.out for word in ("count", "Counting", "quick seed"))
    row = {"study": "count", "title": "Counting", "notebook": "assignment9.ipynb", "parameters": ["quick", "seed"]}
    assert cli("study", "list", "--json").json == [row]


def test_a_run_says_what_it_does_and_what_it_wrote(cli, source, tmp_path):
    out = tmp_path / "out"
    ran = cli("study", "count", "--out", out, "--quick", "--seed", "5")
    assert ran.code == 0
    assert [line.split(":")[1].strip() for line in ran.err.splitlines()] == ["cell 1 of 2, line 5", "cell 2 of 2, line 9"]
    assert f"{out / 'README.md'}: what was found" in ran.out and f"{out / 'assignment9.ipynb'}: 2 cells" in ran.out
    assert (out / "README.md").read_text("utf-8") == "True 5"


def test_any_parameter_can_be_set(cli, source, tmp_path):
    assert cli("study", "count", "--out", tmp_path / "out", "--set", "seed=7").code == 0
    assert (tmp_path / "out" / "README.md").read_text("utf-8") == "False 7"
    ran = cli("study", "count", "--out", tmp_path / "out", "--set", "quick=true")
    said = "error: --set quick: this is no parameter of a study\nhint: isinglass study NAME --out FOLDER --quick\n"
    assert (ran.code, ran.err) == (2, said)


def test_json_and_quiet(cli, source, tmp_path):
    ran = cli("study", "count", "--out", tmp_path / "out", "--json", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert found.pop("seconds") > 0
    assert found == {
        "study": "count", "title": "Counting", "parameters": {"quick": False}, "notebook": str(tmp_path / "out" / "assignment9.ipynb"),
        "readme": str(tmp_path / "out" / "README.md"), "figures": [], "cells": 2,
    }  # fmt: skip


def test_what_a_study_does_not_take_is_wrong_usage(cli, source, tmp_path):
    ran = cli("study", "count", "--out", tmp_path / "out", "--data", "kjv")
    assert ran.code == 2 and "unknown parameter 'data' in study 'count'\n  known: quick, seed" in ran.err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_the_cells_that_are_done(source, tmp_path):
    source.write_text(SOURCE + WAITING, "utf-8")
    path = os.pathsep.join([str(Path(isinglass.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    arguments = [sys.executable, "-c", RUN, str(source), "study", "count", "--out", str(tmp_path / "out")]
    child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
    while not (tmp_path / "out" / "waits").exists() and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    out, said = child.communicate(timeout=120)
    assert (child.returncode, out) == (130, ""), said
    assert said.splitlines()[-1] == "stopped" and "Traceback" not in said
    cells = [cell for cell in nbformat.read(tmp_path / "out" / "assignment9.ipynb", as_version=4).cells if cell.cell_type == "code"]
    assert cells[1].outputs[0]["data"]["text/plain"] == "7" and (tmp_path / "out" / "README.md").read_text("utf-8") == "False 0"
