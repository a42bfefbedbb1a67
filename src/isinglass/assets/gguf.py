"""Reading GGUF files: a header of typed metadata, a table of tensors, then their bytes.

Format: docs/gguf.md of github.com/ggml-org/ggml, versions 2 and 3, little endian. The file is mapped into memory, so opening
costs only the header: 0.07 to 0.2 s for SmolLM2 (49,152 tokens, 48,900 merges), against 5.3 to 8.5 s with `gguf.GGUFReader`
(idle to busy, 2 shared cores, 2026-11).
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isinglass.core.errors import CheckpointError, unknown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .quants import Groups

_STRING, _ARRAY = 8, 9
_SCALARS = {
    number: struct.Struct("<" + code)
    for number, code in {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}.items()
}
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_MAX_NESTING = 4  # arrays of arrays: none is known in practice; a limit keeps a damaged file from exhausting the stack
_DEFAULT_ALIGNMENT = 32


@dataclass(frozen=True)
class TensorType:
    """A ggml tensor type: a block of `block_values` numbers takes `block_bytes`."""

    name: str
    block_values: int
    block_bytes: int


# Every type with an id in ggml, so that a file with another quantisation can still be opened for its metadata.
TENSOR_TYPES = {
    number: TensorType(name, block_values, block_bytes)
    for number, name, block_values, block_bytes in [
        (0, "F32", 1, 4), (1, "F16", 1, 2), (2, "Q4_0", 32, 18), (3, "Q4_1", 32, 20), (6, "Q5_0", 32, 22), (7, "Q5_1", 32, 24),
        (8, "Q8_0", 32, 34), (9, "Q8_1", 32, 40), (10, "Q2_K", 256, 84), (11, "Q3_K", 256, 110), (12, "Q4_K", 256, 144),
        (13, "Q5_K", 256, 176), (14, "Q6_K", 256, 210), (15, "Q8_K", 256, 292), (16, "IQ2_XXS", 256, 66), (17, "IQ2_XS", 256, 74),
        (18, "IQ3_XXS", 256, 98), (19, "IQ1_S", 256, 50), (20, "IQ4_NL", 32, 18), (21, "IQ3_S", 256, 110), (22, "IQ2_S", 256, 82),
        (23, "IQ4_XS", 256, 136), (24, "I8", 1, 1), (25, "I16", 1, 2), (26, "I32", 1, 4), (27, "I64", 1, 8), (28, "F64", 1, 8),
        (29, "IQ1_M", 256, 56), (30, "BF16", 1, 2), (34, "TQ1_0", 256, 54), (35, "TQ2_0", 256, 66), (39, "MXFP4", 32, 17),
    ]
}  # fmt: skip


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's place: `shape` in numpy order (the reverse of ggml's), `offset` in bytes from the start of the file."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset: int
    bytes: int


class GGUF:
    """An open GGUF file: `metadata` and `tensors` by name; `read` gives values, `raw` the packed bytes.

    Raises CheckpointError when the file is not GGUF, of another version, damaged or cut short.

    >>> from isinglass.assets.find import find
    >>> GGUF(find("smollm2")).metadata["llama.block_count"]  # doctest: +SKIP
    30
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._data = _map(self.path)
        header = _Header(self._data, self.path)
        version, n_tensors, n_entries = header.start()
        self.version = version
        self.metadata: dict[str, Any] = {}
        for _ in range(n_entries):
            key = header.string()
            if key in self.metadata:
                raise header.damaged(f"the metadata key {key!r} occurs twice")
            self.metadata[key] = header.value(header.scalar(4), f"metadata {key!r}")
        infos = [header.tensor() for _ in range(n_tensors)]
        self.tensors = _placed(infos, self._data_start(header), len(self._data), header)

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The packed bytes of a tensor: a read-only view of the file, one dimension."""
        import numpy as np

        info = self._info(name)
        return np.frombuffer(self._data, dtype=np.uint8, count=info.bytes, offset=info.offset)

    def read(self, name: str) -> NDArray[np.float32]:
        """The values of a tensor as a new float32 array of its shape. Raises CheckpointError for an unsupported type."""
        from .quants import SUPPORTED, dequantize

        info = self._info(name)
        if info.type not in SUPPORTED:
            raise CheckpointError(
                f"tensor {name!r} of {self.path} has the type {info.type}, which cannot be read",
                details=[f"supported: {', '.join(SUPPORTED)}"],
                hint="convert the file to one of these, for example with llama.cpp's llama-quantize",
            )
        return dequantize(self.raw(name), info.type).reshape(info.shape)

    def groups(self, name: str) -> Groups | None:
        """A quantised tensor's own whole numbers and scales; None when its type has no groups of 32."""
        from .quants import read_groups

        return read_groups(self.raw(name), self._info(name).type)

    def _info(self, name: str) -> TensorInfo:
        if name not in self.tensors:
            raise unknown("tensor", name, self.tensors, where=str(self.path), error=CheckpointError)
        return self.tensors[name]

    def _data_start(self, header: _Header) -> int:
        alignment = self.metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise header.damaged(f"general.alignment is {alignment!r}, expected a power of two")
        return -(-header.position // alignment) * alignment


class _Header:
    """A cursor over the file's header. Every read is checked against the file's end, so damaged counts stop at once."""

    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data, self.path, self.position = data, path, 0

    def damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path} is a damaged GGUF file: {what}")

    def start(self) -> tuple[int, int, int]:
        """Magic and version -> version, number of tensors, number of metadata entries."""
        version = self.scalar(4) if self._take(4) == b"GGUF" else None
        if version is None:
            raise CheckpointError(f"{self.path} is not a GGUF file: it starts with {self._data[:4]!r}, expected b'GGUF'")
        if version not in (2, 3):
            big_endian = " (a big-endian file)" if version and version & 0xFFFF == 0 else ""
            raise CheckpointError(f"{self.path} is GGUF version {version}{big_endian}, expected 2 or 3 in little-endian order")
        return version, self.scalar(10), self.scalar(10)

    def scalar(self, kind: int) -> Any:
        layout = _SCALARS[kind]
        return layout.unpack(self._take(layout.size))[0]

    def string(self) -> str:
        content = self._take(self.scalar(10))
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged(f"the text at byte {self.position - len(content)} is not UTF-8: {content[:40]!r}") from error

    def value(self, kind: int, where: str, nesting: int = 0) -> Any:
        if kind in _SCALARS:
            return self.scalar(kind)
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY or nesting == _MAX_NESTING:
            raise self.damaged(f"{where} has the value type {kind}" + (" nested too deep" if kind == _ARRAY else ""))
        kind, count = self.scalar(4), self.scalar(10)
        if kind == _STRING:
            return self._strings(count)
        if kind not in _SCALARS:
            return [self.value(kind, where, nesting + 1) for _ in range(count)]
        return list(struct.unpack(f"<{count}{_SCALARS[kind].format[1:]}", self._take(count * _SCALARS[kind].size)))

    def _strings(self, count: int) -> list[str]:
        """What `string` does, `count` times: a plain loop, since vocabularies make up nearly all of a header."""
        data, position, end, length_of, texts = self._data, self.position, len(self._data), _SCALARS[10].unpack_from, []
        for _ in range(count):
            if position + 8 > end or position + 8 + (length := length_of(data, position)[0]) > end:
                break
            try:
                texts.append(str(data[position + 8 : position + 8 + length], "utf-8"))
            except UnicodeDecodeError:
                break
            position += 8 + length
        self.position = position
        if len(texts) < count:
            self.string()  # raises, with what is wrong here
        return texts

    def tensor(self) -> TensorInfo:
        """One row of the tensor table; its offset still counts from the start of the data."""
        name, n_dimensions = self.string(), self.scalar(4)
        if n_dimensions > _MAX_DIMENSIONS:
            raise self.damaged(f"tensor {name!r} has {n_dimensions} dimensions, expected at most {_MAX_DIMENSIONS}")
        shape = tuple(self.scalar(10) for _ in range(n_dimensions))[::-1]
        number, offset = self.scalar(4), self.scalar(10)
        if number not in TENSOR_TYPES:
            raise self.damaged(f"tensor {name!r} has the unknown type {number}")
        kind = TENSOR_TYPES[number]
        if 0 in shape or (shape[-1] if shape else 1) % kind.block_values:
            raise self.damaged(
                f"tensor {name!r} of type {kind.name} has the shape {shape}, expected rows of whole blocks of {kind.block_values}"
            )
        return TensorInfo(name, kind.name, shape, offset, math.prod(shape) // kind.block_values * kind.block_bytes)

    def _check(self, n_bytes: int) -> None:
        if n_bytes > len(self._data) - self.position:
            raise CheckpointError(
                f"{self.path} is cut short or damaged: its header needs {n_bytes:,} bytes at byte {self.position:,}, "
                f"the file has {len(self._data):,} bytes"
            )

    def _take(self, n_bytes: int) -> bytes:
        self._check(n_bytes)
        self.position += n_bytes
        return self._data[self.position - n_bytes : self.position]


def _placed(infos: list[TensorInfo], start: int, file_bytes: int, header: _Header) -> dict[str, TensorInfo]:
    """The tensors by name with offsets from the start of the file. Raises CheckpointError when the file ends too early."""
    tensors: dict[str, TensorInfo] = {}
    for info in infos:
        if info.name in tensors:
            raise header.damaged(f"the tensor {info.name!r} occurs twice")
        tensors[info.name] = replace(info, offset=start + info.offset)
    cut = [info for info in tensors.values() if info.offset + info.bytes > file_bytes]
    if cut:
        first = min(cut, key=lambda info: info.offset)
        expected = max(info.offset + info.bytes for info in cut)
        span = f"bytes {first.offset:,} to {first.offset + first.bytes:,}"
        raise CheckpointError(
            f"{header.path} is cut short: {expected:,} bytes expected, the file has {file_bytes:,}",
            details=[
                f"first tensor that is not whole: {first.name!r} ({first.type} {list(first.shape)}), {span}",
                f"{len(cut)} of {len(tensors)} tensors are missing or not whole",
            ],
            hint="fetch or copy the file again",
        )
    return tensors


def _map(path: Path) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise CheckpointError(f"{path} is not a GGUF file: it is empty") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
