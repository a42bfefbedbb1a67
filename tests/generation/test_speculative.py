"""Speculative decoding: the same tokens as greedy, the same law as sampling, and honest counts."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import isinglass as ig
from helpers.tensors import decoder, random_ids
from isinglass.core.errors import CheckpointError, EngineError, VariantError
from isinglass.generation import drafts
from isinglass.generation.decoding import Reader
from isinglass.generation.draft import Proposal
from isinglass.generation.drafts.prompt_lookup import continuation
from isinglass.generation.lm import LM
from isinglass.generation.results import Speculated
from isinglass.generation.sampling import Row
from isinglass.generation.strategies import greedy, sample, speculative
from isinglass.text.byte_vocabulary import byte_tokenizer

PROMPTS = ["ab", "a much longer prompt than the first", "x", "four four four"]
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("tiny", {}),
    "gpt2": ("gpt2(n_layers=2, d_model=32, n_heads=4, vocab_size=256, context_length=256)", {}),
    "window": ("tiny", {"mask": "causal & sliding_window(6)"}),
}


@pytest.fixture(params=MODELS, scope="module")
def lm(request: pytest.FixtureRequest, make_lm: Callable[..., LM]) -> LM:
    expression, attention = MODELS[request.param]
    return make_lm(expression, attention=attention)


def lm_of(seed: int, vocab: int = 256, scale: float = 0.3, **settings: Any) -> LM:
    model = decoder(seed, vocab_size=vocab, context_length=256, **settings)
    model.embed_tokens.weight.mul_(scale)
    return LM(model, byte_tokenizer())


@pytest.fixture(scope="module")
def all_drafts(lm: LM) -> list[Any]:
    """A draft that is mostly wrong, one that is always right, and the text itself."""
    return [lm_of(7, n_layers=1), LM(lm.model, byte_tokenizer()), "prompt_lookup"]


@pytest.mark.parametrize("n_tokens", [1, 4])
def test_greedy_gives_the_same_tokens(lm: LM, all_drafts: list[Any], n_tokens: int) -> None:
    expected = ig.generate(lm, PROMPTS, max_tokens=20)
    for draft in all_drafts:
        strategy = speculative.build(draft=draft, n_tokens=n_tokens)
        found = ig.generate(lm, PROMPTS, strategy=strategy, max_tokens=20)
        assert [one.ids for one in found] == [one.ids for one in expected]
        assert ig.generate(lm, PROMPTS[0], strategy=strategy, max_tokens=20).ids == expected[0].ids
        for one, other in zip(found, expected, strict=True):
            assert one.log_probs == pytest.approx(other.log_probs, abs=1e-4)
            assert (one.text, one.finish) == (other.text, other.finish)


def test_stops_ends_and_context_end_it_where_greedy_does(tiny_lm: LM) -> None:
    strategy = speculative.build(draft=tiny_lm, n_tokens=5)
    free = ig.generate(tiny_lm, "hello", max_tokens=16)
    ends = LM(tiny_lm.model, tiny_lm.tokenizer, {}, frozenset({free.ids[6]}))
    for lm, prompt, options in (
        (ends, "hello", {}),
        (tiny_lm, "hello", {"stop": free.text[4:6]}),
        (tiny_lm, "hello", {"max_tokens": 1}),
        (tiny_lm, "a" * 252, {}),
        (tiny_lm, "a" * 256, {}),
    ):
        options = {"max_tokens": 16, **options}
        plain, fast = (ig.generate(lm, prompt, strategy=one, **options) for one in ("greedy", strategy))
        assert (fast.ids, fast.text, fast.finish) == (plain.ids, plain.text, plain.finish)
        assert ig.generate(lm, [prompt, "x"], strategy=strategy, **options)[0].ids == plain.ids


def test_a_draft_that_is_always_right_is_always_accepted(tiny_lm: LM) -> None:
    found = ig.generate(tiny_lm, "hello", strategy=speculative.build(draft=tiny_lm, n_tokens=3), max_tokens=16)
    assert found.speculated == Speculated(proposed=12, accepted=12, passes=4)
    assert (found.speculated.acceptance, found.speculated.tokens_per_pass) == (1.0, 4.0)
    assert ig.generate(tiny_lm, "hello", max_tokens=2).speculated is None


def test_counts_of_every_pass_are_on_its_first_token(tiny_lm: LM) -> None:
    events = list(ig.generating(tiny_lm, "hello hello", strategy="speculative", max_tokens=30))
    counted = [event.speculated for event in events if event.speculated]
    assert len(events) == 30
    assert sum(one.accepted + one.passes for one in counted) == 30
    assert all(0 <= one.accepted <= one.proposed <= 4 and one.passes == 1 for one in counted)
    assert Speculated(0, 0, 1).acceptance == 0.0


# a vocabulary of 4, so that every text of three tokens is a cell with an expectation of its own
TINY, PROMPT = 4, [1, 3, 0, 2]


def law_of_texts(lm: LM, length: int) -> dict[tuple[int, ...], float]:
    """The probability of every text, from whole passes."""
    texts = list(itertools.product(range(TINY), repeat=length))
    log_probs = lm.model(torch.tensor([[*PROMPT, *text] for text in texts])).double().log_softmax(-1)
    start = len(PROMPT) - 1
    return {text: float(sum(log_probs[n, start + at, id] for at, id in enumerate(text)).exp()) for n, text in enumerate(texts)}


@pytest.mark.parametrize("draft", ["model", "prompt_lookup", "itself"])
def test_sampling_follows_the_law_of_the_model(draft: str) -> None:
    """4,000 texts of three tokens against their exact probabilities; rows of a batch are independent draws."""
    lm, small = lm_of(1, TINY, 0.1), lm_of(5, TINY, 0.1, n_layers=1)
    chosen = {"model": small, "prompt_lookup": "prompt_lookup(ngram=1)", "itself": lm}[draft]
    chosen = drafts.family.resolve(chosen) if isinstance(chosen, str) else chosen
    strategy = speculative.build(draft=chosen, n_tokens=2, choose="sample")
    found = [one for seed in range(4) for one in ig.generate(lm, [PROMPT] * 1000, strategy=strategy, max_tokens=3, seed=seed)]
    counts, expected = Counter(tuple(one.ids) for one in found), law_of_texts(lm, 3)
    assert sum(expected.values()) == pytest.approx(1.0)
    assert max(expected.values()) < 0.5
    common = [text for text, p in expected.items() if p * len(found) >= 5]
    observed = [counts[text] for text in common]
    theory = [expected[text] * len(found) for text in common]
    if len(common) < len(expected):
        observed.append(len(found) - sum(observed))
        theory.append(len(found) - sum(theory))
    assert chisquare(observed, theory).pvalue > 0.01
    acceptance = sum(one.speculated.accepted for one in found) / sum(one.speculated.proposed for one in found)  # type: ignore[union-attr]
    assert acceptance == 1.0 if draft == "itself" else 0.05 < acceptance < 0.95


def test_the_chi_square_test_would_notice_a_wrong_law() -> None:
    """The same count for the draft's own law fails: the models differ enough to be told apart."""
    lm, small = lm_of(1, TINY, 0.1), lm_of(5, TINY, 0.1, n_layers=1)
    expected, other = law_of_texts(lm, 3), law_of_texts(small, 3)
    common = [text for text, p in expected.items() if p * 4000 >= 5]
    theory = [expected[text] for text in common]
    observed = [other[text] for text in common]
    scale = 4000 / sum(theory)
    assert chisquare([o * 4000 / sum(observed) for o in observed], [t * scale for t in theory]).pvalue < 1e-6


LAWS = st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3).filter(lambda law: sum(law) > 0.1)


@settings(deadline=None, max_examples=8)
@given(LAWS, LAWS)
def test_one_checked_token_has_the_law_of_the_model(p: list[float], q: list[float]) -> None:
    """Summed over what the draft may propose and 600 evenly laid random numbers, in place of a proof on paper."""
    law, guess = (torch.tensor(one, dtype=torch.float64) / sum(one) for one in (p, q))
    logits = torch.stack([law.log(), torch.zeros(3)]).double()
    n, total = 600, torch.zeros(3, dtype=torch.float64)
    for proposed in range(3):
        if guess[proposed] == 0:
            continue
        firsts = [
            speculative.check(Proposal([proposed], guess[None]), logits, Row([0], torch.Generator().manual_seed(seed)), sample.build())[0]
            for seed in range(n)
        ]
        total += guess[proposed] * torch.bincount(torch.tensor(firsts), minlength=3) / n
    # the standard error of a share is at most 0.5 / sqrt(600) = 0.02
    torch.testing.assert_close(total, law, atol=0.09, rtol=0)


def test_the_stream_of_a_row_is_its_own(tiny_lm: LM) -> None:
    strategy = speculative.build(draft=lm_of(7, n_layers=1), n_tokens=3, choose="sample(top_p=0.95)")
    together = ig.generate(tiny_lm, PROMPTS, strategy=strategy, max_tokens=12, seed=3)
    assert ig.generate(tiny_lm, PROMPTS[0], strategy=strategy, max_tokens=12, seed=3).ids == together[0].ids
    assert [one.ids for one in ig.generate(tiny_lm, PROMPTS[:3], strategy=strategy, max_tokens=12, seed=3)] == [
        one.ids for one in together[:3]
    ]
    assert ig.generate(tiny_lm, PROMPTS[0], strategy=strategy, max_tokens=12, seed=4).ids != together[0].ids


def test_filters_see_the_tokens_just_accepted(tiny_lm: LM) -> None:
    """A repetition penalty within one pass: what was accepted a moment ago counts."""
    expected = ig.generate(tiny_lm, "abc", strategy="sample(repetition=3.0, top_k=1)", max_tokens=20).ids
    strategy = speculative.build(draft=tiny_lm, n_tokens=4, choose="sample(repetition=3.0, top_k=1)")
    assert ig.generate(tiny_lm, "abc", strategy=strategy, max_tokens=20).ids == expected


def test_the_temperature_goes_to_the_chooser(tiny_lm: LM) -> None:
    strategy = "speculative(draft=prompt_lookup(ngram=2), choose=sample(top_k=20))"
    hot, cold = (ig.generate(tiny_lm, "abcabc", strategy=strategy, temperature=t, max_tokens=12) for t in (1.5, 0))
    assert cold.ids == ig.generate(tiny_lm, "abcabc", max_tokens=12).ids != hot.ids
    with pytest.raises(EngineError, match=r"temperature = 0\.7 beside strategy"):
        ig.generate(tiny_lm, "abc", strategy="speculative(choose=sample(temperature=1))", temperature=0.7)


def test_a_draft_spelled_as_an_expression(tiny_lm: LM) -> None:
    """Alone as inside the strategy's own expression."""
    whole = ig.generate(tiny_lm, "abcabc", strategy="speculative(draft=prompt_lookup(ngram=2))", max_tokens=12)
    for draft in ("prompt_lookup(ngram=2)", "prompt_lookup"):
        found = ig.generate(tiny_lm, "abcabc", strategy=speculative.build(draft=draft), max_tokens=12)
        assert found.ids == whole.ids
        assert found.speculated is not None


def test_a_draft_by_name(make_lm: Callable[..., LM], tmp_path: Path) -> None:
    lm = make_lm("tiny")
    folder = ig.export(lm, tmp_path / "small")
    expected = ig.generate(lm, "hello", max_tokens=12).ids
    for expression in (f"speculative(draft={str(folder)!r})", f"speculative(draft=model({str(folder)!r}), n_tokens=2)"):
        found = ig.generate(lm, "hello", strategy=expression, max_tokens=12)
        assert found.ids == expected
        assert found.speculated is not None
        assert found.speculated.acceptance > 0.8


@pytest.mark.parametrize(
    ("ids", "ngram", "expected"),
    [
        ([1, 2, 3, 9, 1, 2, 3, 7, 1, 2, 3], 3, [7, 1, 2, 3]),  # the latest place
        ([1, 2, 5, 9, 2, 6, 1, 2], 2, [5, 9, 2, 6, 1, 2]),  # the longest ending first
        ([4, 5, 8, 5], 3, [8, 5]),  # down to one token
        ([1, 2, 3], 3, []),
        ([1], 3, []),
        ([7, 7, 7], 2, [7]),
    ],
)
def test_prompt_lookup_by_hand(ids: list[int], ngram: int, expected: list[int]) -> None:
    assert continuation(ids, ngram) == expected


@settings(deadline=None, max_examples=12)
@given(st.data())
def test_a_reader_that_takes_back_reads_as_if_it_never_had(data: st.DataObject) -> None:
    """Any history of texts: the logits are those of a plain pass over the text as it stands."""
    lm = READER_LM
    reader = Reader(lm, batch=2, capacity=120)
    texts: list[list[int]] = [[], []]
    for turn in range(4):
        for row in range(2):
            kept = data.draw(st.integers(0, len(texts[row])))
            more = data.draw(st.lists(st.integers(0, 49), min_size=1, max_size=6))
            texts[row] = (texts[row][:kept] + more)[:40]
        n_last = [data.draw(st.integers(1, min(3, len(text)))) for text in texts]
        logits = reader.read(texts, n_last)
        for row, text in enumerate(texts):
            whole = lm.model(torch.tensor([text]))[0, -n_last[row] :]
            torch.testing.assert_close(
                logits[row, -n_last[row] :], whole, atol=2e-4, rtol=1e-4, msg=lambda told, turn=turn: f"{turn}: {told}"
            )


READER_LM = LM(decoder(4, context_length=64), byte_tokenizer())


def test_a_reader_of_one_row_leaves_no_padding() -> None:
    reader = Reader(READER_LM, batch=1, capacity=12)
    ids = random_ids(10).tolist()
    reader.read([ids[:8]], [1])
    reader.read([ids[:4] + ids[8:]], [2])
    assert reader.cache.length == 6
    assert not reader.cache.slots.padded


def test_wrong_arguments(tiny_lm: LM, make_lm: Callable[..., LM]) -> None:
    def message(error: type[Exception], **options: Any) -> str:
        with pytest.raises(error) as caught:
            ig.generate(tiny_lm, "abc", strategy=speculative.build(**options), max_tokens=9)
        return str(caught.value)

    assert "speculative: n_tokens = 0, expected a whole number >= 1" in message(VariantError, n_tokens=0)
    assert "unknown model 'smolm2'" in message(CheckpointError, draft="smolm2")
    told = message(VariantError, choose="beam")
    assert "speculative: choose = 'beam' does not choose one token at a time" in told
    assert "hint: greedy or sample(...)" in told
    told = message(EngineError, draft=lm_of(1, 50))
    assert "the draft model does not read the same tokens as the model" in told
    assert "draft: bytes, 50 tokens" in told or "draft: " in told
    assert "hint: take a smaller model of the same family" in told
    told = message(EngineError, draft=LM(decoder(1, vocab_size=256, context_length=8), byte_tokenizer()))
    assert "the draft model's context holds 8 tokens, this text may need 11" in told
    with pytest.raises(VariantError, match=r"prompt_lookup: ngram = 0, expected a whole number >= 1[\s\S]*hint: 2 or 3 is usual"):
        ig.generate(tiny_lm, "abc", strategy="speculative(draft=prompt_lookup(ngram=0))")
    assert greedy.build().law(torch.tensor([0.5, 2.0, 2.0]), []).softmax(-1).tolist() == [0.0, 1.0, 0.0]
