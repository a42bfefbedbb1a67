"""Human forms of counts, bytes, seconds and shares, so that every table and tree prints them alike."""

from __future__ import annotations


def count(n: float) -> str:
    """A count with three significant digits: 134.5M, 1.54B, 960.

    >>> count(134_515_008), count(960)
    ('134.5M', '960')
    """
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(n) >= size:
            value = n / size
            return f"{value:.2f}{letter}" if value < 10 else f"{value:.1f}{letter}"
    return f"{n:g}"


def size(n_bytes: float) -> str:
    """Bytes in powers of 1000, as disks and the field's papers count: 538.1 MB.

    >>> size(538_060_032)
    '538.1 MB'
    """
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(n_bytes) >= unit:
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes:.0f} B"


def duration(seconds: float) -> str:
    """Seconds as one reads them: 12.3 ms, 4.1 s, 2 min 05 s.

    >>> duration(0.0123), duration(125)
    ('12.3 ms', '2 min 05 s')
    """
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def share(ratio: float) -> str:
    """A ratio 0..1 as percent.

    >>> share(0.2104)
    '21.0 %'
    """
    return f"{ratio * 100:.1f} %"
