"""Models: the sizes the notes give, counted from the models' own configurations."""

from __future__ import annotations

from isinglass.models.presets import family
from isinglass.models.transformer import on_meta
from isinglass.studies.claims.claim import Claim, Finding


def parameters(expression: str) -> int:
    """Trainable numbers of a preset, counted without memory for them."""
    return sum(weight.numel() for weight in on_meta(family.resolve(expression)).parameters())


def claims() -> list[Claim]:
    """Sections "What is BERT" and "Evolution of Transformers". A size is held true within 2.5 %, the notes' own rounding."""
    return [
        _size("BERT-Base has 110M parameters", "bert", 110e6),
        _size("BERT-Large has 340M parameters", "bert(size='large')", 340e6),
        _size("GPT-2 has 1.5B parameters", "gpt2(size='1558m')", 1.5e9),
        _size("GPT-3 has 175B parameters", "gpt2(d_model=12288, n_layers=96, n_heads=96, context_length=2048)", 175e9),
    ]


def _size(says: str, expression: str, claimed: float) -> Claim:
    def check() -> Finding:
        found = parameters(expression)
        near = abs(found / claimed - 1)
        return Finding(f"{found:,}", "true" if near < 0.025 else "partly" if near < 0.05 else "false")

    return Claim(says, check, f'isinglass model show "{expression}"')
