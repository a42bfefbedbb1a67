"""Numbers and text as people read them: values typed by hand."""

import math
from decimal import Decimal

import numpy as np
import pytest

from isinglass.show import format


@pytest.mark.parametrize(
    ("item", "unit", "expected"),
    [
        (134_515_008, "count", "134.5M"),
        (1_234_567_890, "bytes", "1.2 GB"),
        (0.0123, "seconds", "12.3 ms"),
        (0.7721, "ratio", "77.2 %"),
        (0.0005, "ratio", "0.05 %"),
        (0, "ratio", "0.0 %"),
        (2.69e11, "flops", "269.0 GFLOP"),
        (Decimal("1234.5"), "usd", "$1,234.50"),
        (Decimal("0.000045"), "usd", "$0.000045"),
        (Decimal("-0.5"), "usd", "-$0.50"),
        (0.00015, "usd", "$0.00015"),
        (50257, None, "50,257"),
        (np.int64(7), None, "7"),
        (np.float32(0.5), None, "0.5"),
        (0.77214, None, "0.7721"),
        (12345.678, None, "12,345.7"),
        (True, None, "yes"),
        (None, "bytes", "–"),
        (math.nan, "seconds", "–"),
        (math.inf, None, "∞"),
        ("Paris", "ratio", "Paris"),
    ],
)
def test_values(item, unit, expected):
    assert format.value(item, unit) == expected


def test_units_stand_in_names_and_headings_say_the_others():
    assert (format.unit_of("cache_bytes"), format.unit_of("seconds"), format.unit_of("loss")) == ("bytes", "seconds", None)
    assert format.heading("cache_bytes", "bytes") == "cache"
    assert format.heading("loss", "nats") == "loss (nats)"
    assert format.heading("n_heads") == "n heads"


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        (" the", "·the"),
        ("\n\t", "↵⇥"),
        (b"\xe2\x80", "‹E2 80›"),
        (b" caf\xc3\xa9", "·café"),
        ("", "∅"),
        ("\x1b[31m", "␛[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\x9b1m", "\\u009b1m"),
        ("👩‍👩‍👧", "👩‍👩‍👧"),
    ],
)
def test_tokens_can_be_seen_and_cannot_steer_a_terminal(piece, expected):
    assert format.token(piece) == expected


def test_labels_keep_the_spaces_between_words():
    assert (format.label(" New York "), format.label("layer 3"), format.label(" ")) == ("·New York·", "layer 3", "·")
