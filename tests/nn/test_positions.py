"""Positions against the papers' numbers and against transformers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.variants import kernel, mask, position, position_expressions
from isinglass.core.errors import VariantError
from isinglass.nn.attention import positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernel import adds_bias
from isinglass.nn.attention.positions.alibi import slopes
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
    st.sampled_from([text for text in position_expressions() if text.startswith("rotary")]),
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


@pytest.mark.parametrize(("factor", "original", "fast", "slow"), [(4.0, 2048, 32.0, 1.0), (8.0, 512, 16.0, 2.0), (40.0, 4096, 32.0, 1.0)])
@pytest.mark.parametrize("base", [10_000.0, 500_000.0])
def test_yarn_scaling_equals_transformers(base: float, factor: float, original: int, fast: float, slow: float) -> None:
    ours = rotary(f"rotary(base={base}, scaling=yarn(factor={factor}, original_context={original}, fast={fast}, slow={slow}))")
    parameters = dict(factor=factor, original_max_position_embeddings=original, beta_fast=fast, beta_slow=slow)
    torch.testing.assert_close(ours.frequencies(torch.device("cpu")), theirs("yarn", base, **parameters), atol=0, rtol=1e-5)


def test_yarn_turns_and_grows() -> None:
    """Attention factor 0.1 ln 4 + 1 = 1.13863: rotated vectors are that much longer, as position 0 shows."""
    x = torch.ones(1, 1, 3, 16)
    turned = rotary("rotary(scaling=yarn(factor=4.0, original_context=2048))").rotate(x, FIRST)
    torch.testing.assert_close(turned[0, 0, 0], torch.full((16,), 1.13863), atol=1e-5, rtol=0)
    torch.testing.assert_close(turned.norm(dim=-1), 1.1386294 * x.norm(dim=-1))


def test_yarn_grows_as_told() -> None:
    x = torch.ones(1, 1, 3, 16)
    turned = rotary("rotary(scaling=yarn(factor=4.0, original_context=2048, magnitude=0.5))").rotate(x, FIRST)
    torch.testing.assert_close(turned.norm(dim=-1), 0.5 * x.norm(dim=-1))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("factor=0.5, original_context=64", "yarn: factor = 0.5 and original_context = 64, expected at least 1"),
        ("factor=2.0, original_context=0", "yarn: factor = 2.0 and original_context = 0, expected at least 1"),
        ("factor=2.0, original_context=64, fast=1.0", "yarn: fast = 1.0 and slow = 1.0, expected fast > slow > 0"),
        ("factor=2.0, original_context=64, edges='round'", "yarn: edges = 'round', expected 'whole' or 'exact'"),
        ("factor=2.0, original_context=64, magnitude=0.0", "yarn: magnitude = 0.0, expected more than 0"),
    ],
)
def test_a_yarn_that_cannot_be_is_refused(arguments: str, told: str) -> None:
    with pytest.raises(VariantError, match=told):
        rotary(f"rotary(scaling=yarn({arguments}))")


def test_ntk_scaling_is_the_dynamic_one_at_a_length() -> None:
    """At 8,192 tokens, four times 2,048, the dynamic factor 4 is 4 * 4 - 3 = 13."""
    ours = rotary("rotary(scaling=ntk(factor=13.0))").frequencies(torch.device("cpu"))
    wanted = [1, 0.219212, 0.048054, 0.010534, 0.002309, 0.000506, 0.000111, 2.4e-5]
    torch.testing.assert_close(ours, torch.tensor(wanted), atol=6e-7, rtol=0)


def test_scalings_give_the_published_numbers() -> None:
    """d = 16, base 10,000, original context 2,048."""
    linear = rotary("rotary(scaling=linear(factor=4.0))").frequencies(torch.device("cpu"))
    wanted = [0.25, 0.079057, 0.025, 0.007906, 0.0025, 0.000791, 0.00025, 7.9e-5]
    torch.testing.assert_close(linear, torch.tensor(wanted), atol=5e-7, rtol=0)
    llama3 = rotary("rotary(scaling=llama3(factor=8.0, original_context=2048))").frequencies(torch.device("cpu"))
    wanted = [1, 0.316228, 0.1, 0.031623, 0.00784, 0.000424, 0.000125, 4e-5]
    torch.testing.assert_close(llama3, torch.tensor(wanted), atol=6e-7, rtol=0)
    yarn = rotary("rotary(scaling=yarn(factor=4.0, original_context=2048))").frequencies(torch.device("cpu"))
    wanted = [1, 0.316228, 0.1, 0.025694, 0.00625, 0.001383, 0.00025, 7.9e-5]
    torch.testing.assert_close(yarn, torch.tensor(wanted), atol=6e-7, rtol=0)


def test_tables_are_fp32_whatever_the_model() -> None:
    """At position 8000 a bf16 angle would be off by up to 32 radians."""
    slots = Slots(torch.tensor([[8000]]))
    x = torch.ones(1, 1, 1, 16)
    half = rotary().to(torch.bfloat16).rotate(x.bfloat16(), slots)
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), rotary().rotate(x, slots), atol=0.02, rtol=0)


def bias_of(text: str, dims: Dims, time: int, q: torch.Tensor | None = None) -> tuple[Any, torch.Tensor]:
    """A position with normal weights, and its bias among `time` tokens."""
    scheme = positions.family.resolve(text, dims)
    for weight in scheme.parameters():
        torch.nn.init.normal_(weight, std=1.0, generator=torch.Generator().manual_seed(0))
    slots = Slots(torch.arange(time)[None])
    q = torch.randn(1, dims.n_heads, time, dims.d_head, generator=torch.Generator().manual_seed(1)) if q is None else q
    added = scheme.bias(q, q[:, : dims.n_kv_heads], slots, slots)
    assert added is not None
    return scheme, added


def test_alibi_by_hand() -> None:
    """Two heads: slopes 1/16 and 1/256."""
    _, added = bias_of("alibi", Dims(16, 2, 2, 8, 64), 4)
    distance = torch.tensor([[0.0, 1, 2, 3], [1, 0, 1, 2], [2, 1, 0, 1], [3, 2, 1, 0]])
    assert torch.equal(added[0], torch.stack([-distance / 16, -distance / 256]))


@pytest.mark.parametrize("n_heads", [1, 2, 3, 4, 6, 8, 12, 16, 20])
def test_alibi_slopes_equal_blooms(n_heads: int) -> None:
    from transformers.models.bloom.modeling_bloom import _get_alibi_slopes

    torch.testing.assert_close(slopes(n_heads), _get_alibi_slopes(n_heads, torch.device("cpu")), atol=0, rtol=1e-6)


def test_alibi_slopes_of_twelve_heads() -> None:
    wanted = [2.0**-h for h in range(1, 9)] + [0.707107, 0.353553, 0.176777, 0.088388]
    torch.testing.assert_close(slopes(12), torch.tensor(wanted), atol=1e-6, rtol=0)


def test_alibi_equals_bloom_under_a_causal_mask() -> None:
    """BLOOM adds m j instead of -m (i - j): the same but for a shift of each row, which softmax does not see."""
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    scores = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
    theirs_bias = build_alibi_tensor(torch.ones(1, 6, dtype=torch.long), 4, torch.float32)[None]
    _, ours_bias = bias_of("alibi", Dims(32, 4, 2, 8, 64), 6)
    ours, expected = ((scores + b).masked_fill(hidden, float("-inf")).softmax(-1) for b in (ours_bias, theirs_bias))
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


def test_t5_buckets_by_hand() -> None:
    """32 buckets up to distance 128: the rows for offsets -20 ... 20, and -20 ... 0 without a look ahead."""
    offset, dims = torch.arange(-20, 21), Dims(32, 4, 2, 8, 64)
    back = [10] * 5 + [9] * 4 + [8] * 4 + [7, 6, 5, 4, 3, 2, 1, 0]
    ahead = [17, 18, 19, 20, 21, 22, 23] + [24] * 4 + [25] * 4 + [26] * 5
    assert positions.family.resolve("relative_t5", dims).bucket(offset).tolist() == back + ahead
    causal = [17, 17, 16, 16, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0] + [0] * 20
    assert positions.family.resolve("relative_t5(bidirectional=False)", dims).bucket(offset).tolist() == causal


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (8, 12), (64, 1000)])
def test_t5_bias_equals_transformers(num_buckets: int, max_distance: int, bidirectional: bool) -> None:
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    config = T5Config(
        d_model=32,
        num_heads=4,
        d_kv=8,
        relative_attention_num_buckets=num_buckets,
        relative_attention_max_distance=max_distance,
        is_decoder=not bidirectional,
    )
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    text = f"relative_t5(num_buckets={num_buckets}, max_distance={max_distance}, bidirectional={bidirectional})"
    scheme, _ = bias_of(text, Dims(32, 4, 4, 8, 64), 2)
    offset = torch.arange(-3000, 3000)
    assert torch.equal(scheme.bucket(offset), T5Attention._relative_position_bucket(offset, bidirectional, num_buckets, max_distance))
    with torch.no_grad():
        scheme.weight.copy_(theirs.relative_attention_bias.weight)
    slots = Slots(torch.arange(40).expand(2, -1))
    assert torch.equal(scheme.bias(torch.zeros(2, 4, 40, 8), torch.zeros(2, 4, 40, 8), slots, slots), theirs.compute_bias(40, 40))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("relative_t5(num_buckets=7)", "num_buckets = 7, expected at least 4, even"),
        ("relative_t5(num_buckets=1, bidirectional=False)", "num_buckets = 1, expected at least 2$"),
        ("relative_t5(max_distance=8)", "max_distance = 8, expected more than the 8 distances with their own bucket"),
        ("relative_shaw(clip=0)", "relative_shaw: clip = 0, expected at least 1"),
    ],
)
def test_positions_refuse_what_makes_no_sense(text: str, told: str) -> None:
    with pytest.raises(VariantError, match=told):
        position(text)


def test_relative_xl_needs_an_even_width() -> None:
    with pytest.raises(VariantError, match="relative_xl: d_model = 5 is odd"):
        positions.family.resolve("relative_xl", Dims(5, 1, 1, 5, 8))


def test_shaw_by_hand() -> None:
    """Q K + Q R with clip 1: R of what comes before, of the token itself and of what comes after."""
    dims = Dims(2, 1, 1, 2, 8)
    shaw = positions.family.resolve("relative_shaw(clip=1)", dims)
    with torch.no_grad():
        shaw.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]))
    q = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])[None, None]
    wanted = torch.tensor([[0.0, 3.0, 3.0], [0.0, 2.0, 3.0], [1.0, 1.0, 2.0]]) / math.sqrt(2)
    torch.testing.assert_close(shaw.bias(q, q, FIRST, FIRST)[0, 0], wanted)


def test_shaw_equals_a_loop() -> None:
    dims, time = Dims(32, 4, 4, 8, 64), 9
    q = torch.randn(1, 4, time, 8, generator=torch.Generator().manual_seed(1))
    shaw, added = bias_of("relative_shaw(clip=3)", dims, time, q)
    for i in range(time):
        for j in range(time):
            r = shaw.weight[3 + max(-3, min(3, j - i))]
            torch.testing.assert_close(added[0, :, i, j], (q[0, :, i] * r).sum(-1) / math.sqrt(8), atol=1e-5, rtol=1e-5)


def test_transformer_xl_by_hand() -> None:
    """d = 2, W = 1: the waves of distance t are (sin t, cos t). q = (1, 0), k = (0, 1), u = (0, 10), v = (0, 100)."""
    scheme = positions.family.resolve("relative_xl", Dims(2, 1, 1, 2, 8))
    with torch.no_grad():
        scheme.r_proj.weight.copy_(torch.eye(2))
        scheme.u.copy_(torch.tensor([[0.0, 10.0]]))
        scheme.v.copy_(torch.tensor([[0.0, 100.0]]))
    q, k = torch.tensor([1.0, 0.0]).expand(1, 1, 3, 2), torch.tensor([0.0, 1.0]).expand(1, 1, 3, 2)
    s, c = math.sin, math.cos
    term = {t: (10 + s(t) + 100 * c(t)) / math.sqrt(2) for t in range(-2, 3)}
    wanted = torch.tensor([[term[i - j] for j in range(3)] for i in range(3)])
    torch.testing.assert_close(scheme.bias(q, k, FIRST, FIRST)[0, 0], wanted)


def test_transformer_xl_equals_xlnet() -> None:
    """Their attention core with its shift trick, u as r_w_bias, v as r_r_bias; features of the waves in their order, sines first."""
    from transformers import XLNetConfig
    from transformers.models.xlnet.modeling_xlnet import XLNetModel, XLNetRelativeAttention

    dims, time = Dims(32, 4, 4, 8, 64), 7
    q, k, v = torch.randn(3, 2, 4, time, 8, generator=torch.Generator().manual_seed(1))
    theirs = XLNetRelativeAttention(XLNetConfig(d_model=32, n_head=4, dropout=0.0)).eval()
    ours, _ = bias_of("relative_xl", dims, time)
    with torch.no_grad():
        theirs.r_w_bias.copy_(ours.u)
        theirs.r_r_bias.copy_(ours.v)
        per_feature = ours.r_proj.weight.t()
        r = torch.cat([per_feature[0::2], per_feature[1::2]]).unflatten(1, (4, 8))
        waves = XLNetModel.positional_embedding(torch.arange(time, -time, -1.0), 10000 ** (-torch.arange(0, 32, 2) / 32), bsz=2)
        k_head_r = torch.einsum("ibh,hnd->ibnd", waves, r)
        expected = theirs.rel_attn_core(*(x.permute(2, 0, 1, 3) for x in (q, k, v)), k_head_r)
        slots = Slots(torch.arange(time).expand(2, -1))
        options = dict(q_slots=slots, k_slots=slots, mask=mask("full"), bias=ours.bias, scale=8**-0.5)
        found = kernel("reference").attend(q, k, v, **options)
    torch.testing.assert_close(found.permute(2, 0, 1, 3), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("text", [text for text in position_expressions() if adds_bias(position(text))])
def test_a_bias_depends_on_distance_alone_and_may_be_asked_in_parts(text: str) -> None:
    """Positions moved by 30 give the same; a tile is a part of the whole, and has the dtype of the queries."""
    dims = Dims(32, 4, 2, 8, 64)
    q, k = torch.randn(2, 4, 9, 8), torch.randn(2, 2, 9, 8)
    scheme, _ = bias_of(text, dims, 2)
    slots, moved = Slots(torch.arange(9).expand(2, -1)), Slots(30 + torch.arange(9).expand(2, -1))
    whole = scheme.bias(q, k, slots, slots).expand(2, 4, 9, 9)
    torch.testing.assert_close(scheme.bias(q, k, moved, moved).expand(2, 4, 9, 9), whole, atol=1e-4, rtol=1e-5)
    part = scheme.bias(q[:, :, 2:5], k[:, :, 4:9], slots.part(slice(2, 5)), slots.part(slice(4, 9)))
    torch.testing.assert_close(part.expand(2, 4, 3, 5), whole[:, :, 2:5, 4:9], atol=1e-5, rtol=1e-5)
    half = scheme.to(torch.bfloat16)
    assert half.bias(q.bfloat16(), k.bfloat16(), slots, slots).dtype is torch.bfloat16


def test_an_unknown_scaling_names_the_known_ones() -> None:
    with pytest.raises(VariantError, match=r"unknown scaling 'linaer'[\s\S]*known: linear, llama3, ntk, yarn[\s\S]*did you mean 'linear'"):
        rotary("rotary(scaling=linaer(factor=2))")
