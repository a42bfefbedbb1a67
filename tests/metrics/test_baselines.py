"""The baselines on texts made here, and on the SMS collection where it lies beside a checkout."""

from pathlib import Path

import numpy as np
import pytest

from isinglass.core.errors import ConfigError, DataError, ShapeError
from isinglass.metrics.baselines import majority, tfidf

TEXTS = ["win a prize now", "a prize for you", "see you at home", "home for tea"]
LABELS = ["spam", "spam", "ham", "ham"]


def test_words_decide():
    found = tfidf(TEXTS, LABELS, ["win the prize", "tea at home"])
    assert found.labels == ("ham", "spam")
    assert found.predicted == ["spam", "ham"]
    assert found.probabilities.sum(axis=1) == pytest.approx(1.0)
    assert found.against(["spam", "spam"]).accuracy == 0.5


def test_the_same_input_gives_the_same_result():
    first, second = (tfidf(TEXTS, LABELS, ["a prize", "tea"]).probabilities for _ in range(2))
    assert np.array_equal(first, second)


def test_a_text_of_unknown_words_gets_what_the_weights_say():
    plain, heavy = (tfidf(TEXTS, LABELS, ["zzz"], class_weights=w).probabilities[0, 1] for w in (None, {"spam": 9.0, "ham": 1.0}))
    assert plain < 0.5 < 0.7 < heavy


def test_balanced_weights_count_rare_classes_alike():
    texts, labels = [*TEXTS, "tea", "home", "you see", "at tea"], [*LABELS, "ham", "ham", "ham", "ham"]
    plain, balanced = (tfidf(texts, labels, ["zzz"], class_weights=w).probabilities[0, 1] for w in (None, "balanced"))
    assert plain < balanced


def test_nothing_to_classify():
    found = tfidf(TEXTS, LABELS, [])
    assert (found.labels, found.predicted, found.probabilities.shape) == (("ham", "spam"), [], (0, 2))


def test_the_majority():
    found = majority(["b", "a", "a", "b", "b", "a"], 2)
    assert found.predicted == ["a", "a"]  # a tie goes to the first name
    assert found.probabilities.tolist() == [[0.5, 0.5]] * 2
    assert majority(["ham", "ham", "spam"], 3).against(["ham", "spam", "ham"]).accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: majority([], 1), DataError, "there is no training row\nhint: check that the training split is not empty"),
        (lambda: tfidf(["a"], [], ["a"]), ShapeError, "1 training texts for 0 labels, expected one label per text"),
        (
            lambda: tfidf(["a", "b"], ["x", "x"], ["a"]),
            DataError,
            "the training rows have 1 classes: ['x'], expected two or more\nhint: check the column of labels",
        ),
        (lambda: tfidf(["", "?!"], ["x", "y"], ["a"]), DataError, "no training text holds a word\nhint: check the column of texts"),
        (
            lambda: tfidf(TEXTS, LABELS, ["a"], class_weights={"spma": 2.0}),
            ConfigError,
            "class_weights names the class 'spma', which no training row has\n  known: ham, spam",
        ),
        (
            lambda: tfidf(TEXTS, LABELS, ["a"], class_weights={"ham": -1.0}),
            ConfigError,
            "class_weights['ham'] = -1.0, expected a number of at least 0",
        ),
        (lambda: tfidf(TEXTS, LABELS, ["a"], strength=0), ConfigError, "strength = 0, expected a number above 0\nhint: the default is 10"),
        (
            lambda: tfidf(TEXTS, LABELS, ["a"]).against(["eggs"]),
            DataError,
            "unknown class 'eggs' in truth[0]\n  known: ham, spam",
        ),
    ],
)
def test_what_cannot_be_learnt_is_said(make, error, message):
    with pytest.raises(error) as caught:
        make()
    assert str(caught.value) == message


def sms_spam() -> list[tuple[str, str]]:
    for parent in Path(__file__).resolve().parents:
        file = parent.parent / "shared" / "facts" / "data" / "sms_spam.tsv"
        if file.is_file():
            return [tuple(line.split("\t", 1)) for line in file.read_text("utf-8").splitlines()]  # type: ignore[misc]
    pytest.skip("no shared/facts/data/sms_spam.tsv beside the repository")


def test_spam_balanced_as_in_the_book():
    """747 messages of each class, 70 % to learn, 10 % left for choosing, 20 % to test: 95.7 to 98.0 % over ten seeds."""
    rows, generator = sms_spam(), np.random.default_rng(0)
    spam, ham = ([row for row in rows if row[0] == label] for label in ("spam", "ham"))
    assert (len(spam), len(ham)) == (747, 4827)
    chosen = spam + [ham[place] for place in generator.permutation(len(ham))[: len(spam)]]
    chosen = [chosen[place] for place in generator.permutation(len(chosen))]
    learn, test = chosen[:1045], chosen[1045 + 149 :]
    found = tfidf([text for _, text in learn], [label for label, _ in learn], [text for _, text in test])
    result = found.against([label for label, _ in test])
    assert len(test) == 300
    assert result.accuracy >= 0.95
    assert result.accuracy > result.majority_accuracy + 0.4
