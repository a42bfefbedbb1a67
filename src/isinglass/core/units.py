"""Human forms of counts, bytes, seconds and shares, so that every table and tree prints them alike."""

from __future__ import annotations

from collections.abc import Sequence


def _scaled(value: float, names: Sequence[str], digits: int) -> tuple[float, str]:
    """The value in the largest unit of 1000 that leaves at least 1 after rounding, and the unit's name."""
    power = 0
    while power < len(names) - 1 and round(abs(value) / 1000**power, digits) >= 1000:
        power += 1
    return value / 1000**power, names[power]


def count(n: float) -> str:
    """A count with three significant digits: 134.5M, 1.54B, 960.

    >>> count(134_515_008), count(960), count(999_999)
    ('134.5M', '960', '1.00M')
    """
    value, letter = _scaled(n, ("", "k", "M", "B", "T"), 1)
    if not letter:
        return f"{n:g}"
    return f"{value:.2f}{letter}" if round(abs(value), 2) < 10 else f"{value:.1f}{letter}"


def size(n_bytes: float) -> str:
    """Bytes in powers of 1000, as disks and the field's papers count: 538.1 MB.

    >>> size(538_060_032), size(12)
    ('538.1 MB', '12 B')
    """
    value, unit = _scaled(n_bytes, ("B", "kB", "MB", "GB", "TB"), 1)
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Seconds as one reads them: 12.3 ms, 4.1 s, 2 min 05 s.

    >>> duration(0.0123), duration(125), duration(0)
    ('12.3 ms', '2 min 05 s', '0 s')
    """
    if seconds == 0:
        return "0 s"
    if round(abs(seconds) * 1e3, 1) < 1000:
        return f"{seconds * 1e3:.1f} ms"
    if round(abs(seconds), 1) < 60:
        return f"{seconds:.1f} s"
    return f"{int(round(seconds) // 60)} min {round(seconds) % 60:02d} s"


def share(ratio: float) -> str:
    """A ratio 0..1 as percent.

    >>> share(0.2104)
    '21.0 %'
    """
    return f"{ratio * 100:.1f} %"
