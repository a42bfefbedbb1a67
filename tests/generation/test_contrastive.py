"""Contrastive search against a search that reads every candidate's whole text anew through transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import isinglass as ig
from helpers.tensors import decoder, randomised
from isinglass.core.errors import EngineError, VariantError
from isinglass.generation.lm import LM
from isinglass.metrics.diversity import repetition
from isinglass.models.cache import new_cache
from isinglass.models.checkpoint import write_huggingface
from isinglass.models.presets import gpt2
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.caches.contiguous import Contiguous
from isinglass.text.byte_vocabulary import byte_tokenizer

VOCAB = 24
PROMPTS = [[5, 6], [9, 1, 2, 3, 4, 11, 12], [20], [8, 8, 8, 10]]


def llama(seed: int, **settings: Any) -> Decoder:
    model = decoder(seed, **{"vocab_size": VOCAB, **settings})
    model.embed_tokens.weight.mul_(0.4)
    return model


def gpt(seed: int) -> Decoder:
    config = gpt2.build(n_layers=2, d_model=32, n_heads=4, vocab_size=VOCAB, context_length=64)
    model = decoder(seed, config)
    model.embed_tokens.weight.mul_(0.2)
    return model


def lm_of(model: Decoder, ends: tuple[int, ...] = ()) -> LM:
    return LM(model, byte_tokenizer(), {}, frozenset(ends))


def naive(model: Decoder, folder: Path) -> Callable[[list[int], int, int, float], list[int]]:
    """The paper's rule, one text at a time: no cache, no padding, the whole text anew with each candidate."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    write_huggingface(model, folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def read(texts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            out = theirs(torch.tensor(texts), output_hidden_states=True, use_cache=False)
        return out.logits[:, -1].softmax(-1), out.hidden_states[-1]

    def search(prompt: list[int], n_tokens: int, k: int, alpha: float) -> list[int]:
        ids = list(prompt)
        for _ in range(n_tokens):
            p = read([ids])[0][0]
            tokens = p.argsort(descending=True)[:k].tolist()
            states = read([[*ids, token] for token in tokens])[1]
            alike = torch.cosine_similarity(states[:, -1:], states[:, :-1], dim=-1).amax(dim=1).tolist()
            scores = [(1 - alpha) * float(p[token]) - alpha * worst for token, worst in zip(tokens, alike, strict=True)]
            ids.append(tokens[scores.index(max(scores))])
        return ids[len(prompt) :]

    return search


def ids_of(lm: LM, prompts: list[list[int]], n_tokens: int, k: int, alpha: float) -> list[list[int]]:
    """Our answers with their end token, which a Generation leaves out."""
    found: list[list[int]] = [[] for _ in prompts]
    for event in ig.generating(lm, prompts, max_tokens=n_tokens, strategy=f"contrastive(k={k}, alpha={alpha})"):
        found[event.row].append(event.id)
    return found


@pytest.mark.parametrize("make", [llama, gpt])
def test_equals_a_search_that_reads_everything_anew(make: Callable[[int], Decoder], tmp_path: Path) -> None:
    model = make(0)
    search, plain = naive(model, tmp_path), ids_of(lm_of(model), PROMPTS, 10, 1, 0.0)
    for k, alpha in ((2, 0.6), (4, 0.6), (6, 0.3), (VOCAB + 5, 1.0)):
        expected = [search(prompt, 10, k, alpha) for prompt in PROMPTS]
        assert expected != plain
        assert ids_of(lm_of(model), PROMPTS, 10, k, alpha) == expected, (k, alpha)


@pytest.mark.parametrize("settings", [{}, {"mask": "causal & sliding_window(3)"}, {"position": "learned"}, {"position": "alibi"}])
def test_without_a_penalty_or_a_choice_it_is_greedy(settings: dict[str, str]) -> None:
    lm = lm_of(llama(3, **settings))
    plain = ig.generate(lm, PROMPTS, max_tokens=20)
    for strategy in ("contrastive(alpha=0)", "contrastive(k=1)"):
        found = ig.generate(lm, PROMPTS, max_tokens=20, strategy=strategy)
        assert [one.ids for one in found] == [one.ids for one in plain]
        for one, other in zip(found, plain, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)


def test_rows_end_on_their_own_and_batch_mates_change_nothing() -> None:
    free = ids_of(lm_of(llama(1)), PROMPTS, 12, 4, 0.6)
    lm = lm_of(llama(1), (free[0][2], free[1][6]))
    together = ids_of(lm, PROMPTS, 12, 4, 0.6)
    assert [ids_of(lm, [prompt], 12, 4, 0.6)[0] for prompt in PROMPTS] == together
    assert len({len(row) for row in together}) > 1
    for row, whole in zip(together, free, strict=True):
        assert row == whole[: len(row)]
        assert len(row) == 12 or row[-1] in lm.end_ids


def test_tokens_come_as_they_are_chosen(tiny_lm: LM) -> None:
    events = ig.generating(tiny_lm, ["ab", "hello"], strategy="contrastive", max_tokens=4, ignore_end=True)
    assert [event.row for event in events] == [0, 1] * 4
    whole = ig.generate(tiny_lm, "hello", strategy="contrastive", max_tokens=9)
    parts = list(ig.generating(tiny_lm, "hello", strategy="contrastive", max_tokens=9))
    assert "".join(part.text for part in parts) == whole.text
    seconds = [part.seconds for part in parts]
    assert seconds == sorted(set(seconds))


def test_it_ends_at_a_stop_and_where_greedy_does_at_the_context(tiny_lm: LM) -> None:
    for prompt in ("a" * 250, "a" * 256):
        full = ig.generate(tiny_lm, [prompt, "b"], strategy="contrastive", max_tokens=10, ignore_end=True)
        plain = ig.generate(tiny_lm, [prompt, "b"], max_tokens=10, ignore_end=True)
        assert [(one.finish, len(one.ids)) for one in full] == [(one.finish, len(one.ids)) for one in plain]
        assert full[0].finish == "context"
        assert full[1].ids == ig.generate(tiny_lm, "b", strategy="contrastive", max_tokens=10, ignore_end=True).ids
    free = ig.generate(tiny_lm, "hello", strategy="contrastive", max_tokens=12)
    stop = free.text[3:5]
    cut = ig.generate(tiny_lm, "hello", strategy="contrastive", max_tokens=12, stop=stop)
    assert (cut.text, cut.finish) == (free.text.partition(stop)[0], "stop")


def test_a_token_that_stands_behind_the_context_is_the_likeliest(tiny_lm: LM) -> None:
    """It cannot be read where it would stand, so there is nothing to compare."""
    ids = list(b"abcd" * 64)
    likeliest = int(tiny_lm.model(torch.tensor([ids]))[0, -1].argmax())
    assert ig.generate(tiny_lm, ids, strategy="contrastive(alpha=1)", ignore_end=True).ids == [likeliest]


def test_copying_the_last_token_equals_copying_all() -> None:
    """Rows that share their past: whichever way the cache keeps the chosen ones, the next step reads the same."""
    model, rows = llama(2), torch.tensor([1, 1, 2, 2])
    past, last = torch.tensor([[3, 4, 5], [6, 7, 8]]), torch.tensor([[1], [2], [3], [4]])
    steps = []
    for way in (Contiguous.select, Contiguous.select_last):
        cache = new_cache(model, batch=2, capacity=8, kind="contiguous")
        assert isinstance(cache, Contiguous)
        model(past, cache=cache)
        cache.select(torch.tensor([0, 0, 1, 1]))
        model(last, cache=cache)
        way(cache, rows)
        steps.append(model(last, cache=cache))
    torch.testing.assert_close(steps[0], steps[1], atol=0, rtol=0)


def test_it_repeats_itself_less_than_greedy(smollm2: LM) -> None:
    prompt = "The old lighthouse keeper climbed the stairs, as he did every evening, and"
    plain, contrastive = (ig.generate(smollm2, prompt, strategy=one, max_tokens=30).ids for one in ("greedy", "contrastive"))
    assert repetition(plain) > 0.1
    assert repetition(contrastive) == 0


def test_other_widths_of_numbers(make_lm: Callable[..., LM]) -> None:
    lm = make_lm("tiny")
    half = LM(randomised(Decoder(lm.decoder.config)).bfloat16().requires_grad_(False).eval(), lm.tokenizer)  # type: ignore[arg-type]
    found = ig.generate(half, ["abc", "a"], strategy="contrastive", max_tokens=6, ignore_end=True)
    assert [len(one.ids) for one in found] == [6, 6]


def test_wrong_arguments(tiny_lm: LM) -> None:
    with pytest.raises(VariantError, match=r"contrastive: k = 0, expected a whole number >= 1\nhint: 4 to 8 is usual; 1 is greedy"):
        ig.generate(tiny_lm, "abc", strategy="contrastive(k=0)")
    with pytest.raises(VariantError, match=r"contrastive: alpha = 1.5, expected a number from 0 to 1\nhint: 0.6 is usual; 0 is greedy"):
        ig.generate(tiny_lm, "abc", strategy="contrastive(alpha=1.5)")
    with pytest.raises(EngineError, match=r"temperature = 0.5 beside strategy 'contrastive'"):
        ig.generate(tiny_lm, "abc", strategy="contrastive", temperature=0.5)
    with pytest.raises(EngineError, match=r"compile=True beside strategy 'contrastive', whose passes have many shapes"):
        ig.generate(tiny_lm, "abc", strategy="contrastive", compile=True)
