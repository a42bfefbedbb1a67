"""Beam search against transformers' `generate(num_beams=...)` and against exhaustive search."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import isinglass as ig
from helpers.tensors import decoder
from isinglass.core.errors import EngineError, VariantError
from isinglass.generation.lm import LM
from isinglass.models.checkpoint import write_huggingface
from isinglass.text.byte_vocabulary import byte_tokenizer

VOCAB = 24
SETTINGS = [("first", 2, 1.0), ("first", 5, 2.0), ("heuristic", 4, 0.0), ("heuristic", 3, 1.0), ("never", 3, -0.5), ("never", 4, 1.5)]
PROMPTS = [[5, 6], [9, 1, 2, 3, 4, 11, 12], [20], [8, 8, 8, 10]]
EARLY = {"first": True, "heuristic": False, "never": "never"}


def small(seed: int, ends: tuple[int, ...] = (), **settings: Any) -> LM:
    model = decoder(seed, **{"vocab_size": VOCAB, **settings})
    # logits close enough that beams compete, and far enough apart that no two are equal
    model.embed_tokens.weight.mul_(0.4)
    return LM(model, byte_tokenizer(), {}, frozenset(ends))


def theirs(lm: LM, folder: Path) -> Callable[..., list[list[int]]]:
    """transformers' answers to prompts, cut after the end token."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    write_huggingface(lm.model, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def generate(prompts: list[list[int]], max_tokens: int, **options: Any) -> list[list[int]]:
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts])
        mask = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
        ends = sorted(lm.end_ids) or None
        with torch.no_grad():
            out = model.generate(
                ids, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False, eos_token_id=ends, pad_token_id=0, **options
            )
        rows = [row[longest:].tolist() for row in out]
        return [row[: next((n + 1 for n, id in enumerate(row) if id in lm.end_ids), len(row))] for row in rows]

    return generate


def ours(lm: LM, prompts: list[list[int]], max_tokens: int, strategy: str) -> list[list[int]]:
    """Our answers with their end token, which a Generation leaves out."""
    found: list[list[int]] = [[] for _ in prompts]
    for event in ig.generating(lm, prompts, max_tokens=max_tokens, strategy=strategy):
        found[event.row].append(event.id)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_equals_transformers(seed: int, tmp_path: Path) -> None:
    """Batched over prompts of unequal lengths, with one, two or no end tokens, and every way to stop."""
    free = ours(small(seed), PROMPTS, 8, "greedy")
    likely = free[1][3], free[3][5]  # tokens that the search will meet
    ended = 0
    for ends in ((), likely[:1], likely):
        lm = small(seed, ends)
        answers = theirs(lm, tmp_path)
        for early, n_beams, penalty in SETTINGS:
            expected = answers(PROMPTS, 8, num_beams=n_beams, length_penalty=penalty, early_stopping=EARLY[early])
            strategy = f"beam(n_beams={n_beams}, length_penalty={penalty}, early_stopping='{early}')"
            assert ours(lm, PROMPTS, 8, strategy) == expected, (ends, strategy)
            ended += sum(len(row) < 8 for row in expected)
    assert ended > 10


def test_batch_mates_change_nothing() -> None:
    free = ours(small(1), PROMPTS, 12, "greedy")
    lm = small(1, (free[0][2], free[1][6]))
    together = ours(lm, PROMPTS, 12, "beam(n_beams=3)")
    assert [ours(lm, [prompt], 12, "beam(n_beams=3)")[0] for prompt in PROMPTS] == together
    assert len({len(row) for row in together}) > 1


@pytest.mark.parametrize("attention", [{"mask": "causal & sliding_window(3)"}, {"position": "learned"}, {"kernel": "reference"}])
def test_a_beam_as_wide_as_the_tree_finds_the_likeliest_text(attention: dict[str, str]) -> None:
    lm = small(2, vocab_size=6, **attention)
    texts = torch.tensor(list(itertools.product(range(6), repeat=3)))
    whole = torch.cat([torch.tensor([[1, 2, 4]]).expand(len(texts), -1), texts], dim=1)
    log_probs = lm.model(whole).log_softmax(-1)[:, 2:-1].gather(2, texts[:, :, None])[:, :, 0]
    best = int(log_probs.sum(dim=1).argmax())
    found = ig.generate(lm, [1, 2, 4], strategy="beam(n_beams=36)", max_tokens=3)
    assert found.ids == texts[best].tolist()
    assert found.log_probs == pytest.approx(log_probs[best].tolist(), abs=1e-4)


def test_one_beam_is_greedy(tiny_lm: LM) -> None:
    assert ig.generate(tiny_lm, "abc", strategy="beam(n_beams=1)", max_tokens=10).ids == ig.generate(tiny_lm, "abc", max_tokens=10).ids


def test_it_ends_at_the_context_and_at_a_stop(tiny_lm: LM) -> None:
    full = ig.generate(tiny_lm, "a" * 250, strategy="beam(n_beams=2)", max_tokens=40, ignore_end=True)
    assert (full.finish, len(full.ids)) == ("context", 7)
    free = ig.generate(tiny_lm, "hello", strategy="beam(n_beams=2)", max_tokens=12)
    stop = next(char for char in free.text if char.isprintable() and char != "\ufffd") if free.text.strip("\ufffd") else "\ufffd"
    cut = ig.generate(tiny_lm, "hello", strategy="beam(n_beams=2)", max_tokens=12, stop=stop)
    assert (cut.text, cut.finish) == (free.text.partition(stop)[0], "stop")


def test_wrong_arguments(tiny_lm: LM) -> None:
    with pytest.raises(VariantError, match=r"beam: n_beams = 0, expected a whole number >= 1[\s\S]*hint: 4 is usual; 1 is greedy"):
        ig.generate(tiny_lm, "abc", strategy="beam(n_beams=0)")
    with pytest.raises(VariantError, match=r"beam: early_stopping = 'soon': Input should be 'first', 'heuristic' or 'never'"):
        ig.generate(tiny_lm, "abc", strategy="beam(early_stopping='soon')")
    with pytest.raises(EngineError, match=r"temperature = 0.5 beside strategy 'beam'"):
        ig.generate(tiny_lm, "abc", strategy="beam", temperature=0.5)
    with pytest.raises(
        EngineError, match=r"compile=True beside strategy 'beam', whose passes have many shapes[\s\S]*hint: leave compile out"
    ):
        ig.generate(tiny_lm, "abc", strategy="beam", compile=True)
