"""Results to stdout, talk to stderr, colour only where it is wanted."""

import re

from isinglass.show import terminal
from isinglass.show.marks.bars import bars
from isinglass.show.table import Table

TABLE = Table([{"a": 1}], title="T")


def test_color_can_be_asked_for_and_refused():
    assert re.search(r"\x1b\[[0-9;]*m", TABLE.to_terminal(40, color=True))
    assert "\x1b" not in TABLE.to_terminal(40, color=False)


def test_no_color_is_honoured_even_in_a_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b" in TABLE.to_terminal(40)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in TABLE.to_terminal(40)


def test_a_sketch_is_the_same_without_color():
    figure = bars(["a", "b"], [1.0, 0.5], title="t")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", figure.to_terminal(60, color=True))
    assert [line.rstrip() for line in plain.split("\n")] == figure.to_terminal(60, color=False).split("\n")


def test_markup_and_escape_sequences_in_values_are_only_text(capsys):
    terminal.results(width=60).print(Table([{"[bold]x[/bold]": "[red]\x1b[31mhi"}], title="[b]T"))
    out = capsys.readouterr().out
    assert "[bold]x[/bold]" in out and "[red]␛[31mhi" in out and "[b]T" in out and "\x1b" not in out


def test_talk_goes_to_stderr_and_can_be_quiet(capsys):
    terminal.heading(terminal.talk(), "Reading")
    terminal.talk(quiet=True).print("nothing")
    with terminal.progress("loading", 2, console=terminal.talk(quiet=True)) as advance:
        advance(2)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "\nReading\n")


def test_progress_says_what_is_done_on_stderr_only(capsys):
    with terminal.progress("loading weights", 2) as advance:
        advance(1)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "loading weights …\n")  # a pipe gets one line instead of a bar
