"""Every variant says what it is, and its example works."""

from __future__ import annotations

from pathlib import Path

import pytest

from isinglass.core.cards import Card, cards, families, find_card, read_card
from isinglass.core.errors import VariantError
from isinglass.core.variants import Family
from isinglass.models.config import ModelConfig
from isinglass.nn.attention.cache import CacheDims
from isinglass.nn.attention.dims import Dims
from isinglass.nn.feedforward_layer import FeedForwardDims

CARDS = cards()
DIMS = Dims(32, 4, 2, 8, 64)
# what the build functions of a family get first
CONTEXT = {
    **dict.fromkeys(("masks", "positions", "kernels", "scalings"), (DIMS,)),
    "caches": (CacheDims(2, 1, 2, 8, 16),),
    "feedforward": (FeedForwardDims(16, 24),),
    **dict.fromkeys(("presets", "filters", "strategies", "adapters", "optimizers", "schedules", "steps", "objectives"), ()),
}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.family}.{card.name}")
def test_a_card_is_complete(card: Card) -> None:
    assert card.title.endswith(".")
    sections = {heading for heading, text in card.sections.items() if text}
    assert {"What", "Why", "Used by"} <= sections
    assert sections & {"Paper", "Source"}
    # a preset is a choice of sizes and parts, whose own cards hold the formulas; a template costs nothing but its text
    assert card.family == "presets" or sections & {"Math", "Format"}
    assert card.family == "templates" or "Cost" in sections


@pytest.mark.parametrize("card", [card for card in CARDS if card.family in CONTEXT], ids=lambda card: f"{card.family}.{card.name}")
def test_its_example_builds(card: Card) -> None:
    family = families()[card.family]
    module = family.module(card.name)
    assert card.example == module.EXAMPLE
    built = module.build(*CONTEXT[card.family], **card.example)
    assert isinstance(built, family.base)


def test_the_families_of_this_package() -> None:
    known = families()
    assert set(CONTEXT) <= set(known)
    assert all(isinstance(family, Family) for family in known.values())
    assert known["presets"].base is ModelConfig
    assert {family.kind for family in known.values()} >= {"mask", "position", "kernel", "cache", "scaling", "preset", "filter", "strategy"}


def test_what_a_card_holds() -> None:
    card = find_card("sliding_window")
    assert (card.family, card.name, card.signature, card.example) == ("masks", "sliding_window", "window: int", {"window": 3})
    assert card.title.startswith("Sliding window:")
    assert card.sections["Paper"].startswith("Jiang et al. 2023")
    assert find_card("masks.sliding_window") == card


def test_a_name_in_two_families_is_asked_back(tmp_path: Path) -> None:
    assert find_card("scalings.linear").family == "scalings"
    full = find_card("greedy")
    assert full.family == "strategies"
    with pytest.raises(VariantError, match=r"'temperature_' *|unknown variant 'temperatur'[\s\S]*did you mean 'temperature'"):
        find_card("temperatur")


def test_unknown_cards() -> None:
    with pytest.raises(VariantError, match=r"unknown variant 'sliding_windw'[\s\S]*did you mean 'sliding_window'"):
        find_card("sliding_windw")
    with pytest.raises(VariantError, match=r"unknown variant 'masks.rotary'[\s\S]*masks.causal"):
        find_card("masks.rotary")


def test_a_card_is_read_without_running_the_file(tmp_path: Path) -> None:
    file = tmp_path / "loud.py"
    file.write_text(
        '"""Loud: shouts.\n\nWhat: a.\nUsed by: b\n    and c\n"""\nEXAMPLE = dict(n=2)\nraise SystemExit\ndef build(dims: Dims, n: int = 3, *, k: str) -> Mask: ...\n'
    )
    card = read_card("masks", file)
    assert card.sections == {"What": "a.", "Used by": "b\n    and c"}
    assert card.signature == "n: int=3, *, k: str"
    assert card.example == {"n": 2}
