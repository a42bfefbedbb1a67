"""`isinglass doctor`: whether this machine has what is needed, and the command that mends what is missing."""

from __future__ import annotations

import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import isinglass
from isinglass.assets.find import cache_folder, listing
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import verb
from isinglass.core.runtime import cores
from isinglass.core.units import size
from isinglass.show.table import Table

EXAMPLES = ("isinglass doctor", "isinglass doctor --json")
app = verb("doctor", EXAMPLES, notes=["Exit code 1 when something needed is missing."])
_LEAST_MEMORY_BYTES = 2e9  # SmolLM2 in float32, its packed twin and the cache


class Check(NamedTuple):
    """One line of the report. `state` is good, note (optional, or slower) or missing; `mend` is a command."""

    check: str
    found: str
    state: str = "good"
    mend: str = ""


@app.default
def doctor(
    *,
    output: Output = Output(),  # noqa: B008 - frozen
) -> int:
    """Check this machine: packages, processor, memory, assets."""
    with output.working("looking"):
        checks = [*_software(), *_machine(), *_assets(), *_extras()]
    missing = [check for check in checks if check.state == "missing"]
    title = f"{len(missing)} things are missing" if missing else "Everything needed is here"
    columns = ["check", "found", "state", *(["mend"] if any(check.mend for check in checks) else [])]
    table = Table([check._asdict() for check in checks], title=title, columns=columns)
    output.emit(Result({"good": not missing, "checks": [check._asdict() for check in checks]}, parts=[table]))
    return 1 if missing else 0


def _software() -> Iterator[Check]:
    new_enough = sys.version_info >= (3, 11)
    yield Check(
        "Python", platform.python_version(), "good" if new_enough else "missing", "" if new_enough else "install Python 3.11 or newer"
    )
    yield Check("isinglass", f"{isinglass.__version__} in {Path(isinglass.__file__).parent}")
    try:
        torch = importlib.import_module("torch")
    except ImportError as fault:
        yield Check("torch", f"cannot be imported: {fault}", "missing", "pip install 'torch>=2.7'")
        return
    yield Check("torch", f"{torch.__version__}, {torch.get_num_threads()} threads on {cores()} cores")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: everything runs on the processor"
    yield Check("accelerator", device)


def _machine() -> Iterator[Check]:
    flags = _cpu_flags()
    known = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16") if flag in flags]
    bf16 = {"avx512_bf16", "amx_bf16", "bf16"} & flags
    yield Check("processor", f"{platform.machine()} {' '.join(known)}".strip(), "good" if bf16 else "note")
    if not bf16:
        yield Check("bfloat16", "no instructions of its own: may be slower than float32", "note")
    memory = _memory_bytes()
    if memory:
        yield Check("memory", size(memory), "good" if memory >= _LEAST_MEMORY_BYTES else "note")
    cache = cache_folder()
    nearest = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    writable = os.access(nearest, os.W_OK)
    found = f"{cache}, {size(shutil.disk_usage(nearest).free)} free" + ("" if writable else ", cannot be written")
    yield Check("cache", found, "good" if writable else "missing", "" if writable else "export ISINGLASS_CACHE=FOLDER")


def _assets() -> Iterator[Check]:
    """The embedded set; `listing` finds only files with the right sha256."""
    for row in listing():
        if row["default"]:
            mend = "" if row["present"] else f"isinglass assets get {row['name']}"
            yield Check(
                f"asset {row['name']}", "sha256 verified" if row["present"] else "not here", "good" if row["present"] else "missing", mend
            )


def _extras() -> Iterator[Check]:
    """Optional packages, by the extra that brings them."""
    wanted: dict[str, list[str]] = {}
    for requirement in metadata.requires("isinglass") or []:
        name, extra = re.match(r"[\w.-]+", requirement), re.search(r"extra == ['\"](\w+)['\"]", requirement)
        if name and extra and name[0] != "isinglass":
            wanted.setdefault(extra[1], []).append(name[0])
    for extra, packages in wanted.items():
        absent = [package for package in packages if not _installed(package)]
        found = "complete" if not absent else f"without {', '.join(absent)}"
        yield Check(f"extra {extra}", found, "note" if absent else "good", f"pip install 'isinglass[{extra}]'" if absent else "")


def _installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _cpu_flags() -> set[str]:
    """What Linux says of the processor; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    found = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def _memory_bytes() -> int | None:
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
