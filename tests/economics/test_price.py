"""Prices, quotes and counts: the seeds' worked examples, the providers' rules, and what is refused."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, PriceError
from isinglass.economics.counting import count
from isinglass.economics.price import PrefixCache, Price
from isinglass.economics.price_list import prices
from isinglass.economics.quote import price

SOLD = "2025-03-01"  # a day on which all four models of the seeds were sold
TIERED = Price(
    model="tiered", provider="test", input="3.00", output="15.00", source="test",
    tiers=[{"above_tokens": 200_000, "input": "6.00", "output": "22.50"}],
)  # fmt: skip


def quoted(**asked):
    return ig.price(on=SOLD, **asked)


def test_one_request_of_the_notes():
    found = quoted(requests=1, tokens_in=1500, tokens_out=1000, models=["gpt-4o", "groq/llama-70b"])
    assert found.total("gpt-4o") == Decimal("0.01375") and found.total("groq/llama-70b") == Decimal("0.001675")
    assert round(found.lines.rows[1]["saving"] * 100, 1) == Decimal("87.8")
    assert "$0.01375" in found.lines.to_markdown() and "$0.001675" in found.lines.to_markdown()


def test_question_3_2_of_the_assignment():
    found = quoted(requests=50_000, tokens_in=2000, tokens_out=500, models=["gpt-4o", "groq/llama-70b"])
    assert found.total("gpt-4o") == Decimal("500.00") and found.total("groq/llama-70b") == Decimal("78.75")
    assert found.lines.rows[1]["saving"] == Decimal("0.8425")


@pytest.mark.parametrize(
    ("model", "alone", "together", "apart"),
    [
        ("gpt-4o", "237.50", "637.50", "712.50"),
        ("gpt-4o-mini", "14.25", "38.25", "42.75"),
        ("groq/llama-70b", "24.65", "56.25", "73.95"),
        ("groq/mixtral", "8.40", "18.00", "25.20"),
    ],
)
def test_task_3_in_both_readings(model, alone, together, apart):
    asked = dict(requests=100_000, tokens_in=150, tokens_out=200, models=[model])
    assert quoted(**asked).total(model) == Decimal(alone)
    three = quoted(**asked, variations=3)
    assert three.total(model, reading="one request with n variations") == Decimal(together)
    assert three.total(model) == three.total(model, reading="separate requests") == Decimal(apart)
    assert [row["reading"] for row in three.lines.rows] == ["one request with n variations", "separate requests"]


@pytest.mark.parametrize(("tokens", "usd"), [(100_000, "0.30"), (200_000, "0.60"), (200_001, "1.200006")])
def test_a_tier_that_is_passed_prices_every_token(tokens, usd):
    assert TIERED.request_usd(tokens, 0) == Decimal(usd)


def test_cached_input_and_batch():
    asked = dict(requests=1, tokens_in=1_000_000, tokens_out=0, models=["gpt-4o"])
    assert quoted(**asked, cached_share=0.8).total("gpt-4o") == Decimal("1.50")
    assert quoted(**asked, batch=True).total("gpt-4o") == Decimal("1.25")
    groq = quoted(requests=1, tokens_in=2048, tokens_out=0, models=["groq/llama-70b"], cached_share=1, batch=True)
    assert len(groq.warnings) == 2 and "no batch price" in groq.warnings[0] and "no price of cached input" in groq.warnings[1]


def test_a_short_prompt_is_not_cached():
    found = quoted(requests=1, tokens_in=150, tokens_out=0, models=["gpt-4o"], cached_share=1)
    assert found.total("gpt-4o") == Decimal("0.000375")
    assert found.warnings == ("gpt-4o: prefixes are cached from 1,024 tokens on in steps of 128: 0 of 150 tokens are",)


@given(st.integers(0, 100_000))
def test_what_is_cached_is_a_part_in_whole_steps(tokens):
    cached = PrefixCache().tokens(tokens)
    assert 0 <= cached <= tokens and cached % 128 == 0 and (cached == 0) == (tokens < 1024)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**4), st.integers(1, 5))
def test_amounts_are_exact_and_readings_are_ordered(tokens_in, tokens_out, requests, variations):
    found = quoted(requests=requests, tokens_in=tokens_in, tokens_out=tokens_out, models=["gpt-4o"], variations=variations)
    assert found.total("gpt-4o") * 1_000_000 == requests * variations * (Decimal("2.5") * tokens_in + 10 * tokens_out)
    assert found.priced[0].usd <= found.priced[-1].usd


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (dict(tokens_in=-1), "tokens_in = -1, expected at least 0"),
        (dict(requests=-5), "requests = -5, expected at least 0"),
        (dict(variations=0), "variations = 0, expected at least 1"),
        (dict(cached_share=1.5), "cached_share = 1.5, expected 0 to 1"),
        (dict(models=[]), "no model to price"),
        (dict(on="soon"), "on = 'soon', expected a day such as 2025-03-01"),
    ],
)
def test_amounts_that_cannot_be(asked, message):
    with pytest.raises(ConfigError, match=r"expected|no model") as error:
        price(**{**dict(requests=1, tokens_in=1, tokens_out=1, models=["gpt-4o"]), **asked})
    assert error.value.message == message


def test_an_unknown_and_a_retired_model():
    with pytest.raises(PriceError, match="did you mean 'gpt-4o-mini'"):
        prices().get("gpt4o-mini")
    with pytest.raises(PriceError) as error:
        prices().get("groq/mixtral", date(2026, 11, 23))
    assert error.value.message == "'groq/mixtral' was retired on 2025-03-20: it has no price on 2026-11-23"
    assert error.value.details == ("groq has: groq/gpt-oss-120b, groq/gpt-oss-20b",)
    with pytest.raises(PriceError, match="this one holds since 2025-08-07"):
        prices().get("gpt-5", date(2025, 1, 1))


def test_an_old_price_warns():
    old = price(requests=1, tokens_in=1, tokens_out=1, models=["gpt-4o"], on="2027-11-01")
    assert old.warnings == ("gpt-4o: the price was read on 2026-10-14, 383 days ago; check developers.openai.com/api/docs/pricing",)
    assert not price(requests=1, tokens_in=1, tokens_out=1, models=["gpt-4o"], on="2026-11-01").warnings


def test_tokens_are_counted_by_the_models_own_vocabulary():
    text = "GPT-4 costs $10/M tokens"
    own, other = count(text, prices().get("gpt-4o")), count(text, prices().get("claude-sonnet-5-5"))
    assert (own.tokens, own.vocabulary, own.exact) == (8, "o200k_base", True)  # 8 by tiktoken 0.14
    assert own.usd == Decimal("0.00002") and (own.row()["counted_by"], other.row()["counted_by"]) == ("o200k_base", "o200k_base (estimate)")


def test_a_file_of_ones_own(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text('[[price]]\nmodel = "house"\nprovider = "us"\ninput = 0.1\noutput = 0.2\nas_of = 2026-11-01\nsource = "our cluster"\n')
    found = price(requests=10**6, tokens_in=1, tokens_out=1, models=["house"], known=prices(mine))
    assert found.total("house") == Decimal("0.3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no prices in it"),
        ('[[price]]\nmodel = "a"\nprovider = "p"\noutput = 1\nsource = "s"\n', "price.0.input is missing"),
        ('[[price]]\nmodel = "a"\nprovider = "p"\ninput = -1\noutput = 1\nsource = "s"\n', "greater than or equal to 0"),
        ('[[price]]\nmodel = "a"\nprovider = "p"\ninput = 1\noutput = 1\nsource = "s"\nprize = 3\n', "unknown key 'price.0.prize'"),
        ('[[price]]\nmodel = "a"\nprovider = "p"\ninput = 1\noutput = 1\nsource = "s"\n' * 2, "two prices for 'a'"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path, text, message):
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    with pytest.raises((ConfigError, PriceError)) as error:
        prices(mine)
    assert message in str(error.value) and "mine.toml" in str(error.value)


def test_litellms_json(tmp_path):
    path = tmp_path / "model_prices.json"
    entry = {
        "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 3e-07,
        "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
        "input_cost_per_token_batches": 1.5e-06, "output_cost_per_token_batches": 7.5e-06,
        "litellm_provider": "anthropic", "deprecation_date": "2099-01-01", "max_tokens": 8192,
    }  # fmt: skip
    path.write_text(json.dumps({"sample_spec": {"mode": "one of: chat"}, "sonnet": entry, "picture": {"input_cost_per_image": 0.1}}))
    known = prices(path)
    sonnet = known.get("sonnet")
    assert [one.model for one in known] == ["sonnet"] and sonnet.input == Decimal("3") and sonnet.cached_input == Decimal("0.3")
    assert sonnet.request_usd(200_001, 0) == Decimal("1.200006") and sonnet.request_usd(200_001, 10) == Decimal("1.200231")
    assert sonnet.request_usd(1000, 1000, batch=True) == Decimal("0.009") and sonnet.retired_on == date(2099, 1, 1)


@pytest.mark.parametrize(("content", "message"), [("[]", "expected an object"), ("{", "not readable as JSON"), ("{}", "no model")])
def test_json_that_is_no_list_of_prices(tmp_path, content, message):
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(PriceError, match=message):
        prices(path)


def test_sources_that_are_none():
    with pytest.raises(ConfigError, match=r"unknown source of prices 'prices\.yaml'"):
        prices("prices.yaml")
    with pytest.raises(ConfigError, match=r"no file 'nowhere\.toml'"):
        prices("nowhere.toml")


def test_genai_prices_equals_its_own_calculation():
    from genai_prices import Usage, calc_price

    known = prices("genai-prices")
    for provider, model in (("openai", "gpt-4o"), ("anthropic", "claude-sonnet-4-5"), ("groq", "mixtral-8x7b-32768")):
        for tokens_in in (1000, 250_000):
            theirs = calc_price(Usage(input_tokens=tokens_in, output_tokens=700), model, provider_id=provider).total_price
            assert known.get(f"{provider}/{model}").request_usd(tokens_in, 700) == theirs
    assert prices().get("openai/gpt-4o").output == prices().get("gpt-4o").output == 10


def test_our_own_file_agrees_with_genai_prices():
    known = prices("genai-prices")
    names = {
        "gpt-4o": "openai/gpt-4o",
        "gpt-4o-mini": "openai/gpt-4o-mini",
        "gpt-5": "openai/gpt-5",
        "groq/mixtral": "groq/mixtral-8x7b-32768",
    }
    for ours, theirs in names.items():
        one, other = next(price for price in prices() if price.model == ours), known.get(theirs)
        assert (one.input, one.output, one.cached_input) == (other.input, other.output, other.cached_input)
