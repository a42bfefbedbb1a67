"""The support desk's questions: streams, caches, routing and compression, each against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, ShapeError
from isinglass.economics.cache_hits import exact_hits, key, semantic_hits
from isinglass.studies.support import compression
from isinglass.studies.support.caching import cache_study, tfidf
from isinglass.studies.support.questions import intents, labelled, read_stream, stream
from isinglass.studies.support.routing import routing_study, threshold, wrong


def test_the_questions_are_whole():
    assert len({intent.name for intent in intents()}) == len(intents()) >= 40
    assert len({query.text for query in labelled()}) == len(labelled()) == 5 * len(intents())
    assert {intent.difficulty for intent in intents()} == {"simple", "hard"}


def test_a_stream_is_drawn_by_its_seed_and_is_as_uneven_as_asked():
    first, again, other = stream(400), stream(400), stream(400, seed=1)
    assert first == again and first != other
    counts = lambda queries: np.sort(np.unique([query.intent.name for query in queries], return_counts=True)[1])[::-1]  # noqa: E731
    even, skewed = counts(stream(4000, skew=0)), counts(stream(4000, skew=1.5))
    assert even[0] < 1.6 * 4000 / len(intents()) and skewed[0] > 0.3 * 4000
    assert all(query.answer is None for query in first if query.intent.personal)


def test_an_exact_cache_counts_what_came_before():
    texts = ["Hours?", "hours!", "Price", "HOURS", "Where is my order", "where is my order"]
    hits = exact_hits(texts, ["h", "h", "p", "h", None, None])
    assert hits.found.tolist() == [-1, 0, -1, 0, -1, -1] and hits.hit_rate == 2 / 6 and hits.wrong == 0
    assert hits.rate_so_far().tolist() == [0, 1 / 2, 1 / 3, 2 / 4, 2 / 5, 2 / 6]
    assert exact_hits(["a", "b", "a"], ["a", "b", "a"], capacity=1).hit_rate == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcde"), max_size=40), st.integers(1, 5))
def test_a_bounded_cache_is_least_recently_used(texts, capacity):
    """Against the definition: a hit is a text among the last `capacity` different ones asked for."""
    hits = exact_hits(texts, list(texts), capacity=capacity)
    for number, text in enumerate(texts):
        recent = list(dict.fromkeys(reversed(texts[:number])))[:capacity]
        assert (hits.found[number] >= 0) == (text in recent)


def test_a_semantic_cache_answers_from_the_nearest_and_may_be_wrong():
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], float)
    hits = semantic_hits(vectors, ["a", "a", "b", "a"], threshold=0.7)
    assert hits.found.tolist() == [-1, 0, -1, 2] and hits.is_wrong.tolist() == [False, False, False, True] and hits.wrong == 0.5
    assert semantic_hits(vectors, ["a"] * 4, threshold=1.01).hit_rate == 0
    assert semantic_hits(vectors, [None] * 4, threshold=0.0).hit_rate == 0


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40))
def test_keys_are_kept_by_case_and_punctuation(text):
    assert key(text) == key(key(text)) and key("Where IS it?") == key("where is it")


def test_a_lower_threshold_finds_more_and_the_study_says_what_a_workload_gets():
    found = cache_study(stream(300, seed=3), tfidf, thresholds=(0.9, 0.6))
    assert found.exact.hit_rate < found.semantic[0.9].hit_rate <= found.semantic[0.6].hit_rate
    assert found.best is not None and found.saving.startswith("response_cache(hit_rate=0.")
    assert [row["match"] for row in found.table.rows] == ["exact", "semantic", "semantic"]


def test_questions_of_ones_own(tmp_path):
    file = tmp_path / "questions.txt"
    file.write_text("Hours?\n\nhours\n", encoding="utf-8")
    found = cache_study(read_stream(file), tfidf, thresholds=(0.9,))
    assert found.exact.hit_rate == 0.5 and found.best is None and "wrong:" not in " ".join(found.table.notes)
    file.write_bytes(b"\xff\xfe\x00x")
    with pytest.raises(DataError, match="cannot read"):
        read_stream(file)
    file.write_text("\n")
    with pytest.raises(DataError, match="no question in it"):
        read_stream(file)


def test_the_classifier_beats_length_on_intents_it_never_saw():
    found = routing_study(labelled(), to="gpt-4o-mini")
    rows = {row["way"]: row for row in found.table.rows}
    assert rows["classifier"]["routed"] > 2 * rows["length alone"]["routed"] and found.wrong <= 0.05
    assert rows["always simple"]["wrong"] == pytest.approx(np.mean([intent.difficulty == "hard" for intent in intents()]))
    assert found.saving == f"routing(share={found.share:.2f}, to='gpt-4o-mini', wrong={found.wrong:.3f})"


def test_the_threshold_is_the_lowest_that_is_good_enough():
    scores, simple = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, True])
    assert threshold(scores, simple, 0.0) == 0.8 and threshold(scores, simple, 0.25) == 0.6
    assert wrong(scores, simple, threshold(scores, ~simple, 0.0)) == 0.0  # nothing is good enough: nothing is routed


def test_words_that_are_easily_guessed_go_first():
    lm = ig.load("smollm2")
    text = "The capital of France is Paris and a zebra"
    surprises = compression.word_surprises(lm, [text, "How are you?"])
    alone = compression.word_surprises(lm, [text])
    assert surprises[text][1:] == pytest.approx(alone[text][1:], abs=1e-4)  # batch mates and padding change nothing
    ids = torch.tensor([lm.tokenizer.encode(text)])
    log_probs = lm.decoder(ids).log_softmax(-1)[0, :-1].gather(-1, ids[0, 1:, None])[:, 0]
    assert sum(surprises[text][1:]) == pytest.approx(-float(log_probs.sum()), rel=1e-4)
    short = compression.easily_guessed(surprises, 0.6)([text])[0]
    assert "zebra" in short and len(short.split()) == 5 and short.split() == [word for word in text.split() if word in short.split()]


def test_compression_counts_tokens_and_what_is_still_found():
    queries = labelled()[:60]
    ways = {"nothing": lambda texts: ["" for _ in texts], "spaces": lambda texts: [compression.spaces(text) for text in texts]}
    found = compression.compression_study(queries, ways, ig.tokenizer("gpt2"), tfidf)
    whole, nothing, spaces = found.ways
    assert whole.kept == spaces.kept == 1 and whole.found == spaces.found and nothing.kept == 0 and nothing.found < whole.found


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: stream(0), ConfigError, "stream(0"),
        (lambda: exact_hits(["a"], []), ShapeError, "1 questions and 0 answers"),
        (lambda: exact_hits(["a"], ["a"], capacity=0), ConfigError, "capacity = 0"),
        (lambda: compression.easily_guessed({}, 0), ConfigError, "kept = 0"),
        (lambda: routing_study(labelled()[:5], to="x"), ConfigError, "simple and hard"),
        (lambda: routing_study(labelled(), to="x", most_wrong=2), ConfigError, "most_wrong = 2"),
    ],
)
def test_what_cannot_be_is_told(make, error, message):
    with pytest.raises(error) as fault:
        make()
    assert message in str(fault.value)
