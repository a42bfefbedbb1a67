"""Surprisal beside transformers and closed forms; other cuts of the same text."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
import torch

import isinglass as ig
from helpers.kinds import KINDS
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.surprisal import surprisal
from isinglass.inspection.tokenizations import _drawn, _ways, tokenizations


@pytest.fixture(scope="module")
def lm() -> LM:
    return KINDS["llama with grouped heads"]()


@pytest.fixture(scope="module")
def words() -> LM:
    """A vocabulary with longer tokens than bytes."""
    text = ig.train_tokenizer("bpe", ["the cat sat on the mat " * 30], vocab_size=266)
    return ig.create("tiny(context_length=40)", tokenizer=text)


def test_the_mean_is_the_loss_of_transformers(tmp_path):
    """GPT-2's own loss on the same ids, computed by another implementation from the exported weights."""
    from transformers import GPT2LMHeadModel

    model = KINDS["gpt2"]()
    ig.export(model, tmp_path / "model")
    theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "model")
    found = surprisal(model, "abcdef gh")
    ids = torch.tensor([found.ids])
    with torch.inference_mode():
        assert found.mean == pytest.approx(float(theirs(ids, labels=ids).loss), abs=1e-5)
    assert found.perplexity == pytest.approx(math.exp(found.mean)) and found.nats[0] is None
    assert found.bits_per_byte == pytest.approx(found.total / math.log(2) / 8)  # the first of 9 bytes is not predicted
    assert found.data["total_bits"] == pytest.approx(sum(row["bits"] for row in found.data["tokens"][1:]))


def test_a_model_that_knows_nothing_needs_the_logarithm_of_its_vocabulary():
    flat = ig.create("tiny")
    with torch.no_grad():
        for weight in flat.model.parameters():
            weight.zero_()
    found = surprisal(flat, "abcd")
    assert found.nats[1:] == pytest.approx([math.log(256)] * 3)
    assert found.bits_per_byte == pytest.approx(8) and found.likelier == [None, 0, 0, 0]


def test_what_was_expected_instead(lm):
    found = surprisal(lm, "abcdef")
    logits = ig.trace(lm, "abcdef").logits[0]
    assert found.likelier[1:] == [int((logits[place] > logits[place, id]).sum()) for place, id in enumerate(found.ids[1:])]
    assert [row["expected"] for row in found.table.rows[1:]] == [ig.trace(lm, [[int(row.argmax())]]).tokens[0][0] for row in logits[:-1]]


def test_an_encoder_decoder_is_measured_on_what_it_writes():
    model = KINDS["t5"]()
    found = surprisal(model, "abc def", target="gh xy")
    seen = ig.trace(model, "abc def", target="gh xy")
    losses = torch.nn.functional.cross_entropy(seen.logits[0, :-1].double(), torch.tensor(seen.ids[0][1:]), reduction="none")
    assert found.nats[1:] == pytest.approx(losses.tolist())


def test_the_strip_shows_tokens_and_notes(lm):
    found = surprisal(lm, "ab", command="isinglass inspect predict tiny ab --surprisal")
    assert found.figure.strips[0].values == (0.0, found.nats[1])
    text = found.figure.to_terminal(100, color=False)
    assert "a▁│b█" in text and "the first token, 'a', has no probability" in text and "--surprisal" in str(found.figure.command)


# Other cuts -------------------------------------------------------------------------------------------------------


def test_cuts_say_the_same_and_begin_alike(words):
    found = tokenizations(words, "the cat sat", n_random=3, seed=1)
    same = [one for one in found.cuts if one.same_content]
    assert [one.name for one in same] == ["usual", "characters", "random 1", "random 2", "random 3"]
    assert {words.tokenizer.decode(one.ids) for one in same} == {"the cat sat"} and len({one.ids[0] for one in same}) == 1
    assert len(same[1].ids) == 1 + len("the cat sat") - len(words.tokenizer.decode(same[0].ids[:1]))
    assert same[0].divergence == 0 and all(one.divergence > 0 for one in same[1:])
    assert [one.name for one in found.cuts[5:]] == ["two spaces", "upper case"]  # lower case is what it is already
    assert words.tokenizer.decode(found.cuts[5].ids) == "the  cat  sat"


def test_a_cut_has_the_numbers_of_its_tokens_alone(words):
    for cut in tokenizations(words, "the cat").cuts:
        alone = surprisal_of_ids(words, cut.ids)
        assert cut.nats == pytest.approx(alone, rel=1e-4)
        assert cut.log_probability == pytest.approx(-sum(alone), rel=1e-4)
        logits = ig.trace(words, [cut.ids]).logits[0, -1]
        assert cut.probability == pytest.approx(float(logits.softmax(-1).max()), rel=1e-4)


def surprisal_of_ids(lm: LM, ids: list[int]) -> list[float]:
    logits = ig.trace(lm, [ids]).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:]), reduction="none").tolist()


def test_random_cuts_are_drawn_evenly():
    """Every way to cut abc, as often as any other."""
    table = {b"a": 0, b"b": 1, b"c": 2, b"ab": 3, b"bc": 4, b"abc": 5}
    ways = _ways(b"abc", table)
    assert ways[0] == 4
    draw = random.Random(0)
    counts = Counter(tuple(_drawn(b"abc", table, ways, draw)) for _ in range(4000))
    assert set(counts) == {(0, 1, 2), (3, 2), (0, 4), (5,)}
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 16.3  # chi-square with 3 degrees, p = 0.001


def test_the_number_of_cuts_is_that_of_all_subsets_of_borders():
    table = {b"a": 0, b"b": 1, b"ab": 2, b"ba": 3, b"aba": 4, b"bab": 5, b"abab": 6}
    assert _ways(b"abab", table)[0] == 2**3


def test_characters_beyond_ascii_and_the_seed(words):
    found = tokenizations(words, "the é cat", seed=3)
    assert words.tokenizer.decode(found.cuts[1].ids) == "the é cat"
    again = tokenizations(words, "the é cat", seed=3)
    assert [one.ids for one in found.cuts] == [one.ids for one in again.cuts]
    assert found.data["cuts"][1]["pieces"] == found.cuts[1].tokens


@pytest.mark.parametrize(
    ("call", "words_of_error"),
    [
        (lambda lm: surprisal(lm, "a"), "the text is one token, 'a', which nothing stands before"),
        (
            lambda lm: surprisal(KINDS["bert"](), "abc"),
            "an encoder sees the whole text at once, so no token has a probability given those before it",
        ),
        (lambda lm: surprisal(lm, ""), "prompt 0 is empty"),
        (lambda lm: tokenizations(lm, "the"), "'the' is 1 tokens, expected at least two"),
        (
            lambda lm: tokenizations(lm, "the cat sat on the mat the cat sat on the mat the"),
            "cut by 'characters' the text has 47 tokens; the model's context holds 40",
        ),
        (lambda lm: tokenizations(KINDS["t5"](), "abc"), "created is an encoder-decoder, which does not continue a text"),
    ],
)
def test_errors(words, call, words_of_error):
    with pytest.raises(EngineError) as caught:
        call(words)
    assert str(caught.value).startswith(words_of_error)
