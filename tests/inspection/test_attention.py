"""Views of attention and rollout, of every kind of model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import isinglass as ig
from helpers.induction import induction_transformer
from helpers.kinds import KINDS, TEXTS
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.attention import attention, rolled, rollout
from isinglass.models.adapted import adapt


@pytest.fixture(scope="module", params=KINDS)
def lm(request: pytest.FixtureRequest) -> LM:
    return KINDS[request.param]()


def test_every_kind_of_model_shows_all_its_heads(lm: LM) -> None:
    seen = ig.trace(lm, TEXTS, target=["de fg", "a"]) if lm.config.architecture == "encoder_decoder" else ig.trace(lm, TEXTS)
    for row in range(2):
        found = attention(seen, layer=1, head=2, row=row, command="the command")
        assert torch.equal(found.weights, seen.attention_weights(row))
        assert len(found.heads) == 8 and len(found.looks) == len(seen.ids[row])
        assert list(found.queries) == seen.tokens[row]
        strongest = found.weights[1, 2].max(dim=-1).values.tolist()
        assert [line["weight 1"] for line in found.looks.rows] == pytest.approx(strongest)
        assert all(part.command == "the command" for part in found.parts)


def test_padding_and_batch_mates_change_nothing(lm: LM) -> None:
    together, alone = ig.trace(lm, TEXTS), ig.trace(lm, TEXTS[1])
    first, second = attention(together, row=1), attention(alone)
    torch.testing.assert_close(first.weights, second.weights, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rollout(together, row=1).weights, rollout(alone).weights, atol=1e-5, rtol=1e-5)


def test_grouped_heads_name_the_key_value_head_they_read() -> None:
    found = attention(ig.trace(KINDS["llama with grouped heads"](), "abcdef"))
    assert [row["kv_head"] for row in found.heads.rows] == [0, 0, 1, 1] * 2
    assert "kv_head" in found.heads.columns and [row["kv_head"] for row in found.picture.data.rows] == [0, 0, 1, 1] * 2


def test_query_heads_with_equal_queries_share_their_maps() -> None:
    """Heads of a group read the same keys: what they look at differs by their queries alone."""
    lm = KINDS["llama with grouped heads"]()
    q = lm.model.layers[0].attention.q_proj.weight.view(4, 8, 32)
    with torch.no_grad():
        q[1], q[3] = q[0], q[0]
    weights = attention(ig.trace(lm, "abcdef")).weights[0]
    torch.testing.assert_close(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[3], atol=1e-3)


def test_encoder_decoders_have_three_views() -> None:
    seen = ig.trace(KINDS["t5"](), "abc def gh", target="de fg")
    encoder, crossed = attention(seen, which="encoder"), attention(seen, layer=1, head=3, which="cross", command="c")
    read, written = seen.reading.source.lengths[0], seen.rows.lengths[0]
    assert encoder.weights.shape == (2, 4, read, read) and crossed.weights.shape == (2, 4, written, read)
    assert crossed.keys == encoder.queries and crossed.queries[0] == "<pad>"
    shown = np.array([row["attention weight"] for row in crossed.picture.data.rows]).reshape(written, read)
    assert shown == pytest.approx(crossed.weights[1, 3].numpy())
    assert "distance" not in crossed.heads.columns and "entropy" in crossed.heads.columns
    assert "scale: attention weight from 0 to 1" in crossed.picture.notes


def test_the_strongest_key_of_a_head() -> None:
    found = attention(ig.trace(KINDS["gpt2"](), "abcdef"))
    mean = found.weights.mean(2)
    for row in found.heads.rows:
        of_head = mean[row["layer"], row["head"]]
        assert row["at"] == int(of_head.argmax()) and row["strongest key"] == "abcdef"[row["at"]]
        assert row["its share"] == pytest.approx(float(of_head.max()))


def test_a_prefix_adapter_is_cut_away() -> None:
    lm = ig.create("tiny", seed=3)
    lm = replace(lm, model=adapt(lm.model, "prefix(length=3)"))
    found = attention(ig.trace(lm, "abcd"))
    assert found.weights.shape == (2, 4, 4, 4)
    assert rollout(ig.trace(lm, "abcd")).weights.sum(-1).numpy() == pytest.approx(1.0)


def test_rollout_is_the_product_of_half_attention_half_residual() -> None:
    """Abnar and Zuidema 2020, written out with numpy."""
    weights = torch.rand(3, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    weights = weights / weights.sum(-1, keepdim=True)
    after = np.eye(6)
    for layer, got in zip(weights.double().numpy(), rolled(weights).numpy(), strict=True):
        mixed = 0.5 * layer.mean(0) + 0.5 * np.eye(6)
        after = (mixed / mixed.sum(-1, keepdims=True)) @ after
        assert got == pytest.approx(after, abs=1e-12)
    looking_at_itself = torch.eye(6).expand(3, 4, 6, 6)
    assert torch.equal(rolled(looking_at_itself)[-1], torch.eye(6, dtype=torch.float64))


def test_rollout_of_every_kind_of_model(lm: LM) -> None:
    seen = ig.trace(lm, TEXTS[0], target="de") if lm.config.architecture == "encoder_decoder" else ig.trace(lm, TEXTS[0])
    found = rollout(seen, position=-1, command="c")
    assert found.position == len(seen.ids[0]) - 1
    assert found.weights.sum(-1).numpy() == pytest.approx(1.0)
    if seen.reading.attention().causal:
        assert not found.weights.triu(1).any()
    listed = found.reached.data.rows
    assert listed[0]["share"] == pytest.approx(float(found.weights[-1, -1].max()))


def test_findings_save_in_every_format(tmp_path) -> None:
    seen = ig.trace(KINDS["gpt2"](), "abcdef")
    for found in (attention(seen), rollout(seen)):
        for suffix in ("html", "png", "svg", "csv", "json", "md", "txt"):
            assert found.save(tmp_path / f"seen.{suffix}").stat().st_size > 100
        assert json.loads((tmp_path / "seen.json").read_text())
        assert all(part.title in found._repr_html_() and part.title in str(found) for part in found.parts)


def test_looking_leaves_the_weights_as_they_are() -> None:
    seen = ig.trace(KINDS["gpt2"](), "abcdef", taps=["*attention.weights"])
    before = {name: seen[name].clone() for name in ("layers.0.attention.weights", "layers.1.attention.weights")}
    found = attention(seen)
    str(found), str(rollout(seen)), found.data
    assert all(torch.equal(seen[name], weights) for name, weights in before.items())


def test_bad_input() -> None:
    gpt2, t5 = ig.trace(KINDS["gpt2"](), "abc"), ig.trace(KINDS["t5"](), "abc", target="de")
    long = ig.trace(ig.create("tiny(n_layers=1, context_length=600)"), "a" * 513)
    read = ig.trace(KINDS["t5"](), "z" * 140, target="de")
    cases = {
        lambda: attention(gpt2, layer=2): "layer 2 does not exist\n  there are layers 0 to 1",
        lambda: attention(gpt2, head=-1): "head -1 does not exist\n  there are heads 0 to 3",
        lambda: attention(gpt2, row=1): "row 1 does not exist\n  there are rows 0 to 0",
        lambda: attention(gpt2, which="cross"): "unknown kind of attention 'cross'",
        lambda: attention(
            long
        ): "the text has 513 tokens; a picture of this attention shows up to 512\nhint: look at a part of it, such as",
        lambda: rollout(long): "the text has 513 tokens",
        lambda: attention(read, which="cross"): "tokens; a picture of this attention shows up to 128",
        lambda: rollout(t5, which="cross"): "rollout of cross-attention is not defined: its queries and keys are two texts",
        lambda: rollout(gpt2, position=3): "position 3 does not exist\n  this text has positions 0 to 2",
    }
    for case, words in cases.items():
        with pytest.raises(EngineError) as caught:
            case()
        assert words in str(caught.value)


def test_512_tokens_are_shown() -> None:
    found = attention(ig.trace(ig.create("tiny(n_layers=1, context_length=600)"), "a" * 512))
    assert found.weights.shape == (1, 4, 512, 512) and len(found.picture.to_html()) < 1_500_000


def test_keys_without_weight_are_not_listed() -> None:
    rows = attention(ig.trace(induction_transformer(), "abcabc"), layer=1, head=1).looks.rows
    assert rows[0] == {"position": 0, "token": "a", "key 1": "a", "at 1": 0, "weight 1": 1.0}
    assert rows[3]["key 1"] == "b" and rows[3]["weight 1"] == pytest.approx(1.0)
