"""Tasks on real models: labels by name, spans of a passage, gaps, summaries, and what cannot be asked."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, EngineError
from isinglass.tasks.answer import answer
from isinglass.tasks.classify import classify
from isinglass.tasks.complete import complete
from isinglass.tasks.fill_mask import fill_mask
from isinglass.tasks.summarize import summarize
from models.theirs import make, save

PASSAGE = "The bridge was built in 1901 by a firm from Leeds. It is 90 metres long and painted green. Trams have crossed it since 1925."


@pytest.fixture(scope="module")
def minilm():
    return ig.load("minilm")


@pytest.fixture(scope="module")
def smollm2():
    return ig.load("smollm2")


def test_labels_by_their_names(minilm):
    found = classify(minilm, ["The goalkeeper saved a penalty.", "Add salt to the soup."], labels=["food", "sports", "weather"])
    assert found.predicted == ["sports", "food"] and found.measure == "cosine" and found.scores.shape == (2, 3)
    assert found.table.rows[0]["label"] == "sports" and found.data["labels"] == ("food", "sports", "weather")


def test_labels_of_a_head():
    lm = ig.create('bert(n_layers=1, d_model=32, n_heads=4, heads=[\'classification(n_labels=2, labels=["ham", "spam"])\'])')
    found = classify(lm, ["see you", "WIN a prize"])
    assert found.labels == ("ham", "spam") and np.allclose(found.scores.sum(axis=1), 1) and found.measure == "probability"


def test_labels_that_cannot_be(minilm):
    with pytest.raises(EngineError, match="has no classification head"):
        classify(minilm, ["a text"])
    for labels in (["one"], ["one", "one", "two"]):
        with pytest.raises(ConfigError, match="at least two different ones"):
            classify(minilm, ["a text"], labels=labels)


def test_a_chat_model_answers_with_words_of_the_passage(smollm2, minilm):
    found = answer(smollm2, "When was the bridge built?", PASSAGE, finder=minilm)
    assert "1901" in found.text and len(found.spans) == 3
    for one in found.spans:
        assert PASSAGE[one.start : one.end] == one.text and one.log_prob < 0
    assert [one.score for one in found.spans] == sorted((one.score for one in found.spans), reverse=True)
    assert all(a.end <= b.start or b.end <= a.start for a in found.spans for b in found.spans if a != b)
    assert "built in 1901 by" in found.table.rows[0]["where"] and found.data["answers"][0]["text"] == found.text


def test_the_probability_of_a_span_is_that_of_reading_it_at_once(smollm2):
    """One pass over the whole text gives the same number as the cached prompt with many beginnings behind it."""
    from isinglass.generation.chat import template_of
    from isinglass.tasks.answer import _OPENING, _closing
    from isinglass.text.template import Message, encode_chat

    question, passage = "What colour is it?", "It is 90 metres long and painted green."
    best = answer(smollm2, question, passage, top=1).spans[0]
    asked = f"{passage}\n\nAnswer with words copied from the text above. {question}"
    ids = [*encode_chat(smollm2.tokenizer, template_of(smollm2), [Message("user", asked)]), *smollm2.tokenizer.encode(_OPENING)]
    span = smollm2.tokenizer.encode(best.text)
    with torch.inference_mode():
        log_probs = smollm2.packed()(torch.tensor([[*ids, *span]]))[0].log_softmax(dim=-1)
    whole = sum(float(log_probs[len(ids) - 1 + place, id]) for place, id in enumerate(span))
    whole += float(log_probs[-1, _closing(smollm2)].logsumexp(dim=-1))
    assert best.log_prob == pytest.approx(whole, abs=1e-3)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A tiny BertForQuestionAnswering of random weights, theirs and ours."""
    torch.manual_seed(0)
    theirs = make("BertForQuestionAnswering").eval()
    return theirs, ig.load(save(theirs, tmp_path_factory.mktemp("bert")))


def test_a_span_head_is_read_as_transformers_reads_it(reader):
    theirs, lm = reader
    question, passage = "who?", "anna and ben"
    found = answer(lm, question, passage, top=1, max_words=10)
    ids = lm.tokenizer.encode(question, pair=passage, add_special=True)
    n = len(lm.tokenizer.encode(question))
    with torch.inference_mode():
        segments = torch.tensor([[0] * n + [1] * (len(ids) - n)])
        both = theirs(input_ids=torch.tensor([ids]), token_type_ids=segments)
    start, end = (scores[0, n:].log_softmax(dim=-1) for scores in (both.start_logits, both.end_logits))
    best = max(float(start[i] + end[j]) for i in range(len(start)) for j in range(i, len(end)))
    assert found.spans[0].log_prob == pytest.approx(best, abs=1e-4)
    assert passage[found.spans[0].start : found.spans[0].end] == found.text


def test_questions_that_cannot_be_answered(smollm2, minilm):
    with pytest.raises(ConfigError, match="the question is empty"):
        answer(smollm2, " ", PASSAGE)
    with pytest.raises(ConfigError, match="the passage is empty"):
        answer(smollm2, "When?", "\n")
    with pytest.raises(EngineError, match=r"minilm cannot answer questions about a text\nhint: take a chat model"):
        answer(minilm, "When?", PASSAGE)
    with pytest.raises(ConfigError, match="expected at least 1"):
        answer(smollm2, "When?", PASSAGE, top=0)


@pytest.fixture(scope="module")
def filler():
    tokenizer = ig.train_tokenizer("wordpiece", ["the cat sat on the mat"], vocab_size=22)
    return ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm'])", tokenizer=tokenizer)


def test_every_gap_is_filled(filler):
    found = fill_mask(filler, "the [MASK] sat on the [MASK]", top=4)
    assert len(found.gaps) == 2 and all(len(gap) == 4 for gap in found.gaps)
    for gap in found.gaps:
        assert [value for _, value in gap] == sorted((value for _, value in gap), reverse=True) and 0 < sum(value for _, value in gap) <= 1
    assert "[MASK]" not in found.filled and found.table.rows[0]["gap"] == 1


def test_gaps_that_cannot_be_filled(filler, minilm):
    with pytest.raises(ConfigError, match=r"'no gap here' has no gap\nhint: mark one"):
        fill_mask(filler, "no gap here")
    with pytest.raises(EngineError, match=r"minilm was not trained to fill gaps\nhint: train one: isinglass train examples/fill_mask.toml"):
        fill_mask(minilm, "a [MASK]")
    with pytest.raises(ConfigError, match="the model reads at most"):
        fill_mask(filler, "[MASK] " * (filler.config.context_length + 1))


def test_completions_are_in_order(smollm2):
    found = complete(smollm2, "The capital of France is", n=3, max_tokens=3)
    assert len(found.texts) == 3 and list(found.log_probs) == sorted(found.log_probs, reverse=True) and found.texts[0].startswith(" Paris")
    assert len(complete(smollm2, "The capital of France is", n=3, strategy="greedy", max_tokens=2).texts) == 1
    with pytest.raises(ConfigError, match="n = 0"):
        complete(smollm2, "a", n=0)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 6),
    st.lists(st.sampled_from(["Cats sleep.", "The tram is late.", "It rains today.", "Soup needs salt."]), min_size=1, max_size=5),
)
def test_a_summary_holds_sentences_of_the_text_in_their_order(minilm, n, parts):
    found = summarize(minilm, " ".join(parts), n_sentences=n)
    assert found.way == "sentences" and found.summary.count(".") == min(n, len(parts))
    rest = " ".join(parts)
    for sentence in found.summary.split(". "):
        assert sentence.strip(".") in rest
        rest = rest[rest.index(sentence.strip(".")) :]


def test_a_listing_too_long_to_read_is_no_sentence(smollm2, minilm):
    listing = "one two three " * 300
    found = summarize(minilm, f"The boat is green. It has a mast.\n\n{listing}\n\nIt sails on Sundays.", n_sentences=3)
    assert found.summary == "The boat is green. It has a mast. It sails on Sundays."
    assert "green" in answer(smollm2, "What colour is the boat?", f"{listing}\n\nThe boat is green.", finder=minilm).text
    with pytest.raises(ConfigError, match="the model reads at most 512"):
        summarize(minilm, listing)


def test_a_chat_model_writes_a_summary(smollm2):
    found = summarize(smollm2, PASSAGE, n_sentences=1, max_tokens=40)
    assert found.way == "written" and found.summary and "may say what the text does not" in found.table.notes[0]
    with pytest.raises(ConfigError, match="the text is empty"):
        summarize(smollm2, "  ")
    with pytest.raises(ConfigError, match="n_sentences = 0"):
        summarize(smollm2, "a", n_sentences=0)


def test_bits_are_those_of_the_tokens(smollm2):
    """What `task evaluate complete` measures: log p of a text, one token after the other."""
    from isinglass.studies.task_quality import _log_prob

    ids = [smollm2.tokenizer.eos_id, *smollm2.tokenizer.encode("Paris is")]
    with torch.inference_mode():
        log_probs = smollm2.decoder(torch.tensor([ids]))[0].log_softmax(dim=-1)
    wanted = sum(float(log_probs[place, id]) for place, id in enumerate(ids[1:]))
    assert math.isclose(_log_prob(smollm2, "Paris is"), wanted, abs_tol=1e-3)
