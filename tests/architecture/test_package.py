"""The package as a whole: what is public, what is imported when, how long files are."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import pytest

import isinglass as ig

ROOT = Path(ig.__file__).parent
MODULES = sorted(module.name for module in pkgutil.walk_packages([str(ROOT)], "isinglass.") if not module.name.endswith("__main__"))
TORCH_FREE = ("core", "show", "assets", "text", "report", "metrics", "economics")


def python(*arguments: str) -> str:
    """Run a fresh interpreter that sees the same package."""
    path = os.pathsep.join([str(ROOT.parent), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path})
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize("name", MODULES)
def test_every_module_imports_and_says_what_it_is(name: str) -> None:
    assert (importlib.import_module(name).__doc__ or "").strip()


def test_public_names_resolve_are_sorted_and_are_all_that_is_visible() -> None:
    assert ig.__all__ == sorted(ig.__all__)
    assert all(getattr(ig, name) is not None for name in ig.__all__)
    assert dir(ig) == sorted([*ig.__all__, "__version__"])
    with pytest.raises(AttributeError, match="module 'isinglass' has no attribute 'nothing'"):
        ig.nothing  # noqa: B018


def test_public_names_survive_importing_every_module() -> None:
    """A submodule named like a verb would take its place in the package."""
    code = "import importlib, isinglass as ig; [importlib.import_module(n) for n in {!r}]; print(all(callable(getattr(ig, n)) for n in ig.__all__))"
    assert python("-c", code.format(MODULES)) == "True"


def test_type_checkers_see_the_same_names() -> None:
    stub = (ROOT / "__init__.pyi").read_text()
    for name, home in ig._HOMES.items():
        assert f"from isinglass.{home} import {name} as {name}\n" in stub
    assert ast.literal_eval(stub.partition("__all__ = ")[2]) == ig.__all__


def test_import_isinglass_imports_no_torch_and_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pydantic", "altair", "rich", "sklearn")
    assert python("-c", f"import isinglass, sys; print([m for m in {heavy!r} if m in sys.modules])") == "[]"


def test_import_isinglass_is_quick() -> None:
    def seconds(code: str) -> float:
        began = time.perf_counter()
        python("-c", code)
        return time.perf_counter() - began

    # the clock of a loaded machine measures the load: take turns, and compare with an interpreter that does nothing
    spent = [(seconds("pass"), seconds("import isinglass")) for _ in range(5)]
    assert median(slow for _, slow in spent) - median(plain for plain, _ in spent) < 0.150


@pytest.mark.parametrize("layer", [layer for layer in TORCH_FREE if (ROOT / layer).is_dir()])
def test_low_layers_import_no_torch(layer: str) -> None:
    names = [name for name in MODULES if name.split(".")[1] == layer]
    code = "import importlib, sys; [importlib.import_module(n) for n in {!r}]; print('torch' in sys.modules)"
    assert python("-c", code.format(names)) == "False"


def test_names_and_cards_import_no_torch() -> None:
    """`isinglass explain` answers at once."""
    code = "import sys; from isinglass.core.cards import cards, find_card; print(len(cards()) > 20, find_card('rotary').family, 'torch' in sys.modules)"
    assert python("-c", code) == "True positions False"


# the notebooks of studies/book are documents, read from top to bottom; an assignment has as many parts as it asks for
CODE = [file for file in sorted(ROOT.rglob("*.py")) if ROOT / "studies/book" not in file.parents]


@pytest.mark.parametrize("file", CODE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_longer_than_400_lines(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_family_holds_a_stub() -> None:
    """An empty folder or a module without code is a defect."""
    for folder in (path for path in ROOT.rglob("*") if path.is_dir() and path.name != "__pycache__"):
        assert [f for f in folder.rglob("*") if f.is_file() and f.suffix != ".pyc"], f"{folder} is empty"
