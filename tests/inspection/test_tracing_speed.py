"""Looking costs nothing where one does not look."""

from __future__ import annotations

import pytest

from helpers.kinds import KINDS, TEXTS
from isinglass.inspection.reading import reading
from isinglass.inspection.trace import Recorder
from isinglass.inspection.tracing_speed import operators, time_tracing


@pytest.mark.parametrize("kind", KINDS)
def test_unused_taps_dispatch_no_operator(kind: str) -> None:
    given = reading(KINDS[kind](), TEXTS)
    plain = operators(given, None)
    assert plain.total() > 50
    assert operators(given, Recorder(())) == plain
    asked = operators(given, Recorder(["layers.1.mlp.post"] if kind != "t5" else ["encoder.layers.1.mlp.post"]))
    assert asked - plain == {"aten.detach.default": 1, "aten.clone.default": 1}  # what one tap costs: its copy


def test_times_of_every_kind_of_pass() -> None:
    *_, last = time_tracing(reading(KINDS["gpt2"](), "abcdef"), rounds=3)
    rows = last.rows()
    assert [len(seconds) for seconds in last.seconds.values()] == [3] * 4
    assert rows[2]["beside the reference"] == 1.0 and rows[0]["operators"] == rows[1]["operators"]
    assert last.kept_bytes > 0 and last.n_tokens == 6
