"""Cached decoding equals one pass, for every causal mask, cache, kernel, position, head layout and kind of batch."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from helpers.pairwise import choices, title
from helpers.tensors import cut, decoder, random_ids, real, slots_of
from helpers.variants import LAYOUTS, cache_expressions, causal_masks, kernel_expressions, mask, position_expressions, unsupported
from isinglass.core.errors import EngineError
from isinglass.models.cache import cache_dims, new_cache
from isinglass.models.transformer import Decoder
from isinglass.nn.attention import caches
from isinglass.nn.attention.cache import Cache

TIME = 14
WAYS = {"token by token": [1] * TIME, "two chunks": [8, 6], "prefill and steps": [6, *[1] * (TIME - 6)], "odd chunks": [1, 5, 2, 6]}


def built(choice: dict) -> Decoder:
    n_heads, n_kv_heads = LAYOUTS[choice["layout"]]
    parts = {part: choice[part] for part in ("position", "kernel")}
    # fp64: these random weights give logits up to 25, whose rounding in fp32 can be as large as the errors that are looked for
    return decoder(n_heads=n_heads, n_kv_heads=n_kv_heads, mask=mask_for(choice), **parts).double()


def mask_for(choice: dict) -> str:
    """Positions of packed documents start anew, so a mask on positions needs the documents beside it."""
    return f"({choice['mask']}) & documents" if choice["rows"] == "packed" else choice["mask"]


def possible(choice: dict) -> bool:
    rule = mask_for(choice)
    return unsupported(choice["kernel"], rule, choice["position"]) is None and store(choice["cache"]).supports(mask(rule)) is None


@cache
def store(text: str) -> Cache:
    return caches.family.resolve(text, cache_dims(SMALL, batch=2, capacity=TIME))


SMALL = decoder()
CHOICES = choices(
    dict(
        cache=cache_expressions(),
        mask=causal_masks(),
        kernel=sorted(kernel_expressions(), key=lambda text: text != "sdpa"),
        position=position_expressions(),
        layout=list(LAYOUTS),
        rows=["plain", "padded_left", "packed"],
        way=list(WAYS),
    ),
    possible,
    drawn=["rows", "way"],
)


def test_every_cache_and_every_causal_mask_takes_part() -> None:
    assert {c["cache"] for c in CHOICES} == set(cache_expressions())
    assert {c["mask"] for c in CHOICES} == set(causal_masks())


@pytest.mark.parametrize("choice", CHOICES, ids=title)
def test_cached_equals_one_pass(choice: dict) -> None:
    model, ids, slots = built(choice), random_ids(2, TIME), slots_of(choice["rows"], TIME)
    whole = model(ids, slots=slots)
    cache = new_cache(model, batch=2, capacity=TIME, kind=choice["cache"])
    parts, start = [], 0
    for length in WAYS[choice["way"]]:
        parts.append(model(ids[:, start : start + length], slots=cut(slots, start, start + length), cache=cache))
        start += length
    kept = real(slots)
    torch.testing.assert_close(torch.cat(parts, dim=1)[kept], whole[kept], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cache", cache_expressions())
def test_steps_after_a_padded_prompt_need_no_padding_mask(cache: str) -> None:
    """Generation pads the prompts and then steps with plain slots; a ring must not remember the padding that stood in a place."""
    model, ids = decoder(mask="causal & sliding_window(3)"), random_ids(2, TIME)
    slots = slots_of("padded_left", TIME)
    whole, store = model(ids, slots=slots), new_cache(model, batch=2, capacity=TIME, kind=cache)
    model(ids[:, :5], slots=cut(slots, 0, 5), cache=store)
    for at in range(5, TIME):
        step = model(ids[:, at : at + 1], slots=type(slots)(slots.position[:, at : at + 1]), cache=store)
        torch.testing.assert_close(step[:, 0], whole[:, at], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask_text", causal_masks())
def test_the_default_cache_equals_one_pass(mask_text: str) -> None:
    model, ids = decoder(mask=mask_text), random_ids(2, TIME)
    cache = new_cache(model, batch=2, capacity=TIME)
    parts = [model(ids[:, at : at + 1], cache=cache) for at in range(TIME)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(ids), atol=1e-5, rtol=1e-5)


def test_layers_with_different_masks_share_a_cache() -> None:
    model, ids = decoder(mask=["causal & sliding_window(2)", "causal & sliding_window(5)"]), random_ids(2, TIME)
    cache = new_cache(model, batch=2, capacity=TIME)
    assert type(cache).__name__ == "Rolling"
    parts = [model(ids[:, at : at + 1], cache=cache) for at in range(TIME)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(ids), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cache", cache_expressions())
def test_a_mask_that_looks_ahead_cannot_be_cached(cache: str) -> None:
    with pytest.raises(EngineError, match=r"layers\.0: .*causal mask"):
        new_cache(decoder(mask="full"), batch=1, capacity=TIME, kind=cache)


def test_a_rolling_cache_says_why_it_refuses() -> None:
    with pytest.raises(EngineError, match=r"needs a causal mask with a finite reach, such as causal & sliding_window\(256\)"):
        new_cache(decoder(mask="causal"), batch=1, capacity=TIME, kind="rolling(back=4)")
    with pytest.raises(EngineError, match=r"reaches back 8 tokens and to the first 0; this cache keeps 4 and 0"):
        new_cache(decoder(mask="causal & sliding_window(9)"), batch=1, capacity=TIME, kind="rolling(back=4)")


def test_a_full_contiguous_cache_says_so() -> None:
    model = decoder()
    cache = new_cache(model, batch=1, capacity=4, kind="contiguous")
    with pytest.raises(EngineError, match="the cache holds 4 tokens, asked to hold 5"):
        model(random_ids(1, 5), cache=cache)


def test_bytes_per_token_counts_keys_and_values_of_all_layers() -> None:
    dims = cache_dims(decoder(n_layers=3), batch=2, capacity=TIME)
    assert dims.bytes_per_token == 2 * 3 * 2 * 8 * 4  # k and v, layers, kv heads, d_head, fp32
