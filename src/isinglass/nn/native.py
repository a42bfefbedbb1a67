"""Our few functions in C++: built with the machine's own compiler when they are first asked for, then kept in the cache folder."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from isinglass.assets.find import cache_folder
from isinglass.core.errors import EngineError
from isinglass.core.files import atomic

FOLDER = Path(__file__).with_name("cpp")
_log = logging.getLogger(__name__)


@functools.cache
def load(name: str) -> None:
    """Make the operators of `cpp/<name>.cpp` known to torch, as `torch.ops.isinglass.*`.

    Raises EngineError without a C++ compiler (GCC or Clang), or with what the compiler said.
    """
    torch.ops.load_library(build(FOLDER / f"{name}.cpp"))


@functools.cache
def quantized_matvec() -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The product of quantised weights, known to torch, to its compiler and to its counter of FLOPs. EngineError as for `load`."""
    load("quantized_matvec")
    _describe()
    return torch.ops.isinglass.quantized_matvec.default


@functools.cache
def _describe() -> None:
    torch.library.register_fake("isinglass::quantized_matvec", _shape)
    register_flop_formula(torch.ops.isinglass.quantized_matvec)(_flops)


def _shape(x: Tensor, codes: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], scale.shape[0] * scale.shape[2])


def _flops(x: Sequence[int], codes: Sequence[int], scale: Sequence[int], *_: object, out_shape: object = None, **__: object) -> int:
    """Of the product alone, as torch counts a dense one; from the shapes of what is given."""
    return 2 * x[0] * x[1] * scale[0] * scale[2]


def available() -> bool:
    """Whether this machine can build the product of quantised weights (10 s the first time). Without, dense weights serve, only slower."""
    try:
        quantized_matvec()
    except EngineError:
        return False
    return True


def compiler() -> str | None:
    """The machine's C++ compiler, if it has one."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


def build(source: Path) -> Path:
    """The shared library, named after everything that decides its content; built, and a line about it logged, when it is not there."""
    program = compiler()
    if program is None:
        raise EngineError(f"{source.name} needs a C++ compiler, and neither g++ nor clang++ was found", hint="install g++, or set CXX")
    headers = [header.read_bytes() for header in sorted(source.parent.glob("*.h"))]
    # -march=native is part of the name: a cache folder may be shared by machines with different processors
    content = (source.read_bytes(), headers, program, torch.__version__, _processor())
    library = cache_folder() / "native" / f"{source.stem}-{hashlib.sha256(repr(content).encode()).hexdigest()[:16]}.so"
    if not library.is_file():
        # at this level Python shows it on stderr without being asked: twenty silent seconds look like a fault
        _log.warning("building %s for this processor: once, 10 to 20 s", source.name)
        root = Path(torch.__file__).parent
        options = ["-O3", "-march=native", "-std=c++20", "-fopenmp", "-shared", "-fPIC"]
        includes = [f"-I{root / 'include'}", f"-I{root / 'include' / 'torch' / 'csrc' / 'api' / 'include'}"]
        with atomic(library) as temporary:
            command = [program, *options, *includes, str(source), "-o", str(temporary), f"-L{root / 'lib'}", "-ltorch_cpu", "-lc10"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise EngineError(f"{program} could not build {source.name}", details=done.stderr.splitlines()[:12])
    return library


def _processor() -> str:
    """What the processor can do, as far as the system says."""
    info = Path("/proc/cpuinfo")
    flags = [line for line in info.read_text().splitlines() if line.startswith(("flags", "Features"))] if info.is_file() else []
    return platform.machine() + (flags[0] if flags else platform.processor())
