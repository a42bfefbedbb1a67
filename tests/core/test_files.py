"""A reader never sees half a file, whatever happens to the writer."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from isinglass.core.files import atomic, write_atomic


def test_the_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.txt"
    with atomic(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
    assert target.read_text() == "whole"
    assert [p.name for p in target.parent.iterdir()] == ["out.txt"]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_fault_leaves_what_was_there(tmp_path: Path, fault: type[BaseException]) -> None:
    target = tmp_path / "out.txt"
    for before in (None, "old"):
        if before:
            target.write_text(before)
        with pytest.raises(fault), atomic(target) as temporary:
            temporary.write_text("half")
            raise fault
        assert [p.name for p in tmp_path.iterdir()] == (["out.txt"] if before else [])
        assert not before or target.read_text() == before


WRITER = """
import sys, time
from isinglass.core.files import atomic
with atomic(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_is_killed_in_the_middle(tmp_path: Path, number: signal.Signals) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        process.wait(timeout=20)
    assert process.returncode != 0
    assert target.read_text() == "old"
    if number is signal.SIGINT:  # Ctrl-C is an exception, so the temporary file goes too; nothing can tidy up after the others
        assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_atomic(tmp_path / "made", "x")
    assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


@pytest.mark.parametrize("content", ["né\n", b"\xff\x00\r\n"])
def test_text_and_bytes_are_written_as_they_are(tmp_path: Path, content: str | bytes) -> None:
    path = write_atomic(tmp_path / "x", content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
