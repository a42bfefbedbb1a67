"""The packed form equals the plain one, and looking changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from helpers.tensors import AllButScores, Scores, Watch, decoder, random_ids, slots_of
from isinglass.models.cache import new_cache
from isinglass.models.pack import pack
from isinglass.models.presets import gpt2, mistral, tiny
from isinglass.models.transformer import Decoder

SMALL = dict(vocab_size=50, context_length=64)
CONFIGS = {
    "llama tied": tiny.build(**SMALL),
    "llama untied, all biases": tiny.build(**SMALL, embeddings="untied", bias="all", feedforward="glu(bias=True)"),
    "multi-query, qkv bias": tiny.build(**SMALL | {"n_kv_heads": 1}, bias="qkv"),
    "gpt2": gpt2.build(**SMALL, n_layers=2, d_model=32, n_heads=4),
    "mistral": mistral.build(**SMALL, d_model=32, n_layers=2, n_heads=4, n_kv_heads=2, d_ff=48, window=3),
    "a position per layer": tiny.build(**SMALL, position=["rotary", "sinusoidal"], mask=["causal", "causal & sliding_window(4)"]),
}
BLOCK_TAPS = [
    "resid_pre", "attention.q_raw", "attention.k_raw", "attention.q", "attention.k", "attention.v", "attention.scores",
    "attention.weights", "attention.z", "attention.out", "resid_mid", "mlp.pre", "mlp.post", "resid_post",
]  # fmt: skip


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> Decoder:
    return decoder(config=CONFIGS[request.param])


def logits(model: Decoder, kind: str = "plain", tap: Watch | None = None) -> Tensor:
    return model(random_ids(2, 14), slots=slots_of(kind, 14), tap=tap)


def names(model: Decoder) -> set[str]:
    gated = ["mlp.gate", "mlp.up"] if model.config.feedforward.startswith("glu") else []
    return {f"layers.{n}.{tap}" for n in range(2) for tap in [*BLOCK_TAPS, *gated]} | {"embed", "norm", "logits"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_equals_plain(model: Decoder, dtype: torch.dtype) -> None:
    plain = decoder(config=model.config).to(dtype)
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}
    packed = pack(plain)
    for kind in ("plain", "padded_left", "packed"):
        expected, given = logits(plain, kind), logits(packed, kind)
        if dtype is torch.float32:
            # 1e-5 of the largest logit: rows of a matrix product are summed in another order
            torch.testing.assert_close(given, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)
        else:
            torch.testing.assert_close(given.float(), expected.float(), atol=0.02 * float(expected.abs().max()), rtol=0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())


def test_packed_runs_with_a_cache(model: Decoder) -> None:
    packed, ids = pack(model), random_ids(2, 14)
    cache = new_cache(packed, batch=2, capacity=14)
    steps = torch.cat([packed(ids[:, :5], cache=cache), *(packed(ids[:, at : at + 1], cache=cache) for at in range(5, 14))], dim=1)
    expected = model(ids)
    torch.testing.assert_close(steps, expected, atol=2e-5 * float(expected.abs().max()), rtol=0)


def test_packed_has_every_tap_with_equal_values(model: Decoder) -> None:
    plain, packed = Watch(), Watch()
    logits(model, tap=plain)
    logits(pack(model), tap=packed)
    assert set(plain.kept) == set(packed.kept) == names(model)
    for name, value in plain.kept.items():
        finite = value[value.isfinite()]
        atol = 1e-5 * max(1.0, float(finite.abs().max()))
        torch.testing.assert_close(packed.kept[name], value, atol=atol, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("form", ["plain", "packed"])
def test_looking_leaves_the_logits_bitwise_unchanged(model: Decoder, form: str) -> None:
    looked_at = pack(model) if form == "packed" else model
    tap = AllButScores()
    assert torch.equal(logits(looked_at, tap=tap), logits(looked_at))
    assert {name for name in names(model) if "scores" not in name and "weights" not in name} == set(tap.kept)


@pytest.mark.parametrize("kind", ["plain", "padded_left", "packed"])
def test_looking_at_scores_or_weights_changes_less_than_1e_5(model: Decoder, kind: str) -> None:
    tap = Scores()
    seen, unseen = logits(model, kind, tap), logits(model, kind)
    torch.testing.assert_close(seen, unseen, atol=1e-5 * max(1.0, float(unseen.abs().max())), rtol=0)
    weights = tap.kept["layers.1.attention.weights"]
    total = weights.sum(dim=-1)
    real = slots_of(kind, 14).valid
    rows = torch.ones(2, 14, dtype=torch.bool) if real is None else real
    torch.testing.assert_close(total.transpose(1, 2)[rows], torch.ones(int(rows.sum()), weights.shape[1]))
    torch.testing.assert_close(tap.kept["layers.1.attention.scores"].transpose(1, 2)[rows].softmax(-1), weights.transpose(1, 2)[rows])


class Replace(Watch):
    """Puts zeros in one place."""

    def __call__(self, name: str, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


@pytest.mark.parametrize("tap", [name for name in BLOCK_TAPS if name not in ("attention.scores",)])
def test_what_a_tap_returns_is_used(model: Decoder, tap: str) -> None:
    for form in (model, pack(model)):
        assert not torch.allclose(logits(form, tap=Replace(f"layers.1.{tap}")), logits(form))


def test_zero_attention_weights_mean_zero_output_of_heads(model: Decoder) -> None:
    class Zero(Watch):
        def __call__(self, name: str, x: Tensor) -> Tensor:
            super().__call__(name, x)
            return torch.zeros_like(x) if name.endswith("weights") else x

    tap = Zero("layers.0.attention.weights", "layers.0.attention.z")
    logits(model, tap=tap)
    assert not tap.kept["layers.0.attention.z"].any()


def test_last_row_alone_equals_the_last_of_all(model: Decoder) -> None:
    ids = random_ids(2, 9)
    torch.testing.assert_close(model(ids, rows="last")[:, 0], model(ids)[:, -1], atol=1e-5, rtol=1e-5)
    assert model(ids, rows="last").shape == (2, 1, 50)
    assert model.hidden(ids).shape == (2, 9, model.config.d_model)
