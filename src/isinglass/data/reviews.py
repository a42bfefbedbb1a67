"""Reviews of films as a corpus: one sentence each, kind or unkind, out of a table that a package of the Python index holds."""

from __future__ import annotations

import bz2
import csv
import io
from collections.abc import Iterator

from isinglass.assets.find import find
from isinglass.core.errors import AssetError
from isinglass.data.records import Record

NAME = "reviews"
LABELS = {"fresh": "positive", "rotten": "negative"}  # as the site calls them; its plots, which say nothing of a film's worth, are left out


def read() -> Iterator[Record]:
    """The reviews in the order of the table: `text`, `label` (positive or negative) and `film`."""
    path = find(NAME)
    try:
        table = bz2.decompress(path.read_bytes()).decode("utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise AssetError(f"asset {NAME!r}: {str(path)!r} cannot be read: {fault}", hint=f"isinglass assets get {NAME}") from None
    for line, row in enumerate(csv.DictReader(io.StringIO(table)), start=2):
        if row["category"] in LABELS and row["text"].strip():
            fields = {"text": row["text"].strip(), "label": LABELS[row["category"]], "film": row["movie_name"]}
            yield Record(fields, f"{NAME}: row {line}")
