"""The command itself: help, versions, wrong usage, speed of start, pipes."""

from __future__ import annotations

import importlib
import logging
import os
import resource
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

from helpers.command import command
from isinglass.cli import main as main_module
from isinglass.cli.main import VERBS, build_app

MODULES = {name: importlib.import_module(f"isinglass.cli.{name}") for name in VERBS}
EVERY_EXAMPLE = [example for module in (main_module, *MODULES.values()) for example in module.EXAMPLES]
CHEAP = [
    example
    for example in EVERY_EXAMPLE
    if shlex.split(example)[1] in {"tokens", "explain", "model", "assets", "doctor"} and "--default" not in example
]


def test_quiet_also_holds_for_what_the_package_logs(cli, monkeypatch, caplog):
    log = logging.getLogger("isinglass.nn.native")
    monkeypatch.setattr(main_module, "_run", lambda arguments: log.warning("building for %s", arguments[1:]) or 0)
    assert cli("doctor").code == cli("doctor", "--quiet").code == 0
    assert [record.message for record in caplog.records] == ["building for []"]
    assert logging.getLogger("isinglass").level == logging.NOTSET


@pytest.mark.parametrize("name", VERBS)
def test_help_of_a_verb_has_its_line_its_options_and_its_examples(cli, name):
    ran = cli(name, "--help")
    assert ran.code == 0 and ran.err == ""
    assert VERBS[name] in ran.out
    text = " ".join(ran.out.replace("\\\n", " ").split())
    for example in MODULES[name].EXAMPLES:
        assert " ".join(example.split()) in text


@pytest.mark.parametrize(
    "name", [name for name in VERBS if name not in ("model", "data", "assets", "bench", "verify", "inspect", "embed", "rag", "task")]
)
def test_every_verb_has_the_three_options(cli, name):
    out = cli(name, "--help").out
    assert all(option in out for option in ("--json", "--save", "--quiet"))


@pytest.mark.parametrize(
    "arguments",
    [
        "model list",
        "model show",
        "assets list",
        "assets get",
        "inspect architecture",
        "inspect predict",
        "inspect calibrate",
        "inspect attention",
        "inspect heads",
        "inspect layers",
        "inspect patch",
        "inspect attribute",
        "inspect probe",
        "inspect compare",
        "inspect timeline",
        "verify class",
        "tokens compare",
        "tokens audit",
        "verify claims",
        "verify book",
        "bench attention",
        "data show",
        "data prepare",
    ],
)
def test_parts_of_verbs_have_the_three_options(cli, arguments):
    out = cli(*arguments.split(), "--help").out
    assert all(option in out for option in ("--json", "--save", "--quiet"))


@pytest.mark.parametrize("example", EVERY_EXAMPLE)
def test_examples_in_help_are_understood(example):
    name, *arguments = shlex.split(example)
    function, bound, _ = build_app().parse_args(arguments, exit_on_error=False, print_error=False)
    assert name == "isinglass" and function.__module__.startswith(f"isinglass.cli.{arguments[0]}") and bound is not None


@pytest.mark.parametrize("example", CHEAP)
def test_cheap_examples_run(cli, example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("README.md").write_text("# A text\n\nwith two paragraphs.\n", encoding="utf-8")
    ran = cli(*shlex.split(example)[1:])
    assert ran.code == 0 and ran.out.strip() and "error:" not in ran.err


def test_help_lists_every_verb_in_order(cli):
    out = cli("--help").out
    places = [out.index(f"\n│ {name} ") for name in VERBS]
    assert places == sorted(places)


def test_version(cli):
    assert cli("--version").out == "isinglass 0.1.0\n"


def test_help_is_quick_and_without_torch():
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command("--help"), check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # processor time: other tests may run beside this one
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert statistics.median(seconds) < 0.5, seconds


@pytest.mark.parametrize(
    "arguments", [["--help"], ["explain", "sliding_window"], ["explain"], ["assets", "list"], ["tokens", "Hello"], ["predict", "--help"]]
)
def test_no_torch_where_no_model_is_used(arguments):
    code = f"import sys; from isinglass.cli.main import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            ["predct"],
            ["error: unknown verb 'predct'", "  known: assets, bench, chat,", "hint: did you mean 'predict'?  isinglass predict --help"],
        ),
        (
            ["model", "shwo"],
            ["error: unknown part of model 'shwo'", "  known: list, show", "hint: did you mean 'show'?  isinglass model --help"],
        ),
        (
            ["predict", "m", "x", "--tpo", "3"],
            ["error: unknown option '--tpo' in predict", "hint: did you mean '--top'?  isinglass predict --help"],
        ),
        (["tokens", "--fle", "a.txt"], ["error: unknown option '--fle' in tokens", "hint: did you mean '--file'?"]),
        (["tokens", "--jsn"], ["error: unknown option '--jsn' in tokens", "hint: did you mean '--json'?"]),
        (["predict", "m"], ["error: isinglass predict: TEXT is missing", "hint: isinglass predict --help"]),
        (["predict", "m", "a", "b"], ["error: isinglass predict: 'b' is one argument too many", "  quote a text that has spaces"]),
        (["predict", "m", "a", "--top"], ["error: isinglass predict: --top needs a value"]),
        (["predict", "m", "a", "--top", "many"], ["error: --top = 'many': expected a whole number"]),
        (["predict", "m", "a", "--top", "0"], ["error: --top = '0': expected at least 1"]),
        (["predict", "m", "a", "--temperatures", "1,x"], ["error: --temperatures = '1,x': expected numbers such as 0.1,1,2"]),
        (["predict", "m", "a", "--temperatures=-1"], ["error: --temperatures = '-1': expected at least 0"]),
        (["tokens", "a", "--special", "prase"], ["error: --special = 'prase': expected one of text, parse, error"]),
        (["tokens"], ["error: no text was given"]),
        (["tokens", "a", "--with", ","], ["error: --with names no tokenizer", "hint: --with gpt2"]),
        (["tokens", "a", "--save", "out.docx"], ["error: unknown file format '.docx' in --save out.docx", "  known: .csv, .html, .json"]),
        (["generate", "m"], ["error: give either a PROMPT or --prompts-file, one of them"]),
        (["generate", "m", "a", "--max-tokens", "0"], ["error: --max-tokens = '0': expected at least 1"]),
        (
            ["generate", "m", "a", "--strategy", "sample", "--top-p", "0.9"],
            ["error: --top-p beside --strategy 'sample'", 'hint: write it inside: --strategy "sample(top_p=0.9)"'],
        ),
        (["chat", "m", "--json"], ["error: --json needs a MESSAGE"]),
        (["assets", "get"], ["error: name an asset, or --default for the embedded set"]),
        (["model", "show", "tiny", "--bytes-per-number", "0"], ["error: --bytes-per-number = 0: expected at least 1"]),
    ],
)
def test_wrong_usage_is_told_in_the_house_form(cli, arguments, lines):
    ran = cli(*arguments)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith(lines[0])
    assert all(line in ran.err for line in lines)
    assert "Traceback" not in ran.err


def test_a_reader_that_goes_away_is_no_error():
    running = subprocess.Popen(command("explain", "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    running.stdout.close()  # type: ignore[union-attr]
    error = running.stderr.read()  # type: ignore[union-attr]
    running.stderr.close()  # type: ignore[union-attr]
    assert running.wait() == 141 and error == b""


def test_a_stdout_that_cannot_show_a_character_still_gets_everything(process):
    ran = process("tokens", "naïve 🙂", PYTHONIOENCODING="ascii")
    assert ran.code == 0 and r"\u2502" in ran.out and ran.err == ""


@pytest.mark.parametrize("columns", [40, 72])
@pytest.mark.parametrize("arguments", [["explain"], ["tokens", "Hello, world!"], ["assets", "list"], ["explain", "causal"]])
def test_nothing_is_wider_than_the_window(process, columns, arguments):
    ran = process(*arguments, COLUMNS=str(columns), NO_COLOR="1")
    assert ran.code == 0
    assert max(map(cell_len, ran.out.splitlines())) <= columns
    assert "\x1b" not in ran.out


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo terminal")
def test_colour_is_used_on_a_terminal_and_not_with_no_color():
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = os.openpty()
        environment = {**{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, "TERM": "xterm-256color", **extra}
        done = subprocess.run(command("tokens", "Hi there"), stdout=theirs, stderr=subprocess.PIPE, env=environment)
        os.close(theirs)
        shown = os.read(ours, 65536)
        os.close(ours)
        assert done.returncode == 0 and (b"\x1b[" in shown) is coloured
