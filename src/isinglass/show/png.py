"""A PNG file from an array of colours (ISO/IEC 15948): signature, header, one zlib stream, end."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray


def write_png(pixels: NDArray[np.uint8]) -> bytes:
    """`pixels [height, width, 3]` (sRGB, 0..255) as the bytes of a PNG.

    >>> write_png(np.zeros((1, 1, 3), np.uint8))[:4]
    b'\\x89PNG'
    """
    height, width, _ = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, no interlacing
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * 3)], axis=1)  # filter 0 before each line
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
