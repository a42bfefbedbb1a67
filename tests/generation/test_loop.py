"""Generation: cached, uncached and batched agree; streams, stops and ends behave; the arguments are checked."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch

import isinglass as ig
from isinglass.core.errors import ConfigError, EngineError, IsinglassError, VariantError
from isinglass.generation.lm import LM
from isinglass.generation.prompts import pad_left

PROMPTS = ["ab", "a much longer prompt than the first", "x", "four"]
STRATEGIES = ["greedy", "sample", "sample(temperature=0.7, top_p=0.9)", "sample(top_k=20, repetition=1.3)", "sample(min_p=0.02)"]
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("tiny", {}),
    "gpt2": ("gpt2(n_layers=2, d_model=32, n_heads=4, vocab_size=256, context_length=256)", {}),
    "window": ("tiny", {"mask": "causal & sliding_window(6)"}),  # a rolling cache
    "reference kernel": ("tiny", {"kernel": "reference", "n_kv_heads": 1}),
}


@pytest.fixture(params=MODELS, scope="module")
def lm(request: pytest.FixtureRequest, make_lm: Callable[..., LM]) -> LM:
    expression, attention = MODELS[request.param]
    return make_lm(expression, attention=attention)


def uncached_greedy(lm: LM, prompt: str, n: int) -> list[int]:
    """The definition: the whole text again for each token."""
    ids = lm.encode(prompt)
    for _ in range(n):
        ids.append(int(lm.model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[-n:]


def test_greedy_cached_equals_uncached_equals_batched(lm: LM) -> None:
    batched = ig.generate(lm, PROMPTS, max_tokens=12)
    for prompt, together in zip(PROMPTS, batched, strict=True):
        alone = ig.generate(lm, prompt, max_tokens=12)
        assert alone.ids == together.ids == uncached_greedy(lm, prompt, 12)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_batch_mates_change_nothing(lm: LM, strategy: str) -> None:
    """A row's stream comes from (seed, row): the same row number with other mates gives the same tokens."""
    batched = ig.generate(lm, PROMPTS, strategy=strategy, max_tokens=12, seed=5)
    assert ig.generate(lm, PROMPTS[0], strategy=strategy, max_tokens=12, seed=5).ids == batched[0].ids
    for row in range(1, 4):
        mates = ["quite another text"] * row + [PROMPTS[row]]
        assert ig.generate(lm, mates, strategy=strategy, max_tokens=12, seed=5)[row].ids == batched[row].ids


def test_log_probs_are_those_of_the_uncached_model(lm: LM) -> None:
    for result in ig.generate(lm, PROMPTS, strategy="sample(temperature=1.5, top_k=30)", max_tokens=8):
        ids = torch.tensor([result.prompt_ids + result.ids])
        all_rows = lm.model(ids)[0].log_softmax(dim=-1)
        expected = [float(all_rows[len(result.prompt_ids) - 1 + at, id]) for at, id in enumerate(result.ids)]
        torch.testing.assert_close(result.log_probs, expected, atol=2e-4, rtol=1e-4)


def test_a_short_row_does_not_end_early_because_of_a_long_mate(make_lm: Callable[..., LM]) -> None:
    """The context is each row's own: padding does not count."""
    lm = make_lm("tiny(context_length=32)")
    prompts = ["abc", "this text has thirty characters"]
    alone = [ig.generate(lm, prompt, max_tokens=20) for prompt in prompts]
    together = ig.generate(lm, prompts, max_tokens=20)
    assert [r.finish for r in alone] == ["length", "context"]
    assert [(r.ids, r.finish) for r in together] == [(r.ids, r.finish) for r in alone]


@pytest.mark.parametrize(
    "expression", ["tiny(context_length=16)", "gpt2(n_layers=1, d_model=32, n_heads=4, vocab_size=256, context_length=16)"]
)
@pytest.mark.parametrize("length", [16, 15, 10])
def test_the_context_ends_generation(make_lm: Callable[..., LM], expression: str, length: int) -> None:
    """A prompt may fill the context; the token after the last position is still predicted."""
    result = ig.generate(make_lm(expression), "p" * length, max_tokens=50)
    assert result.finish == "context"
    assert len(result.ids) == 16 - length + 1


def test_max_tokens(tiny_lm: LM) -> None:
    result = ig.generate(tiny_lm, "abc", max_tokens=7)
    assert (len(result.ids), result.finish, result.timings.n_tokens) == (7, "length", 7)
    assert result.ids == ig.generate(tiny_lm, "abc", max_tokens=9).ids[:7]


def with_ends(lm: LM, *ids: int) -> LM:
    return LM(lm.model, lm.tokenizer, lm.card, frozenset(ids))


def test_each_row_ends_by_itself(tiny_lm: LM) -> None:
    """The end token of one row stops that row alone; it is neither in the ids nor in the text."""
    free = ig.generate(tiny_lm, PROMPTS, strategy="sample", max_tokens=20, seed=2)
    end = free[0].ids[6]
    ended = ig.generate(with_ends(tiny_lm, end), PROMPTS, strategy="sample", max_tokens=20, seed=2)
    assert ended[0].finish == "end"
    for before, after in zip(free, ended, strict=True):
        wanted = before.ids[: before.ids.index(end)] if end in before.ids else before.ids
        assert after.ids == wanted
        assert after.finish == ("end" if end in before.ids else "length")
        assert len(after.log_probs) == len(wanted)
        assert after.text == tiny_lm.tokenizer.decode(wanted)
    assert len({len(r.ids) for r in ended}) > 1
    ignored = ig.generate(with_ends(tiny_lm, end), PROMPTS, strategy="sample", max_tokens=20, seed=2, ignore_end=True)
    assert [r.ids for r in ignored] == [r.ids for r in free]


def test_a_stream_is_the_generation(lm: LM) -> None:
    results = ig.generate(lm, PROMPTS, strategy="sample", max_tokens=16, seed=3)
    events = list(ig.generating(lm, PROMPTS, strategy="sample", max_tokens=16, seed=3))
    for row, result in enumerate(results):
        mine = [event for event in events if event.row == row]
        assert "".join(event.text for event in mine) == result.text == lm.tokenizer.decode(result.ids)
        assert [event.id for event in mine] == result.ids
        assert [event.log_prob for event in mine] == result.log_probs
        assert [event.finish for event in mine] == [None] * 15 + ["length"]
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(events))


def text_model(lm: LM) -> tuple[LM, str]:
    """A prompt after which sampling gives readable bytes."""
    return lm, ig.generate(lm, "ab", strategy=SAMPLE_ASCII, max_tokens=24, seed=1).text


SAMPLE_ASCII = f"sample(ban={[*range(32), *range(127, 256)]})"


@pytest.mark.parametrize("place", [0, 5, 21])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_stop_strings_end_the_row_and_never_show(tiny_lm: LM, place: int, length: int) -> None:
    """Bytes are tokens here, so every longer stop string crosses a token boundary."""
    _, free = text_model(tiny_lm)
    stop = free[place : place + length]
    cut = free[: free.index(stop)]
    events = list(ig.generating(tiny_lm, "ab", strategy=SAMPLE_ASCII, max_tokens=24, seed=1, stop=[stop, "\x00never"]))
    shown = [event.text for event in events]
    assert "".join(shown) == cut
    assert events[-1].finish == "stop"
    result = ig.generate(tiny_lm, "ab", strategy=SAMPLE_ASCII, max_tokens=24, seed=1, stop=stop)
    assert (result.text, result.finish) == (cut, "stop")
    for at in range(1, len(shown)):
        assert cut.startswith("".join(shown[:at]))


def test_text_that_only_might_become_a_stop_is_shown_at_the_end(tiny_lm: LM) -> None:
    _, free = text_model(tiny_lm)
    result = ig.generate(tiny_lm, "ab", strategy=SAMPLE_ASCII, max_tokens=24, seed=1, stop=free[-3:] + "\x00")
    assert (result.text, result.finish) == (free, "length")


def test_a_stop_ends_its_own_row_alone(tiny_lm: LM) -> None:
    free = ig.generate(tiny_lm, PROMPTS, strategy=SAMPLE_ASCII, max_tokens=20, seed=4)
    stop = free[1].text[3:5]
    stopped = ig.generate(tiny_lm, PROMPTS, strategy=SAMPLE_ASCII, max_tokens=20, seed=4, stop=[stop])
    for before, after in zip(free, stopped, strict=True):
        assert after.text == before.text.partition(stop)[0]
        assert after.finish == ("stop" if stop in before.text else "length")
    assert stopped[1].finish == "stop"


def test_incomplete_characters_are_held_back_and_then_replaced(make_lm: Callable[..., LM]) -> None:
    """A stream never shows half a character; what stays incomplete becomes U+FFFD, as decode would have it."""
    lm = make_lm("tiny")
    for seed in range(6):
        result = ig.generate(lm, "é", strategy="sample(temperature=3.0)", max_tokens=10, seed=seed)
        assert result.text == lm.tokenizer.decode(result.ids)


def test_seeds(tiny_lm: LM) -> None:
    def ids(seed: int) -> list[int]:
        return ig.generate(tiny_lm, "abc", strategy="sample", max_tokens=20, seed=seed).ids

    assert ids(0) == ids(0)
    assert ids(0) != ids(1)
    torch.manual_seed(99)  # torch's own stream has no say
    assert ids(0) == ids(0)
    two = ig.generate(tiny_lm, ["abc", "abc"], strategy="sample", max_tokens=20)
    assert two[0].ids != two[1].ids


def test_temperature_zero_is_greedy(tiny_lm: LM) -> None:
    greedy = ig.generate(tiny_lm, "abc", max_tokens=12).ids
    assert ig.generate(tiny_lm, "abc", strategy="sample", temperature=0, max_tokens=12).ids == greedy
    assert ig.generate(tiny_lm, "abc", strategy="sample(temperature=0)", max_tokens=12).ids == greedy
    assert ig.generate(tiny_lm, "abc", temperature=0, max_tokens=12).ids == greedy
    assert ig.generate(tiny_lm, "abc", strategy="sample(top_k=1)", max_tokens=12).ids == greedy


def test_temperature_as_keyword_or_in_the_strategy(tiny_lm: LM) -> None:
    keyword = ig.generate(tiny_lm, "abc", strategy="sample(top_p=0.9)", temperature=0.7, max_tokens=12)
    inside = ig.generate(tiny_lm, "abc", strategy="sample(top_p=0.9, temperature=0.7)", max_tokens=12)
    assert keyword.ids == inside.ids


def test_one_prompt_gives_one_result_and_ids_are_prompts_too(tiny_lm: LM) -> None:
    text, ids = ig.generate(tiny_lm, "abc", max_tokens=4), ig.generate(tiny_lm, [97, 98, 99], max_tokens=4)
    both = ig.generate(tiny_lm, [[97, 98, 99], "abc"], max_tokens=4)
    assert [type(text).__name__, type(ids).__name__, type(both).__name__] == ["Generation", "Generation", "list"]
    assert text.ids == ids.ids == both[0].ids == both[1].ids
    assert text.prompt_ids == [97, 98, 99]
    assert str(text) == text.text


def test_timings(tiny_lm: LM) -> None:
    timings = ig.generate(tiny_lm, "abc", max_tokens=5).timings
    assert 0 < timings.first_token_seconds < timings.total_seconds
    assert timings.tokens_per_second == pytest.approx(4 / (timings.total_seconds - timings.first_token_seconds))
    assert ig.generate(tiny_lm, "abc", max_tokens=1).timings.tokens_per_second == 0.0


def test_padding_stands_first_and_does_not_count() -> None:
    ids, slots = pad_left([[5, 6, 7], [8]], torch.device("cpu"))
    assert ids.tolist()[0] == [5, 6, 7]
    assert ids.tolist()[1][-1] == 8
    assert slots.position.tolist() == [[0, 1, 2], [0, 0, 0]]
    assert slots.valid is not None
    assert slots.valid.tolist() == [[True] * 3, [False, False, True]]
    assert pad_left([[5, 6], [7, 8]], torch.device("cpu"))[1].plain


ERRORS: dict[str, tuple[dict[str, Any], type[IsinglassError], str]] = {
    "empty prompt": (dict(prompt=""), EngineError, r"prompt 0 is empty[\s\S]*hint: give at least one token"),
    "empty prompt in a batch": (dict(prompt=["a", ""]), EngineError, "prompt 1 is empty"),
    "no prompts": (dict(prompt=[]), EngineError, "no prompts were given"),
    "too long": (dict(prompt="a" * 257), EngineError, r"prompt 0 has 257 tokens; the model's context holds 256[\s\S]*hint: shorten the prompt"),
    "no tokens wanted": (dict(max_tokens=0), EngineError, "max_tokens = 0, expected at least 1"),
    "id outside": (dict(prompt=[1, 256]), ConfigError, "token id 256 is outside the model's vocabulary of 256"),
    "negative id": (dict(prompt=[-1]), ConfigError, "token id -1 is outside"),
    "negative temperature": (dict(strategy="sample", temperature=-1), VariantError, r"temperature = -1, expected a number >= 0[\s\S]*0 is greedy"),
    "negative temperature inside": (dict(strategy="sample(temperature=-0.5)"), VariantError, "temperature = -0.5, expected a number >= 0"),
    "negative temperature, greedy": (dict(temperature=-1), VariantError, "temperature = -1, expected a number >= 0"),
    "temperature nan": (dict(strategy="sample", temperature=float("nan")), VariantError, "temperature = nan, expected a number >= 0"),
    "temperature text": (dict(strategy="sample(temperature='hot')"), VariantError, "sample: temperature = 'hot': Input should be a valid number"),
    "temperature for greedy": (dict(temperature=0.5), EngineError, r"temperature = 0.5 beside strategy 'greedy'[\s\S]*hint: give the temperature once"),
    "temperature twice": (dict(strategy="sample(temperature=1)", temperature=0.5), EngineError, r"temperature = 0.5 beside strategy"),
    "temperature twice, zero": (dict(strategy="sample(temperature=1)", temperature=0), EngineError, r"temperature = 0 beside strategy"),
    "top_p 0": (dict(strategy="sample(top_p=0)"), VariantError, r"top_p: p = 0, expected 0 < p <= 1[\s\S]*hint: 0.9 is usual"),
    "top_p 2": (dict(strategy="sample(top_p=2)"), VariantError, r"top_p: p = 2, expected 0 < p <= 1"),
    "top_p text": (dict(strategy="sample(top_p='most')"), VariantError, r"sample: top_p = 'most': Input should be a valid number"),
    "min_p 0": (dict(strategy="sample(min_p=0)"), VariantError, r"min_p: p = 0, expected 0 < p <= 1"),
    "top_k 0": (dict(strategy="sample(top_k=0)"), VariantError, r"top_k: k = 0, expected a whole number >= 1"),
    "top_k 1.5": (dict(strategy="sample(top_k=1.5)"), VariantError, r"sample: top_k = 1.5: Input should be a valid integer"),
    "repetition 0": (dict(strategy="sample(repetition=0)"), VariantError, r"repetition: penalty = 0, expected a number > 0"),
    "ban outside": (dict(strategy="sample(ban=[300])"), EngineError, "ban: token id 300 is outside the vocabulary of 256"),
    "unknown strategy": (dict(strategy="gredy"), VariantError, r"unknown strategy 'gredy' in strategy[\s\S]*known: beam, contrastive, greedy, sample, speculative[\s\S]*did you mean 'greedy'"),
    "unknown setting": (dict(strategy="sample(top_q=0.9)"), VariantError, r"top_q[\s\S]*sample takes: temperature=None, top_k=None, top_p=None"),
    "empty stop": (dict(stop=["a", ""]), EngineError, r"stop = \['a', ''\]: a stop string must not be empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_wrong_arguments(name: str, tiny_lm: LM) -> None:
    options, error, text = ERRORS[name]
    options = {"prompt": "abc", "max_tokens": 3, **options}
    with pytest.raises(error, match=text):
        ig.generate(tiny_lm, options.pop("prompt"), **options)


def test_arguments_are_checked_before_the_first_step(tiny_lm: LM) -> None:
    """`generating` is lazy, its checks are not."""
    with pytest.raises(EngineError, match="max_tokens"):
        ig.generating(tiny_lm, "abc", max_tokens=0)


def test_threads_may_share_a_model(tiny_lm: LM) -> None:
    from concurrent.futures import ThreadPoolExecutor

    jobs = [(prompt, seed) for prompt in PROMPTS for seed in range(3)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: ig.generate(tiny_lm, job[0], strategy="sample", seed=job[1], max_tokens=10).ids, jobs))
    assert together == [ig.generate(tiny_lm, prompt, strategy="sample", seed=seed, max_tokens=10).ids for prompt, seed in jobs]


def test_smollm2_knows_the_capital_of_france(smollm2: LM) -> None:
    result = ig.generate(smollm2, "The capital of France is", max_tokens=1)
    assert result.text == " Paris"
    assert result.log_probs[0] == pytest.approx(torch.tensor(0.77).log().item(), abs=0.02)


def test_smollm2_batched_with_padding_equals_alone(smollm2: LM) -> None:
    prompts = ["The capital of France is", "One, two, three,"]
    together = ig.generate(smollm2, prompts, max_tokens=8)
    assert [r.ids for r in together] == [ig.generate(smollm2, prompt, max_tokens=8).ids for prompt in prompts]
