"""What encoder-decoders write: transformers' ids, token by token, alone and in a batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import isinglass as ig
from isinglass.core.errors import ConfigError, EngineError
from isinglass.generation.rewriting import rewrite
from models.theirs import make, save


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A tiny T5 of random weights, theirs and ours."""
    torch.manual_seed(0)
    theirs = make("T5ForConditionalGeneration", decoder_start_token_id=0).eval()
    lm = ig.load(save(theirs, tmp_path_factory.mktemp("t5")))
    # every id of the model is a character, so that whatever it writes can be decoded
    letters = "".join(map(chr, range(32, 32 + lm.config.vocab_size)))
    characters = ig.train_tokenizer("character", [letters], special=["<pad>", "</s>"], vocab_size=lm.config.vocab_size)
    return theirs, replace(lm, tokenizer=characters, end_ids=frozenset({characters.special["</s>"]}), _made={})


def test_greedy_is_that_of_transformers(both):
    theirs, lm = both
    texts = ["a text", "another, longer text to be read", "third"]
    found = rewrite(lm, texts, max_tokens=12)
    for text, one in zip(texts, found, strict=True):
        ids = torch.tensor([one.prompt_ids])
        wanted = theirs.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None, decoder_start_token_id=1)[0, 1:].tolist()
        ends = [place for place, id in enumerate(wanted) if id in lm.end_ids]
        assert one.ids == wanted[: ends[0] if ends else None], text


def test_a_batch_is_each_text_by_itself(both):
    _, lm = both
    texts = ["short", "a good deal longer than that"]
    together, apart = rewrite(lm, texts, max_tokens=8), [rewrite(lm, [text], max_tokens=8)[0] for text in texts]
    assert [one.ids for one in together] == [one.ids for one in apart]
    assert all(
        abs(a - b) < 1e-4 for one, other in zip(together, apart, strict=True) for a, b in zip(one.log_probs, other.log_probs, strict=True)
    )


def test_drawn_texts_follow_the_seed(both):
    _, lm = both
    drawn = [rewrite(lm, ["a text"], strategy="sample(temperature=2.0)", max_tokens=12, seed=seed)[0].ids for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_cannot_be_rewritten(both):
    _, lm = both
    with pytest.raises(EngineError, match=r"does not read one text and write another\nhint: train an encoder-decoder"):
        rewrite(ig.create("tiny"), ["a"])
    with pytest.raises(EngineError, match=r"strategy 'beam\(n_beams=2\)' serves decoders alone"):
        rewrite(lm, ["a"], strategy="beam(n_beams=2)")
    with pytest.raises(ConfigError, match="text 2 is empty"):
        rewrite(lm, ["a", " "])
    with pytest.raises(ConfigError, match=r"text 1 has \d[\d,]* tokens, the model reads at most"):
        rewrite(lm, ["a" * (lm.config.context_length + 1)])
