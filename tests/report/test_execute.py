"""Notebooks are run for real, in a kernel of this interpreter."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import isinglass
from isinglass.core.errors import ConfigError, DataError, ExtraMissing, IsinglassError
from isinglass.report.document import Code
from isinglass.report.execute import CellDone, Executed, execute, executing

WHOLE = '''"""A notebook."""
# %% [markdown]
# # Sums & things
# Some *text*.

# %% tags=["parameters"]
count = 2  # how many

# %%
import sys
import os
print(count + 1, file=sys.stderr)
print(sys.executable)
os.getcwd()

# %%
from isinglass.show.table import Table
display(Table([{"a": count}], title="T"))
from isinglass.show.marks.bars import bars
bars(["a", "b"], [1.0, count], title="Bars")

# %%
x = [0]
'''
FAILING = """# %%
print("before")

# %%
def half(x):
    return 1 / x

half(
    0
)

# %%
print("never")
"""


@pytest.fixture(scope="module", autouse=True)
def this_package():
    """The kernel sees the package that is tested, and none of the kernels that a user may have installed."""
    with pytest.MonkeyPatch.context() as patch:
        root = str(Path(isinglass.__file__).parents[1])
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One run with everything: (events, folder)."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "sums.py").write_text(WHOLE, "utf-8")
    (folder / "in").mkdir()
    events = list(executing(folder / "sums.py", out=folder / "out" / "sums.ipynb", parameters={"count": 41}, folder=folder / "in"))
    return events, folder


def ended(path: Path) -> nbformat.NotebookNode:
    node = nbformat.read(path, as_version=4)
    nbformat.validate(node)
    return node


def test_every_code_cell_is_told_and_then_the_document(whole):
    events, folder = whole
    assert [(event.number, event.total, event.line) for event in events[:-1] if isinstance(event, CellDone)] == [
        (1, 4, 7),
        (2, 4, 10),
        (3, 4, 17),
        (4, 4, 23),
    ]
    assert isinstance(events[-1], Executed) and events[-1].path == folder / "out" / "sums.ipynb"


def test_outputs_are_those_of_a_real_run(whole):
    document = whole[0][-1].document
    assert document.title == "Sums & things"
    text, parameters, printed, shown, silent = document.parts
    assert text == "Some *text*." and parameters.source == "count = 41  # how many"
    # the two streams come through different pipes, in any order
    assert sorted((output.kind, output.text) for output in printed.outputs) == [
        ("result", repr(str(whole[1] / "in"))),
        ("stderr", "42\n"),
        ("stdout", f"{sys.executable}\n"),
    ]
    assert len(shown.outputs) == 2
    assert shown.outputs[0].data["text/markdown"].endswith("| 41 |")
    assert shown.outputs[1].data["image/svg+xml"].startswith("<svg")
    assert silent == Code("x = [0]", (), 4, (), 23)


def test_the_saved_notebook_is_the_document(whole):
    folder = whole[1]
    node = ended(folder / "out" / "sums.ipynb")
    assert [cell.cell_type for cell in node.cells] == ["markdown", "code", "code", "code", "code"]
    assert node.cells[0].source == "# Sums & things\n\nSome *text*."
    assert [cell.execution_count for cell in node.cells[1:]] == [1, 2, 3, 4]
    assert node.cells[1].metadata.tags == ["parameters"]
    assert node.cells[3].outputs[1].output_type == "execute_result"
    assert [entry.name for entry in (folder / "out").iterdir()] == ["sums.ipynb"]


def test_it_can_be_saved_in_every_format(whole, tmp_path):
    document = whole[0][-1].document
    assert "![Bars](sums_files/figure-01.svg)" in document.save(tmp_path / "sums.md").read_text("utf-8")
    assert 'alt="Bars" src="data:image/svg+xml;base64,' in document.save(tmp_path / "sums.html").read_text("utf-8")


def test_a_fault_is_told_with_its_line_and_what_ran_is_kept(tmp_path):
    path, out = tmp_path / "f.py", tmp_path / "f.ipynb"
    path.write_text(FAILING, "utf-8")
    with pytest.raises(IsinglassError) as caught:
        execute(path, out=out)
    assert str(caught.value) == (
        f"{path}:6: code cell 2 failed: ZeroDivisionError: division by zero\n  return 1 / x\nhint: the whole traceback is in {str(out)!r}"
    )
    first, second, third = ended(out).cells[1:]
    assert first.outputs[0].text == "before\n"
    assert (second.execution_count, second.outputs[0].ename) == (2, "ZeroDivisionError")
    assert (third.execution_count, third.outputs) == (None, [])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "\n\nx = = 1\n",
            "{path}:4: code cell 1 failed: SyntaxError: invalid syntax\n  x = = 1\nhint: ",
        ),
        (
            "import os; os._exit(3)",
            "{path}:2: code cell 1 ended its kernel\n  it called exit, crashed, or memory ran out\nhint: run the cells one by one in an editor to see which line it is",
        ),
        ("while True: pass", "{path}:2: code cell 1 took longer than the limit for one cell\nhint: give a larger timeout_seconds, or None"),
        (
            "raise KeyError",
            "{path}:2: code cell 1 failed: KeyError\n  raise KeyError\nhint: give out='run.ipynb' to keep the traceback and what ran before",
        ),
    ],
)
def test_other_ends(tmp_path, source, message):
    path = tmp_path / "e.py"
    path.write_text(f"# %%\n{source}\n", "utf-8")
    with pytest.raises(IsinglassError) as caught:
        execute(path, timeout_seconds=3)
    assert str(caught.value).startswith(message.format(path=path))


def kernels(folder: Path) -> list[int]:
    """Processes that run in `folder`."""
    found = []
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdigit() and (process / "cwd").resolve() == folder.resolve():
                found.append(int(process.name))
    return found


def test_a_closed_iterator_ends_the_kernel_and_keeps_what_ran(tmp_path):
    (tmp_path / "c.py").write_text("# %%\nprint(1)\n# %%\nprint(2)\n", "utf-8")
    events = executing(tmp_path / "c.py", out=tmp_path / "c.ipynb", folder=tmp_path)
    assert next(events).number == 1
    events.close()
    assert [cell.execution_count for cell in ended(tmp_path / "c.ipynb").cells[1:]] == [1, None]
    assert kernels(tmp_path) == []


INTERRUPTED = """
import sys
from isinglass.report.execute import executing
for event in executing("c.py", out="c.ipynb"):
    print("done", flush=True)
"""


def test_ctrl_c_ends_the_kernel_and_keeps_what_ran(tmp_path):
    (tmp_path / "c.py").write_text("# %%\nprint(1)\n# %%\nprint('two', flush=True)\nimport time\ntime.sleep(99)\n", "utf-8")
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "done\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1 and errors.rstrip().endswith("KeyboardInterrupt")
    assert ended(tmp_path / "c.ipynb").cells[1].execution_count == 1
    assert kernels(tmp_path) == []


def test_what_is_wrong_is_told_before_anything_runs(tmp_path):
    path = tmp_path / "w.py"
    path.write_text(WHOLE, "utf-8")
    with pytest.raises(ConfigError, match=r"unknown parameter 'cuont' in .*w\.py\n  known: count\nhint: did you mean 'count'\?"):
        execute(path, parameters={"cuont": 1})
    with pytest.raises(ConfigError, match=r"unknown document format '\.doc'"):
        execute(path, out=tmp_path / "w.doc")
    with pytest.raises(ConfigError, match=r"folder = '.*none': no such folder to run .*w\.py in\nhint: mkdir -p"):
        execute(path, folder=tmp_path / "none")
    with pytest.raises(DataError, match="cannot read the notebook"):
        execute(tmp_path / "none.py")
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.py"]


def test_without_nbclient_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "w.py").write_text(WHOLE, "utf-8")
    monkeypatch.setitem(sys.modules, "nbclient", None)
    with pytest.raises(ExtraMissing, match=r"this needs the package 'nbclient'[\s\S]*pip install 'isinglass\[report\]'"):
        execute(tmp_path / "w.py")
