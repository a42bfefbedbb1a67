"""Similarity between layers and norms, against numpy on the states themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import isinglass as ig
from helpers.kinds import KINDS, TEXTS
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.layers import norms, similarity
from isinglass.metrics.similarity import linear_cka, unbiased_cka

TEXT = "abcdef gh"


@pytest.fixture(scope="module", params=[*KINDS, "minilm"])
def lm(request: pytest.FixtureRequest) -> LM:
    return ig.load("minilm") if request.param == "minilm" else KINDS[request.param]()


def sides(lm: LM) -> list[str | None]:
    return [None, "decoder", "encoder"] if lm.config.architecture == "encoder_decoder" else [None]


def prefix(lm: LM, side: str | None) -> str:
    return f"{side or 'decoder'}." if lm.config.architecture == "encoder_decoder" else ""


def traced(lm: LM):
    return ig.trace(lm, TEXT, target="abc def gh") if lm.config.architecture == "encoder_decoder" else ig.trace(lm, TEXT)


def test_similarity_is_that_of_the_states(lm: LM) -> None:
    for side in sides(lm):
        seen = traced(lm)
        found = similarity(seen, side=side)  # type: ignore[arg-type]
        n_layers = len(found.places) - 1
        names = ["layers.0.resid_pre", *(f"layers.{layer}.resid_post" for layer in range(n_layers))]
        states = [seen[prefix(lm, side) + name][0].double().numpy() for name in names]
        for a in range(n_layers + 1):
            for b in range(n_layers + 1):
                cosines = torch.nn.functional.cosine_similarity(torch.tensor(states[a]), torch.tensor(states[b]), dim=-1)
                torch.testing.assert_close(found.cosines[a, b], cosines, atol=1e-9, rtol=0)
                assert float(found.cka[a, b]) == pytest.approx(linear_cka(states[a], states[b]), nan_ok=True)
                if found.unbiased is not None:
                    assert float(found.unbiased[a, b]) == pytest.approx(unbiased_cka(states[a], states[b]), nan_ok=True)


def test_every_layer_is_like_itself(lm: LM) -> None:
    found = similarity(traced(lm))
    assert found.cka.diagonal().tolist() == pytest.approx([1.0] * len(found.places))
    assert found.cosines.diagonal().flatten().tolist() == pytest.approx([1.0] * found.cosines.diagonal().numel())


def test_norms_are_those_of_the_tensors(lm: LM) -> None:
    for side in sides(lm):
        seen, before = traced(lm), prefix(lm, side)
        found = norms(seen, side=side)  # type: ignore[arg-type]
        assert found.stream[0].tolist() == pytest.approx(seen[f"{before}layers.0.resid_pre"][0].norm(dim=-1).tolist(), rel=1e-5)
        for layer in range(len(found.places) - 1):
            assert found.stream[layer + 1].tolist() == pytest.approx(
                seen[f"{before}layers.{layer}.resid_post"][0].norm(dim=-1).tolist(), rel=1e-5
            )
            for part, tap in (("attention", "attention.out"), ("cross-attention", "cross_attention.out"), ("mlp", "mlp.post")):
                if part in found.added:
                    expected = seen[f"{before}layers.{layer}.{tap}"][0].norm(dim=-1).tolist()
                    assert found.added[part][layer].tolist() == pytest.approx(expected, rel=1e-5)
        assert ("cross-attention" in found.added) == (before == "decoder.")


def test_a_pre_norm_stream_grows_by_what_is_added() -> None:
    """The triangle inequality, where nothing but the two parts is added."""
    found = norms(ig.trace(KINDS["gpt2"](), TEXT))
    most = found.stream[:-1] + found.added["attention"] + found.added["mlp"]
    assert (found.stream[1:] <= most + 1e-6).all() and not found.post_norm


def test_padding_and_batch_mates_change_nothing() -> None:
    lm = KINDS["llama with grouped heads"]()
    together = ig.trace(lm, TEXTS)
    for row, text in enumerate(TEXTS):
        alone = ig.trace(lm, text)
        torch.testing.assert_close(norms(together, row).stream, norms(alone).stream, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(similarity(together, row).cosines, similarity(alone).cosines, atol=1e-4, rtol=1e-4)
        assert similarity(together, row).tokens == similarity(alone).tokens == tuple(alone.tokens[0])


def test_few_tokens_are_told() -> None:
    lm = KINDS["gpt2"]()
    shown = str(similarity(ig.trace(lm, "abcde")))
    assert "5 tokens and 32 features: linear CKA is close to 1 for unrelated states too" in shown and "unbiased CKA" in shown
    many = str(similarity(ig.trace(lm, "abcdefghijklmnopqrstuvwxyz0123456789")))
    assert "linear CKA is close to 1" not in many
    two = similarity(ig.trace(lm, "ab"))
    assert two.unbiased is None and two.data["unbiased_cka"] is None and "unbiased CKA" not in str(two)


def test_one_long_vector_is_told_and_can_be_skipped(smollm2: LM) -> None:
    """The first token of many decoders: its state is hundreds of times longer, and CKA sees it alone."""
    seen = ig.trace(smollm2, "The capital of France is Paris and that of Italy is Rome")
    all_tokens, others = similarity(seen), similarity(seen, skip=1)
    told = " ".join(str(all_tokens).split())
    assert all_tokens.dominated["15"] == 0 and len(all_tokens.dominated) > 20
    assert f"in {len(all_tokens.dominated)} of 31 places one token makes up more than half of what CKA compares: 0 ('The')" in told
    assert "15" not in others.dominated and "(the first 1 left out)" in " ".join(str(others).split())
    assert float(all_tokens.cka[5, 28]) > 0.99 > 0.9 > float(others.cka[5, 28])
    states = [seen[name][0, 1:].double().numpy() for name in ("layers.4.resid_post", "layers.27.resid_post")]
    assert float(others.cka[5, 28]) == pytest.approx(linear_cka(*states))
    long = norms(seen)
    assert float(long.stream[15, 0]) > 50 * float(long.stream[15, 1:].max())
    assert float(long.table.rows[15]["stream"]) == pytest.approx(float(np.median(long.stream[15].numpy())))


def test_one_position() -> None:
    seen = ig.trace(KINDS["gpt2"](), TEXT)
    close = similarity(seen, position=-1)
    assert close.position == len(TEXT) - 1 and "token 8 ('h')" in str(close)
    assert close.data["cosine"] == close.cosines[..., -1].tolist()
    long = norms(seen, position=2)
    assert long.table.rows[1]["stream"] == float(long.stream[1, 2]) and "token 2 ('c')" in str(long)


def test_post_norm_says_what_is_measured_where() -> None:
    assert "post-norm" in str(norms(ig.trace(KINDS["bert"](), TEXT))) and "post-norm" not in str(norms(ig.trace(KINDS["gpt2"](), TEXT)))


@pytest.mark.parametrize("view", [similarity, norms])
def test_they_save_themselves(tmp_path, view) -> None:
    found = view(ig.trace(KINDS["gpt2"](), TEXT), command="isinglass inspect layers ...")
    for suffix in (".html", ".png", ".csv", ".json", ".txt"):
        assert found.save(tmp_path / f"seen{suffix}").stat().st_size > 100
    assert "$ isinglass inspect layers ..." in str(found) and "a│b│c│d│e│f│·│g│h" in str(found)
    assert found.data["tokens"][6] == {"id": found.ids[6], "token": " "}


def test_bad_input() -> None:
    gpt2, t5 = ig.trace(KINDS["gpt2"](), "abc"), ig.trace(KINDS["t5"](), "abc")
    cases: dict[Callable[[], object], str] = {
        lambda: similarity(gpt2, 1): "row 1 does not exist\n  there are rows 0 to 0",
        lambda: similarity(gpt2, position=3): "position 3 does not exist",
        lambda: similarity(gpt2, skip=2): "skip = 2 of 3 tokens, expected at least 0 and to leave 2 to compare",
        lambda: similarity(gpt2, skip=-1): "skip = -1 of 3 tokens",
        lambda: norms(gpt2, side="encoder"): "side = 'encoder', but this model is one stack",
        lambda: norms(t5, side="middle"): "unknown side 'middle'",  # type: ignore[arg-type]
        lambda: norms(gpt2, position=-4): "position -4 does not exist",
    }
    for case, words in cases.items():
        with pytest.raises(EngineError) as caught:
            case()
        assert words in str(caught.value)
