"""Positions against the papers' numbers and against transformers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.variants import position
from isinglass.core.errors import VariantError
from isinglass.nn.attention import positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.positions.rotary import Rotary
from isinglass.nn.attention.slots import Slots

FIRST = Slots(torch.arange(3)[None])


def rotary(text: str = "rotary", d_head: int = 16) -> Rotary:
    built = positions.family.resolve(text, Dims(d_head * 4, 4, 2, d_head, 8192))
    assert isinstance(built, Rotary)
    return built


def test_sinusoidal_rows_of_the_paper() -> None:
    """d = 4: sin(i), cos(i), sin(i / 100), cos(i / 100)."""
    table = positions.family.resolve("sinusoidal", Dims(4, 1, 1, 4, 8)).embed(FIRST)
    assert table is not None
    wanted = [[0, 1, 0, 1], [0.841471, 0.540302, 0.010000, 0.999950], [0.909297, -0.416147, 0.019999, 0.999800]]
    torch.testing.assert_close(table[0], torch.tensor(wanted), atol=1e-6, rtol=0)


@pytest.mark.parametrize("scheme", ["sinusoidal", "rotary"])
def test_pairs_need_an_even_width(scheme: str) -> None:
    with pytest.raises(VariantError, match=f"{scheme}: d_(model|head) = 5 is odd"):
        positions.family.resolve(scheme, Dims(5, 1, 1, 5, 8))


def test_learned_adds_the_row_of_each_position() -> None:
    learned = position("learned")
    torch.nn.init.normal_(learned.weight)
    slots = Slots(torch.tensor([[2, 0], [5, 5]]))
    added = learned.embed(slots)
    assert added is not None
    assert learned.weight.shape == (64, 32)
    assert torch.equal(added[0, 0], learned.weight[2])
    assert torch.equal(added[1, 1], learned.weight[5])


def test_none_adds_nothing_anywhere() -> None:
    x = torch.randn(1, 2, 3, 8)
    nothing = position("none")
    assert nothing.embed(FIRST) is None
    assert nothing.rotate(x, FIRST) is x
    assert nothing.bias(x, x, FIRST, FIRST) is None


def test_rotary_equals_transformers_llama() -> None:
    from transformers.models.llama.modeling_llama import LlamaConfig, LlamaRotaryEmbedding, apply_rotary_pos_emb

    config = LlamaConfig(
        hidden_size=64, num_attention_heads=4, head_dim=16, rope_parameters={"rope_type": "default", "rope_theta": 500_000.0}
    )
    slots = Slots(torch.tensor([[0, 1, 2, 700, 8000], [3, 4, 5, 6, 7]]))
    q, k = torch.randn(2, 4, 5, 16), torch.randn(2, 2, 5, 16)
    cos, sin = LlamaRotaryEmbedding(config)(q, slots.position)
    theirs_q, theirs_k = apply_rotary_pos_emb(q, k, cos, sin)
    ours = rotary("rotary(base=500000)")
    torch.testing.assert_close(ours.rotate(q, slots), theirs_q, atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.rotate(k, slots), theirs_k, atol=1e-6, rtol=0)


def test_rotary_turns_pairs_by_hand() -> None:
    """d = 4 in half-split layout: (x0, x2) turns by i, (x1, x3) by i / 100."""
    turned = rotary(d_head=4).rotate(torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(1, 1, 3, 4), FIRST)[0, 0]
    wanted = [[math.cos(i), math.cos(i / 100), math.sin(i), math.sin(i / 100)] for i in range(3)]
    torch.testing.assert_close(turned, torch.tensor(wanted), atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.integers(0, 200),
    st.sampled_from(["rotary", "rotary(scaling=linear(factor=4.0))", "rotary(scaling=llama3)"]),
)
def test_rotary_scores_depend_on_the_distance_alone(i: int, j: int, shift: int, text: str) -> None:
    generator = torch.Generator().manual_seed(i * 1000 + j)
    q, k = torch.randn(1, 1, 1, 16, generator=generator), torch.randn(1, 1, 1, 16, generator=generator)
    turn = rotary(text)

    def score(a: int, b: int) -> torch.Tensor:
        return (turn.rotate(q, Slots(torch.tensor([[a]]))) * turn.rotate(k, Slots(torch.tensor([[b]])))).sum()

    torch.testing.assert_close(score(i, j), score(i + shift, j + shift), atol=2e-4, rtol=0)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 100_000))
def test_rotary_keeps_lengths(place: int) -> None:
    x = torch.randn(1, 1, 1, 16, generator=torch.Generator().manual_seed(place))
    torch.testing.assert_close(rotary().rotate(x, Slots(torch.tensor([[place]]))).norm(), x.norm())


def theirs(kind: str, base: float, **parameters: Any) -> torch.Tensor:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_type": kind, "rope_theta": base, **parameters}
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, head_dim=16, max_position_embeddings=16_384, rope_parameters=rope)
    return ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))[0]


@pytest.mark.parametrize("factor", [2.0, 4.0, 8.0])
@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
def test_linear_scaling_equals_transformers(base: float, factor: float) -> None:
    ours = rotary(f"rotary(base={base}, scaling=linear(factor={factor}))").frequencies(torch.device("cpu"))
    assert torch.equal(ours, theirs("linear", base, factor=factor))


@pytest.mark.parametrize(
    ("factor", "low", "high", "original"), [(8.0, 1.0, 4.0, 8192), (32.0, 1.0, 4.0, 8192), (4.0, 2.0, 8.0, 512), (8.0, 1.0, 4.0, 2048)]
)
@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
def test_llama3_scaling_equals_transformers(base: float, factor: float, low: float, high: float, original: int) -> None:
    text = f"rotary(base={base}, scaling=llama3(factor={factor}, low={low}, high={high}, original_context={original}))"
    parameters = dict(factor=factor, low_freq_factor=low, high_freq_factor=high, original_max_position_embeddings=original)
    torch.testing.assert_close(rotary(text).frequencies(torch.device("cpu")), theirs("llama3", base, **parameters), atol=0, rtol=1e-6)


def test_scalings_give_the_published_numbers() -> None:
    """d = 16, base 10,000, original context 2,048."""
    linear = rotary("rotary(scaling=linear(factor=4.0))").frequencies(torch.device("cpu"))
    wanted = [0.25, 0.079057, 0.025, 0.007906, 0.0025, 0.000791, 0.00025, 7.9e-5]
    torch.testing.assert_close(linear, torch.tensor(wanted), atol=5e-7, rtol=0)
    llama3 = rotary("rotary(scaling=llama3(factor=8.0, original_context=2048))").frequencies(torch.device("cpu"))
    wanted = [1, 0.316228, 0.1, 0.031623, 0.00784, 0.000424, 0.000125, 4e-5]
    torch.testing.assert_close(llama3, torch.tensor(wanted), atol=6e-7, rtol=0)


def test_tables_are_fp32_whatever_the_model() -> None:
    """At position 8000 a bf16 angle would be off by up to 32 radians."""
    slots = Slots(torch.tensor([[8000]]))
    x = torch.ones(1, 1, 1, 16)
    half = rotary().to(torch.bfloat16).rotate(x.bfloat16(), slots)
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), rotary().rotate(x, slots), atol=0.02, rtol=0)


def test_an_unknown_scaling_names_the_known_ones() -> None:
    with pytest.raises(VariantError, match=r"unknown scaling 'linaer'[\s\S]*known: linear, llama3[\s\S]*did you mean 'linear'"):
        rotary("rotary(scaling=linaer(factor=2))")
