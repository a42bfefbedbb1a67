"""Every file of `trainers/`: its card, its example, and what every trained tokenizer promises."""

from __future__ import annotations

import pytest

from isinglass.core.cards import read_card
from isinglass.text.tokenizer import Tokenizer
from isinglass.text.trainers import family
from isinglass.text.training import train_tokenizer

TEXTS = ["Peter Piper picked a peck of pickled peppers; a peck of pickled peppers Peter Piper picked.\n"] * 2 + ["naïve — 42"]


@pytest.mark.parametrize("name", family.names())
def test_card(name: str) -> None:
    card = read_card("trainers", family.files()[name])
    assert card.title and card.signature
    assert {"What", "Why", "Math", "Cost", "Used by", "Paper"} == card.sections.keys()


@pytest.fixture(params=[(name, with_example) for name in family.names() for with_example in (False, True)], ids=str)
def trained(request: pytest.FixtureRequest) -> Tokenizer:
    name, with_example = request.param
    example = read_card("trainers", family.files()[name]).example if with_example else {}
    return train_tokenizer(name, TEXTS, **example)


def test_every_id_is_a_piece_of_its_own(trained: Tokenizer) -> None:
    pieces = [trained.piece(id) for id in range(trained.vocab_size)]
    assert len(set(pieces)) == trained.vocab_size
    assert all(pieces)


def test_places_cover_the_text_without_its_spaces(trained: Tokenizer) -> None:
    for text in TEXTS:
        tokens = trained.tokens(text)
        covered = {at for token in tokens for at in range(token.start, token.end)}
        assert covered >= {at for at, character in enumerate(text) if not character.isspace()}
        assert [token.id for token in tokens] == trained.encode(text)


def test_counting_equals_encoding(trained: Tokenizer) -> None:
    for text in [*TEXTS, "", " ", "unseen wørds 漢字"]:
        assert trained.count(text) == len(trained.encode(text))


def test_nothing_of_the_corpus_is_unknown_but_rare_words(trained: Tokenizer) -> None:
    unknown = trained.algorithm.unknown_ids
    if trained.name == "word":
        assert len(unknown) == 1
        return
    assert not unknown & set(trained.encode("".join(TEXTS[:2])))


def test_special_tokens_have_the_first_ids(trained: Tokenizer) -> None:
    assert list(trained.special.values()) == list(range(len(trained.special)))
