"""Against scikit-learn, and by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from isinglass.core.errors import DataError, ShapeError
from isinglass.metrics.classification import classification

CLASSES = ["eggs", "ham", "spam", "toast"]
# few classes in many rows, and often a class that occurs on one side only or not at all
ROWS = st.sampled_from([CLASSES, CLASSES[:2], CLASSES[1:2]]).flatmap(
    lambda names: st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), min_size=1, max_size=30)
)


@settings(deadline=None)
@given(rows=ROWS, named=st.booleans())
def test_equals_scikit_learn(rows, named):
    truth, predicted = map(list, zip(*rows, strict=True))
    labels = CLASSES if named else sorted({*truth, *predicted})
    ours = classification(truth, predicted, labels=CLASSES if named else None)
    assert ours.labels == tuple(labels)
    assert ours.accuracy == pytest.approx(accuracy_score(truth, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of a single label, which is wanted here
        assert ours.confusion.tolist() == confusion_matrix(truth, predicted, labels=labels).tolist()
    theirs = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    for mine, other in zip((ours.precision, ours.recall, ours.f1, ours.support), theirs, strict=True):
        assert mine == pytest.approx(other)
    for averaging in ("macro", "weighted"):
        *means, _ = precision_recall_fscore_support(truth, predicted, labels=labels, average=averaging, zero_division=0)
        assert list(ours.average(averaging).values()) == pytest.approx(means)


def made(**options):
    truth = ["ham"] * 6 + ["spam"] * 4
    predicted = ["ham"] * 5 + ["spam"] * 4 + ["ham"]
    return classification(truth, predicted, **options)


def test_by_hand():
    result = made()
    assert result.confusion.tolist() == [[5, 1], [1, 3]]
    assert (result.accuracy, result.majority_accuracy) == (0.8, 0.6)
    assert result.precision.tolist() == result.recall.tolist() == result.f1.tolist() == [5 / 6, 3 / 4]
    assert result.average("macro")["f1"] == (5 / 6 + 3 / 4) / 2
    assert result.average("weighted")["recall"] == pytest.approx(0.8)


def test_the_table_holds_classes_and_averages():
    table = made().table()
    assert [row["class"] for row in table.rows] == ["ham", "spam", "macro average", "weighted average"]
    assert [row["support"] for row in table.rows] == [6, 4, 10, 10]
    assert table.notes == ("accuracy: 80.00 % (8 of 10)", "always answering the most frequent class: 60.00 %")
    assert "83.3 %" in table.to_terminal(100, color=False)


def test_the_figure_shows_the_share_of_each_class():
    figure = made(labels=["ham", "spam", "eggs"]).figure()
    assert [row["share of the class"] for row in figure.data.rows] == [5 / 6, 1 / 6, 0, 1 / 4, 3 / 4, 0, 0, 0, 0]
    assert "rows: ham 6, spam 4, eggs 0" in figure.notes
    assert figure.to_svg().startswith("<svg")


def test_the_counts_as_a_table():
    assert made().counts().rows == [
        {"true class": "ham", "predicted ham": 5, "predicted spam": 1},
        {"true class": "spam", "predicted ham": 1, "predicted spam": 3},
    ]


def test_errors_come_with_the_most_confident_first():
    sure = np.full(10, 0.9)
    sure[5] = 0.6  # a ham that is called spam
    sure[9] = 0.8  # a spam that is called ham
    columns = np.stack([1 - sure, sure], axis=1)
    said_ham = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 1], bool)
    columns[said_ham] = columns[said_ham, ::-1]
    table = made(probabilities=columns).errors([f"text {row}" for row in range(10)])
    assert [(row["row"], row["true"], row["predicted"], row["text"]) for row in table.rows] == [
        (9, "spam", "ham", "text 9"),
        (5, "ham", "spam", "text 5"),
    ]
    assert [row["confidence"] for row in table.rows] == pytest.approx([0.8, 0.6])
    assert table.notes == ("2 of 10 rows are wrong, the most confident first",)


def test_errors_without_probabilities_stand_in_order():
    assert [row["row"] for row in made().errors().rows] == [5, 9]
    assert made().errors().columns == ("row", "true", "predicted")


def test_without_an_error_the_table_is_empty():
    table = classification([1, 2], [1, 2]).errors(["a", "b"])
    assert (len(table), table.columns) == (0, ("row", "true", "predicted", "text"))


def test_classes_of_several_types_have_an_order():
    assert classification([1, "a", True], ["a", 1, None]).labels == (None, 1, "a")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], []), DataError, "there is no row to measure: truth and predicted are empty\nhint: check that the test split is not empty"),
        ((["a"], []), ShapeError, "1 true classes for 0 predicted ones, expected one of each per row"),
        (
            (["ham", "spam"], ["ham", "spma"], ["ham", "spam"]),
            DataError,
            "unknown class 'spma' in predicted[1]\n  known: ham, spam\nhint: did you mean 'spam'?",
        ),
        ((["eggs"], ["ham"], ["ham"]), DataError, "unknown class 'eggs' in truth[0]\n  known: ham"),
        ((["a"], ["a"], ["a", "a"]), DataError, "labels = ['a', 'a']: a class stands there twice\nhint: name each class once"),
        ((["a"], ["a"], None, [[0.5, 0.5]]), ShapeError, "probabilities have shape (1, 2), expected (1, 1) (rows, classes)"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments, error, message):
    truth, predicted, labels, probabilities = (*arguments, None, None)[:4]
    with pytest.raises(error) as caught:
        classification(truth, predicted, labels=labels, probabilities=probabilities)
    assert str(caught.value) == message


def test_texts_of_another_length():
    with pytest.raises(ShapeError, match=r"errors 'Errors': 1 texts for 10 rows"):
        made().errors(["one"])
