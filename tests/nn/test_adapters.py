"""A prefix in one attention layer: the softmax over prefix and text written out, for every kernel, position, mask and head layout."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from helpers.pairwise import choices, title
from helpers.tensors import ROWS, Watch, randomised, real, slots_of
from helpers.variants import LAYOUTS, dims, kernel, kernel_expressions, mask, mask_expressions, position, position_expressions
from isinglass.core.errors import VariantError
from isinglass.nn import adapters
from isinglass.nn.adapter import Site, adapters_off, adapters_on
from isinglass.nn.adapters.lora import LowRank
from isinglass.nn.adapters.prefix import AfterPrefix
from isinglass.nn.attention.layer import Attention, Parts
from isinglass.nn.attention.mask import Tile

TIME, LENGTH = 14, 3


def reads_prefix(choice: dict) -> bool:
    return kernel(choice["kernel"]).supports(AfterPrefix(mask(choice["mask"])), position(choice["position"])) is None


FACTORS = dict(
    kernel=sorted(kernel_expressions(), key=lambda text: text != "sdpa"),
    position=position_expressions(),
    mask=mask_expressions(),
    layout=list(LAYOUTS),
    rows=list(ROWS),
)
CHOICES = choices(FACTORS, reads_prefix, drawn=["rows"])


def layer(choice: dict, kernel_text: str | None = None) -> Attention:
    parts = Parts(position(choice["position"], choice["layout"]), mask(choice["mask"]), kernel(kernel_text or choice["kernel"]))
    built = Attention(dims(choice["layout"]), parts, "all")
    randomised(built)
    randomised(parts.position)
    return built


def prefixed(choice: dict, kernel_text: str | None = None) -> Attention:
    built = layer(choice, kernel_text)
    attach(built)
    assert built.adapter is not None
    randomised(built.adapter, seed=3)
    for weight in built.adapter.parameters():
        weight.data.mul_(2)
    return built


def attach(attention: Attention, adapter: str = f"prefix(length={LENGTH})") -> None:
    site = Site("layers.0.attention", "attention", nn.Module(), attention)
    adapters.family.resolve(adapter).attach([site], torch.Generator().manual_seed(0))


def text(layout: str) -> Tensor:
    return torch.randn(2, TIME, dims(layout).d_model, generator=torch.Generator().manual_seed(1))


def run(attention: Attention, choice: dict, tap: Watch | None = None) -> Tensor:
    slots = slots_of(choice["rows"], TIME)
    return attention(text(choice["layout"]), layer=0, slots=slots, k_slots=slots, tap=tap)


def written_out(choice: dict, own_k: Tensor, own_v: Tensor) -> Tensor:
    """softmax([q P_k^T * scale, scores]) [P_v; v], from the scores of the layer without a prefix."""
    plain, tap = layer(choice, "reference"), Watch()
    run(plain, choice, tap)
    q, v, scores = (tap.kept[f"attention.{name}"] for name in ("q", "v", "scores"))
    group = q.shape[1] // v.shape[1]
    to_prefix = torch.einsum("bhqd,hpd->bhqp", q, own_k.repeat_interleave(group, 0)) * plain.scale
    weights = torch.cat([to_prefix, scores], dim=-1).softmax(dim=-1)
    z = torch.einsum("bhqp,hpd->bhqd", weights[..., :LENGTH], own_v.repeat_interleave(group, 0))
    z = z + weights[..., LENGTH:] @ v.repeat_interleave(group, 1)
    return plain.o_proj(z.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("choice", CHOICES, ids=title)
@torch.no_grad()
def test_a_prefix_is_one_softmax_with_the_text(choice: dict) -> None:
    attention = prefixed(choice)
    assert attention.adapter is not None
    expected = written_out(choice, attention.adapter.k.detach(), attention.adapter.v.detach())  # type: ignore[arg-type]
    seen = real(slots_of(choice["rows"], TIME))
    torch.testing.assert_close(run(attention, choice)[seen], expected[seen], atol=1e-5, rtol=1e-5)
    with adapters_off():
        assert torch.equal(run(attention, choice), run(layer(choice), choice))


def test_every_kernel_but_those_that_say_why_reads_a_prefix() -> None:
    assert {choice["kernel"] for choice in CHOICES} >= {"reference", "sdpa", "flash(tile=5)"}
    assert {choice["mask"] for choice in CHOICES} == set(FACTORS["mask"])
    assert {choice["position"] for choice in CHOICES} == set(FACTORS["position"])


@pytest.mark.parametrize("name", ["relative_t5(num_buckets=8, max_distance=12)", "rotary"])
def test_gradients_of_a_prefix_and_of_the_position_beside_it(name: str) -> None:
    """Flash makes its own backward pass and must find the weights of the position behind the wrapped bias."""
    choice = dict(position=name, mask="causal", layout="gqa", rows="padded_left")
    seen, found = real(slots_of("padded_left", TIME)), []
    for each in ("reference", "flash(tile=5)"):
        attention = prefixed(choice, each)
        assert attention.adapter is not None
        run(attention, choice)[seen].square().sum().backward()
        weights = [*attention.adapter.parameters(), *attention.parts.position.parameters()]
        found.append([weight.grad for weight in weights])
    for reference, flash in zip(*found, strict=True):
        assert reference is not None and reference.abs().max() > 1e-3
        torch.testing.assert_close(flash, reference, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "rule", "says"), [
    ("linear", "causal", "prefix: the kernel linear of layers.0.attention cannot read one: it keeps one sum"),
    ("banded(block=2)", "causal & sliding_window(3)", "prefix: the kernel banded of layers.0.attention cannot read one: it needs a mask"),
])  # fmt: skip
def test_a_kernel_that_cannot_read_a_prefix_says_so(name: str, rule: str, says: str) -> None:
    attention = layer(dict(position="rotary", mask=rule, layout="mha", rows="plain"), name)
    with pytest.raises(VariantError) as caught:
        attach(attention)
    assert says in str(caught.value)
    assert "hint: give the model attention.kernel = 'sdpa'" in str(caught.value)
    assert attention.adapter is None


def test_tiles_before_the_text_are_seen_whole() -> None:
    rule = AfterPrefix(mask("causal"))
    assert rule.tile(range(4), range(-3, 0)) is Tile.FULL
    assert rule.tile(range(4), range(-3, 2)) is Tile.MIXED
    assert rule.tile(range(4), range(8, 12)) is Tile.EMPTY
    assert rule.causal and not AfterPrefix(mask("full")).causal
    assert rule.reach.back is None


def test_off_belongs_to_the_thread_and_ends_with_an_error() -> None:
    seen: list[bool] = []
    with adapters_off():
        other = threading.Thread(target=lambda: seen.append(adapters_on()))
        other.start()
        other.join()
        with adapters_off():
            seen.append(adapters_on())
        seen.append(adapters_on())
    seen.append(adapters_on())
    with pytest.raises(RuntimeError, match="stop"), adapters_off():
        raise RuntimeError("stop")
    assert [*seen, adapters_on()] == [True, False, False, True, True]


@pytest.mark.parametrize(("expression", "says"), [
    ("lora(rank=0)", "lora: rank = 0, expected at least 1"),
    ("lora(alpha=0.0)", "lora: alpha = 0.0, expected more than 0"),
    ("lora(dropout=1.0)", "lora: dropout = 1.0, expected a share from 0 to below 1"),
    ("lora(targets=())", "lora: targets = (), expected at least one"),
    ("lora(rank='8')", "lora: rank = '8': Input should be a valid integer"),
    ("prefix(length=0)", "prefix: length = 0, expected at least 1"),
    ("lorra(rank=2)", "unknown adapter 'lorra' in adapter\n  known: lora, prefix\nhint: did you mean 'lora'?"),
])  # fmt: skip
def test_wrong_settings_get_one_clear_error(expression: str, says: str) -> None:
    with pytest.raises(VariantError) as caught:
        adapters.family.resolve(expression, where="adapter")
    assert says in str(caught.value)


def test_scale_is_alpha_over_rank() -> None:
    weight = torch.zeros(5, 7)
    for expression, scale in (("lora(rank=4)", 1.0), ("lora(rank=4, alpha=16)", 4.0), ("lora(rank=16, alpha=16)", 1.0)):
        part = LowRank(adapters.family.resolve(expression), weight, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
        part.b.data.fill_(1.0)
        torch.testing.assert_close(part.change(), scale * part.a.sum(0).expand(5, 7))
        assert part.a.abs().max() <= 7**-0.5


def test_dropout_acts_on_the_adapter_alone_and_while_training_alone() -> None:
    source = adapters.family.resolve("lora(rank=2, dropout=0.5)")
    part = LowRank(source, torch.zeros(3, 64), torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    part.b.data.fill_(1.0)
    x = torch.ones(1, 64)
    torch.manual_seed(0)
    assert not torch.allclose(part.train()(x), part(x))
    torch.testing.assert_close(part.eval()(x), x @ part.change().T)


def test_expressions_build_the_same_again() -> None:
    for expression in ("lora(rank=2, alpha=3.5, targets=['q_proj', 'mlp'], dropout=0.1)", "lora", "prefix(length=5)"):
        adapter = adapters.family.resolve(expression)
        assert adapters.family.resolve(adapter.expression) == adapter
