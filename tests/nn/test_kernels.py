"""The kernels in tiles, in bands and with features: their own promises, beside the contract they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helpers.variants import BIGBIRD, LONGFORMER, kernel, mask, position, unsupported
from isinglass.core.errors import VariantError
from isinglass.nn.attention import positions
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.kernels.flash import Tiles, _online_softmax
from isinglass.nn.attention.mask import Mask, Tile
from isinglass.nn.attention.slots import Slots, first_place


def plain(time: int, batch: int = 1) -> Slots:
    return Slots(torch.arange(time).expand(batch, -1))


def qkv(time: int, heads: int = 2, width: int = 8, batch: int = 1, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, heads, time, width, generator=generator).to(dtype).requires_grad_() for _ in range(3)]


def options(rule: Mask | str, time: int, scheme: str = "none", batch: int = 1) -> dict[str, Any]:
    slots = plain(time, batch)
    return dict(
        q_slots=slots, k_slots=slots, mask=mask(rule) if isinstance(rule, str) else rule, bias=position(scheme, "mha").bias, scale=8**-0.5
    )


class Largest(TorchDispatchMode):
    """The largest tensor that is made while it is on, in numbers."""

    numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        self.numbers = max([self.numbers, *(x.numel() for x in tree_leaves(made) if isinstance(x, Tensor))])
        return made


def largest(text: str, rule: str, time: int, scheme: str = "none") -> int:
    """In one pass forward and back."""
    q, k, v = qkv(time, heads=4)
    with Largest() as watch:
        kernel(text).attend(q, k, v, **options(rule, time, scheme)).sum().backward()
    return watch.numbers


@pytest.mark.parametrize(("text", "rule", "scheme"), [
    ("flash(tile=64)", "causal", "none"),
    ("flash(tile=64)", LONGFORMER, "alibi"),
    ("banded(block=16)", "causal & sliding_window(16)", "none"),
    ("linear", "causal", "none"),
    ("linear", "full", "none"),
])  # fmt: skip
def test_no_tensor_grows_with_the_square(text: str, rule: str, scheme: str) -> None:
    short, long = largest(text, rule, 128, scheme), largest(text, rule, 512, scheme)
    assert long <= 4.2 * short
    assert long < 4 * 512 * 512 / 4


def test_the_reference_does_grow_with_the_square() -> None:
    """So the test above can fail."""
    assert largest("reference", "causal", 512) >= 4 * 512 * 512


@dataclass(frozen=True)
class Counting(Mask):
    """A mask that notes what it is asked."""

    inner: Mask
    asked: list[tuple[int, int]]

    def allow(self, q: Slots, k: Slots) -> Tensor:
        self.asked.append((int(q.position[0, 0]), int(k.position[0, 0])))
        return self.inner.allow(q, k)

    def tile(self, q: range, k: range) -> Tile:
        return self.inner.tile(q, k)

    def __hash__(self) -> int:
        return id(self)


def test_flash_skips_empty_tiles_and_asks_no_mask_in_full_ones() -> None:
    """32 tokens in tiles of 8, each sees itself and the 11 before: the diagonal and two tiles before it are computed, and all but one are mixed."""
    asked: list[tuple[int, int]] = []
    computed: list[tuple[int, int]] = []

    def bias(q: Tensor, k: Tensor, q_slots: Slots, k_slots: Slots) -> None:
        computed.append((int(q_slots.position[0, 0]), int(k_slots.position[0, 0])))

    q, k, v = qkv(32)
    rule = Counting(mask("causal & sliding_window(12)"), asked)
    kernel("flash(tile=8)").attend(q, k, v, **options(rule, 32) | {"bias": bias})
    tiles = [(0, 0), (8, 0), (8, 8), (16, 0), (16, 8), (16, 16), (24, 8), (24, 16), (24, 24)]
    assert computed == tiles
    assert asked == tiles
    asked.clear()
    full = Counting(mask("causal"), asked)
    kernel("flash(tile=8)").attend(q, k, v, **options(full, 32))
    assert asked == [(0, 0), (8, 8), (16, 16), (24, 24)]


def test_flash_keeps_the_logarithm_of_its_sums() -> None:
    """Against the fused kernel of torch, which returns the same number."""
    q, k, v = (x.detach() for x in qkv(37))
    expected, sums, *_ = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True, scale=8**-0.5)
    tiles = Tiles(plain(37), plain(37), mask("causal"), position("none").bias, 8**-0.5, 10)
    for rows in tiles.rows():
        out, log_sums = _online_softmax(tiles, q[:, :, rows], k, v, rows)
        torch.testing.assert_close(out, expected[:, :, rows], atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(log_sums[..., 0], sums[:, :, rows], atol=1e-6, rtol=1e-5)


def test_flash_gradients_by_finite_differences() -> None:
    """Of queries, keys, values and the weights of a bias that reads queries and keys; two query heads to a key head."""
    scheme = positions.family.resolve("relative_xl", Dims(4, 2, 1, 2, 8)).double()
    for weight in scheme.parameters():
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(0))
    q, (k, v) = qkv(5, 2, 2, dtype=torch.float64)[0], qkv(5, 1, 2, dtype=torch.float64)[:2]
    given = options(LONGFORMER, 5) | {"bias": scheme.bias}

    def attend(q: Tensor, k: Tensor, v: Tensor, *weights: Tensor) -> Tensor:
        return kernel("flash(tile=3)").attend(q, k, v, **given)

    assert torch.autograd.gradcheck(attend, (q, k, v, *scheme.parameters()), fast_mode=True)


def test_flash_survives_scores_that_overflow_an_exponential() -> None:
    q, k, v = qkv(20)
    big = [q.detach() * 100, k.detach() * 100, v.detach()]
    flash, plain_sum = (kernel(text).attend(*big, **options("causal", 20)) for text in ("flash(tile=6)", "reference"))
    assert flash.isfinite().all()
    torch.testing.assert_close(flash, plain_sum, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("text", ["flash(tile=6)", "banded(block=4)", "linear"])
def test_half_precision_in_half_precision_out(text: str) -> None:
    rule = "causal & sliding_window(3)" if text.startswith("banded") else "causal"
    half = kernel(text).attend(*qkv(20, dtype=torch.bfloat16), **options(rule, 20))
    whole = kernel(text).attend(*qkv(20), **options(rule, 20))
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), whole, atol=0.03, rtol=0.03)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("text", ["flash(tile=16)", "sdpa", "banded(block=8)"])
@pytest.mark.parametrize("rule", ["causal", "strided(3)", "causal & sliding_window(9)", "dilated(4, 2)", LONGFORMER, BIGBIRD])
def test_equals_flex_attention(text: str, rule: str) -> None:
    """Torch's programmable attention, forward, with the rule as a mask and ALiBi as a score."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    if unsupported(text, rule, "alibi"):
        assert text.startswith("banded")
        return
    time, heads = 50, 4
    q, k, v = (x.detach() for x in qkv(time, heads))
    allowed = mask(rule).allow(plain(time), plain(time))[0]
    blocks = create_block_mask(lambda b, h, i, j: allowed[i, j], None, None, time, time, device="cpu")
    slope = torch.tensor([2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8])
    expected = flex_attention(q, k, v, score_mod=lambda s, b, h, i, j: s - slope[h] * (i - j).abs(), block_mask=blocks)
    torch.testing.assert_close(kernel(text).attend(q, k, v, **options(rule, time, "alibi")), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("time", [5, 33, 100, 130])
@pytest.mark.parametrize("rule", ["causal & sliding_window(5)", "sliding_window(4)", "dilated(3, 3)", "causal & sliding_window(40)"])
def test_banded_at_any_length_and_width(rule: str, time: int) -> None:
    found, expected = (kernel(t).attend(*qkv(time, batch=2), **options(rule, time, batch=2)) for t in ("banded(block=8)", "reference"))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("queries", [1, 3, 30])
def test_banded_with_more_keys_than_queries(queries: int) -> None:
    """A cached step reads the band of its queries alone."""
    q, k, v = (x.detach() for x in qkv(100))
    keys, last = plain(100), plain(100).part(slice(70, 70 + queries))
    given = options("causal & sliding_window(6)", 100) | {"q_slots": last, "k_slots": keys}
    found, expected = (kernel(t).attend(q[:, :, :queries], k, v, **given) for t in ("banded(block=8)", "reference"))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_where_the_first_query_stands() -> None:
    ten = plain(10, batch=2)
    assert first_place(ten, ten) == 0
    assert first_place(ten.part(slice(7, 9)), ten) == 7
    left = torch.arange(10) >= torch.tensor([[3], [0]])
    padded = Slots((torch.arange(10) - torch.tensor([[3], [0]])).clamp(min=0), valid=left)
    assert first_place(padded, padded) == 0
    assert first_place(padded.part(slice(9, 10)), padded) == 9
    packed = Slots(torch.tensor([[0, 1, 2, 0, 1]]))
    assert first_place(packed, packed) is None
    ring = Slots(torch.tensor([[8, 9, 6, 7]]))
    assert first_place(Slots(torch.tensor([[9]])), ring) is None
    apart = Slots(torch.tensor([[5], [6]]))
    assert first_place(apart, ten) is None


@pytest.mark.parametrize("form", ["chunked", "recurrent", "quadratic"])
def test_linear_attention_by_hand(form: str) -> None:
    """d = 1, positive numbers: phi(x) = x + 1. q = 1, 0, k = 0, 1, v = 10, 40: the second gets (1 * 10 + 2 * 40) / 3 = 30."""
    q, k, v = (torch.tensor(x)[None, None, :, None] for x in ([1.0, 0.0], [0.0, 1.0], [10.0, 40.0]))
    found = kernel(f"linear(form='{form}')").attend(q, k, v, **options("causal", 2))
    torch.testing.assert_close(found.flatten(), torch.tensor([10.0, 30.0]))


@pytest.mark.parametrize("form", ["chunked", "recurrent"])
@pytest.mark.parametrize("start", [0, 40])
def test_linear_forms_agree_over_many_chunks(form: str, start: int) -> None:
    q, k, v = qkv(150)
    given = options("causal", 150) | {"q_slots": plain(150).part(slice(start, None))}
    found, expected = (kernel(f"linear(form='{f}')").attend(q[:, :, start:], k, v, **given) for f in (form, "quadratic"))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for a, b in zip(*(torch.autograd.grad(x.square().sum(), (q, k, v)) for x in (found, expected)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_linear_attention_equals_a_loop_in_double_precision() -> None:
    q, k, v = (x.detach().double()[0, 0] for x in qkv(30))

    def phi(x: Tensor) -> Tensor:
        return torch.where(x > 0, x + 1, x.exp())

    rows = []
    for i in range(30):
        weights = torch.stack([(phi(q[i]) * phi(k[j])).sum() for j in range(i + 1)])
        rows.append((weights[:, None] * v[: i + 1]).sum(0) / weights.sum())
    found = kernel("linear").attend(*(x.detach()[:, :1] for x in qkv(30)), **options("causal", 30))
    torch.testing.assert_close(found[0, 0].double(), torch.stack(rows), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("text", "rule", "scheme", "told"), [
    ("banded", "causal", "none", "needs a mask with a finite reach back and ahead and no first tokens, such as causal & sliding_window"),
    ("banded", "causal & (sliding_window(3) | global_tokens(1))", "none", "flash takes every mask and skips what it hides"),
    ("linear", "causal", "alibi", "never writes the scores to which Alibi adds; positions that rotate or embed work"),
    ("linear", "causal & sliding_window(3)", "rotary", "keeps one sum over all that came before, so its masks are full and causal"),
])  # fmt: skip
def test_a_kernel_says_what_it_cannot_do(text: str, rule: str, scheme: str, told: str) -> None:
    assert told in str(unsupported(text, rule, scheme))


@pytest.mark.parametrize("text", ["flash(tile=0)", "banded(block=0)"])
def test_tiles_of_nothing_are_refused(text: str) -> None:
    name = text.partition("(")[0]
    with pytest.raises(VariantError, match=rf"{name}: \w+ = 0, expected at least 1"):
        kernel(text)
