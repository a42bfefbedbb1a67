"""Head statistics: the hand-built circuit is found, and nothing is written to what is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import isinglass as ig
from helpers.induction import INDUCTION_HEAD, PREVIOUS_HEAD, induction_transformer
from helpers.kinds import KINDS
from isinglass.core.errors import ConfigError, EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.attention import attention
from isinglass.inspection.head_comparison import KINDS as HEAD_KINDS
from isinglass.inspection.head_comparison import compare_heads, samples
from isinglass.inspection.heads import COLUMNS, heads, measure, repeated_random
from isinglass.inspection.reading import reading
from isinglass.metrics.attention import head_statistics, means
from isinglass.models.adapted import adapt

TEXT = "the cat sat; the cat sat; the cat"


@pytest.fixture(scope="module")
def circuit() -> LM:
    return induction_transformer()


@pytest.fixture(scope="module", params=KINDS)
def lm(request: pytest.FixtureRequest) -> LM:
    return KINDS[request.param]()


def test_the_hand_built_transformer_continues_what_it_has_seen(circuit: LM) -> None:
    ids = np.random.default_rng(0).permutation(256)[:50].tolist()
    said = ig.trace(circuit, ids * 2).logits[0].argmax(-1).tolist()
    assert said[50:99] == ids[1:]


@pytest.mark.parametrize(
    ("by", "place"), [("induction", INDUCTION_HEAD), ("induction_in_text", INDUCTION_HEAD), ("to_previous", PREVIOUS_HEAD)]
)
def test_the_hand_built_heads_are_found(circuit: LM, by: str, place: tuple[int, int]) -> None:
    found = heads(circuit, TEXT, by=by)
    best, second = found.rows[:2]
    assert (best["layer"], best["head"]) == place
    assert best[by] == pytest.approx(1.0, abs=1e-6) and second[by] < 0.5


def test_texts_are_measured_as_their_maps_are(lm: LM) -> None:
    """One pass that keeps no maps, beside the maps of a trace measured one by one."""
    which = "encoder" if lm.config.architecture == "encoder_decoder" else None
    given = reading(lm, "abc abc ab")
    seen = ig.trace(lm, "abc abc ab")
    ids, causal = given.source.ids[0], given.attention(which).causal
    maps = seen.attention_weights(0, which).numpy()
    found = means(measure(given, which=which))
    for layer in range(2):
        for name, expected in head_statistics(maps[layer], ids, causal=causal).items():
            assert found[name][layer] == pytest.approx(expected, abs=1e-6, nan_ok=True), name


def test_several_texts_and_both_measurements(lm: LM) -> None:
    found = heads(lm, ["abc abc ab", "xyxy"], by="entropy", seed=1)
    assert len(found.rows) == 8 and {(row["layer"], row["head"]) for row in found.rows} == {(n, h) for n in range(2) for h in range(4)}
    assert [row["entropy"] for row in found.rows] == sorted((row["entropy"] for row in found.rows), reverse=True)
    assert set(COLUMNS) <= set(found.rows[0])
    assert all(0 <= row["induction"] <= 1 and 0 <= row["induction_in_text"] <= 1 for row in found.rows)


def test_measuring_changes_no_weights_and_no_logits(lm: LM) -> None:
    """A published detector once zeroed the first column of the cached attention it was given."""
    before = ig.trace(lm, "abc abc", taps=["*attention.weights"])
    kept = {name: x.clone() for name, x in before._kept.items()}
    parameters = [weight.clone() for weight in lm.model.parameters()]
    heads(lm, "abc abc")
    after = ig.trace(lm, "abc abc", taps=["*attention.weights"])
    assert kept and all(torch.equal(after[name], x) and torch.equal(before[name], x) for name, x in kept.items())
    assert torch.equal(before.logits, after.logits)
    assert all(torch.equal(now, then) for now, then in zip(lm.model.parameters(), parameters, strict=True))


def test_the_meter_passes_on_what_it_was_given(circuit: LM) -> None:
    from isinglass.inspection.heads import _Meter

    given = reading(circuit, TEXT)
    meter = _Meter(given.attention(), 4)
    weights = torch.eye(len(TEXT)).expand(1, 2, -1, -1).clone()
    before = weights.clone()
    assert meter("layers.0.attention.weights", weights) is weights and torch.equal(weights, before)


def test_random_tokens_come_from_the_seed_and_stand_as_texts_do() -> None:
    minilm = ig.load("minilm")
    one, again, other = (repeated_random(minilm, seed) for seed in (0, 0, 1))
    assert [given.source.ids for given in one] == [given.source.ids for given in again] != [given.source.ids for given in other]
    ids = one[0].source.ids[0]
    assert ids[0] == minilm.tokenizer.special["[CLS]"] and ids[-1] == minilm.tokenizer.special["[SEP]"]
    assert ids[1:51] == ids[51:101] and len(set(ids[1:51])) == 50
    assert not set(ids[1:-1]) & set(minilm.tokenizer.special.values())


def test_the_decoder_of_an_encoder_decoder() -> None:
    found = heads(KINDS["t5"](), ["abc", "def"], targets=["de de de", "abab"], by="to_previous")
    assert len(found.rows) == 8 and found.notes[0].endswith("; decoder")
    assert heads(KINDS["t5"](), "abc abc").notes[0].endswith("; encoder")


def test_a_prefix_adapter_and_grouped_heads() -> None:
    lm = ig.create("tiny", seed=3)
    lm = replace(lm, model=adapt(lm.model, "prefix(length=3)"))
    rows = heads(lm, TEXT).rows
    assert {(row["head"], row["kv_head"]) for row in rows} == {(0, 0), (1, 0), (2, 1), (3, 1)}


def test_a_decoder_with_another_head() -> None:
    lm = ig.create("tiny(heads=['reward'])")
    assert len(heads(lm, TEXT).rows) == 8
    assert attention(ig.trace(lm, TEXT)).weights.shape == (2, 4, len(TEXT), len(TEXT))


def test_what_a_text_cannot_tell_is_missing(circuit: LM) -> None:
    found = heads(circuit, "abcdefg")
    assert all(row["induction_in_text"] is None and row["induction"] is not None for row in found.rows)
    with pytest.raises(EngineError, match="no query of these texts can tell 'duplicate_in_text'"):
        heads(circuit, "abcdefg", by="duplicate_in_text")


def test_what_is_shown_states_what_was_measured(circuit: LM, tmp_path) -> None:
    found = heads(circuit, [TEXT, "abab"], window=3, seed=7, command="isinglass inspect heads x")
    text = str(found)
    assert found.notes == (
        "texts: 2, with 37 tokens in all; local: 3 tokens",
        "random: 4 sequences of 100 tokens, the second half repeats the first, seed 7",
    )
    assert all(note in text for note in found.notes) and "$ isinglass inspect heads x" in text
    assert all(row["statistic"] in COLUMNS and row["definition"] for row in found.defined.rows)
    assert "at most 3 tokens away" in found.definitions["local"]
    values = np.array([row["induction"] for row in found.figure.data.rows]).reshape(2, 2)
    assert values[1, 1] == pytest.approx(1.0, abs=1e-6)
    for suffix in ("html", "csv", "json", "md", "txt"):
        assert found.save(tmp_path / f"heads.{suffix}").stat().st_size > 100


def test_progress_is_told(circuit: LM) -> None:
    done: list[int] = []
    heads(circuit, [TEXT, "abab"], progress=done.append)
    assert done == [1, 2, 3, 4, 5, 6]


def test_texts_are_compared_at_one_length(lm: LM) -> None:
    found = compare_heads(lm, {"short": "abab", "long": "abc abc abc abc"})
    assert len({row["tokens"] for row in found.rows}) == 1
    assert all(0 <= row[kind] <= 1 for row in found.rows for kind in HEAD_KINDS if row[kind] is not None)
    assert str(found) and found.data["threshold"] == 0.5


def test_the_comparison_counts_heads_of_a_kind(circuit: LM) -> None:
    row = compare_heads(circuit, {"one": TEXT}).rows[0]
    assert row["to_previous"] == 0.25 and row["induction"] == 0.25 and row["duplicate"] == 0.0
    expected = heads(circuit, TEXT).rows
    assert row["entropy"] == pytest.approx(np.mean([one["entropy"] for one in expected]))
    assert row["distance"] == pytest.approx(np.mean([one["distance"] for one in expected]))


def test_the_samples_are_three_kinds_of_text_of_one_length(smollm2: LM) -> None:
    texts = samples()
    assert list(texts) == ["narrative", "code", "poetry"]
    counts = [smollm2.tokenizer.count(text) for text in texts.values()]
    assert min(counts) >= 110 and max(counts) <= 260
    compile(texts["code"], "sample", "exec")


def test_the_real_model_has_induction_heads(smollm2: LM) -> None:
    found = heads(smollm2, samples()["poetry"][:120])
    best = found.rows[0]
    assert best["induction"] > 0.7 and 10 <= best["layer"] <= 25
    assert sum(row["induction"] > 0.4 for row in found.rows) < 20  # few of 270
    assert best["kv_head"] == best["head"] // 3


def test_bad_input(circuit: LM) -> None:
    t5 = KINDS["t5"]()
    cases = {
        lambda: heads(circuit, ""): "prompt 0 is empty",
        lambda: heads(circuit, []): "no texts were given",
        lambda: heads(circuit, "a" * 129): "prompt 0 has 129 tokens; the model's context holds 128",
        lambda: heads(circuit, "ab", which="cross"): "head statistics of cross-attention are not defined",
        lambda: heads(circuit, "ab", which="encoder"): "unknown kind of attention 'encoder'",
        lambda: heads(t5, "ab", which="decoder"): "the decoder's heads need a text that it has written",
        lambda: heads(t5, ["ab", "c"], targets=["d"]): "2 texts and 1 targets were given, expected one target for each text",
        lambda: heads(circuit, "ab", targets="c"): "target was given, but this model writes no second text",
        lambda: heads(ig.create("tiny(context_length=3)"), "ab"): "too small for repeated random tokens\n  its context holds 3 tokens",
        lambda: compare_heads(circuit, {"mine": ""}): "text 'mine' is empty",
        lambda: compare_heads(circuit, {}): "no texts were given to compare",
    }
    for case, words in cases.items():
        with pytest.raises(EngineError) as caught:
            case()
        assert words in str(caught.value)
    with pytest.raises(ConfigError, match="unknown statistic 'inductoin'"):
        heads(circuit, "ab", by="inductoin")
    with pytest.raises(ConfigError, match="window = 0"):
        heads(circuit, "ab", window=0)
