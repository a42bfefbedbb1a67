"""Reviews of films: how many of each label, and a file that is none."""

from __future__ import annotations

from collections import Counter

import pytest

from isinglass.core.errors import AssetError
from isinglass.data import reviews
from isinglass.data.sources import is_corpus, read


def test_the_reviews_have_two_labels_and_know_their_place():
    records = list(read("reviews"))
    assert is_corpus("reviews") and Counter(record["label"] for record in records) == {"positive": 7403, "negative": 5405}
    assert all(record.text and record["film"] for record in records) and records[0].place == "reviews: row 1099"


def test_a_file_that_is_no_table(tmp_path, monkeypatch):
    (tmp_path / "broken").write_bytes(b"not packed")
    monkeypatch.setattr(reviews, "find", lambda name: tmp_path / "broken")
    with pytest.raises(AssetError, match=r"asset 'reviews': .*broken' cannot be read.*\nhint: isinglass assets get reviews"):
        list(reviews.read())
