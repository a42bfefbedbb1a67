"""Arithmetic: the notes' worked sums about money, memory and softmax."""

from __future__ import annotations

import math
from decimal import Decimal

from isinglass.studies.claims.claim import Claim, Finding, equal

GPT_4O = (Decimal("2.50"), Decimal("10.00"))  # usd per million tokens in and out, as the notes quote them
GROQ = (Decimal("0.59"), Decimal("0.79"))
BLOCK = 16


def cost(prices: tuple[Decimal, Decimal], tokens_in: int, tokens_out: int) -> Decimal:
    """US dollars of one request."""
    return (prices[0] * tokens_in + prices[1] * tokens_out) / 1_000_000


def saving_percent(tokens_in: int, tokens_out: int) -> Decimal:
    """How much less the second costs."""
    return round(100 * (1 - cost(GROQ, tokens_in, tokens_out) / cost(GPT_4O, tokens_in, tokens_out)), 2)


def blocks(tokens: int) -> int:
    """Blocks of 16 that hold these tokens."""
    return -(-tokens // BLOCK)


def claims() -> list[Claim]:
    """Sections "Token Economics", "Paged Attention" and "Attention Mechanism in Detail"."""
    return [
        Claim(
            "1,500 + 1,000 tokens cost $0.01375 with GPT-4o",
            lambda: _exact("0.01375", cost(GPT_4O, 1500, 1000)),
            _python("GPT_4O"),
        ),
        Claim("the same cost $0.001675 with Groq", lambda: _exact("0.001675", cost(GROQ, 1500, 1000)), _python("GROQ")),
        Claim("Groq saves 87.8 % of it", lambda: _rounded("87.8", saving_percent(1500, 1000)), _verify()),
        Claim("Groq can save 87 to 95 %", _range_of_savings, _verify()),
        Claim("weights 0.05, 0.35, 0.25, 0.15, 0.10, 0.10 follow from scores 0.1, 0.8, 0.6, 0.4, 0.3, 0.5", _softmax, _verify()),
        Claim("100 tokens take 7 blocks of 16", lambda: Finding(str(blocks(100)), equal(7, blocks(100))), _verify()),
        Claim("the last block wastes 6 places, about 4 %", _waste, _verify()),
        Claim("reserving 2,048 places for 100 tokens wastes 95 %", _reserved, _verify()),
        Claim("a prompt of 1,000 tokens takes 63 blocks", lambda: Finding(str(blocks(1000)), equal(63, blocks(1000))), _verify()),
        Claim("5 answers of 100 tokens to it, sharing the prompt, save about 60 %", _shared, _verify()),
        Claim("10 completions of one prompt save 90 % of the prompt's memory", lambda: _rounded("90", Decimal(100 * 9) / 10), _verify()),
        Claim("a block holds block_size x layers x heads x d_head numbers", _block_size, "isinglass model show smollm2"),
    ]


def _verify() -> str:
    return "isinglass verify claims --only arithmetic"


def _python(prices: str) -> str:
    return f'python -c "from isinglass.studies.claims.topics.arithmetic import *; print(cost({prices}, 1500, 1000))"'


def _exact(claimed: str, found: Decimal) -> Finding:
    return Finding(f"${found.normalize()}", equal(Decimal(claimed), found))


def _rounded(claimed: str, percent: Decimal) -> Finding:
    digits = len(claimed.partition(".")[2])
    return Finding(f"{percent} %", equal(Decimal(claimed), round(percent, digits)))


def _range_of_savings() -> Finding:
    """Input alone and output alone bound every mixture."""
    bounds = sorted((saving_percent(1, 0), saving_percent(0, 1)))
    inside = bounds[0] >= 87 and bounds[1] <= 95
    text = f"{bounds[0]} % of input, {bounds[1]} % of output; the assignment's 2,000 + 500 tokens: {saving_percent(2000, 500)} %"
    return Finding(text, "true" if inside else "false")


def _softmax() -> Finding:
    scores, claimed = [0.1, 0.8, 0.6, 0.4, 0.3, 0.5], [0.05, 0.35, 0.25, 0.15, 0.10, 0.10]
    powers = [math.exp(score) for score in scores]
    weights = [round(power / sum(powers), 2) for power in powers]
    text = f"softmax gives {', '.join(f'{weight:.2f}' for weight in weights)}; no temperature gives 0.3 and 0.5 the same weight"
    return Finding(text, equal(claimed, weights))


def _waste() -> Finding:
    empty = blocks(100) * BLOCK - 100
    return Finding(f"{empty} places, {100 * empty / (blocks(100) * BLOCK):.1f} %", equal(6, empty))


def _reserved() -> Finding:
    share = 100 * (2048 - 100) / 2048
    return Finding(f"{share:.1f} %", equal(95, round(share)))


def _shared() -> Finding:
    traditional, paged = 5 * (1000 + 100), (blocks(1000) + 5 * blocks(100)) * BLOCK
    saved = 100 * (1 - paged / traditional)
    return Finding(f"{paged:,} places instead of {traditional:,}: {saved:.1f} %", equal(60, round(saved, -1)))


def _block_size() -> Finding:
    from isinglass.nn.attention.cache import CacheDims

    dims = CacheDims(n_layers=12, batch=1, n_kv_heads=12, d_head=64, capacity=BLOCK)
    numbers, claimed = dims.bytes_per_token * BLOCK // 4, BLOCK * 12 * 12 * 64
    return Finding(
        f"{numbers / claimed:g} times that: keys and values are two (12 layers, 12 heads of 64: {numbers:,})", equal(claimed, numbers)
    )
