"""Calibration beside scikit-learn, closed forms, and labels drawn from the very distribution that is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, roc_auc_score

from isinglass.core.errors import ConfigError, DataError, ShapeError
from isinglass.metrics.calibration import auroc, brier_score, calibration
from isinglass.metrics.temperature import fit_temperature

ANSWERS = st.lists(st.tuples(st.floats(0, 1, allow_subnormal=False), st.booleans()), min_size=2, max_size=60)


@given(ANSWERS, st.integers(1, 12), st.sampled_from(["width", "mass"]))
def test_bins_are_those_of_scikit_learn(answers, count, binning):
    sure, right = map(np.array, zip(*answers, strict=True))
    strategy = {"width": "uniform", "mass": "quantile"}[binning]
    shares, confidences = calibration_curve(right, sure, n_bins=count, strategy=strategy)
    bins = calibration(sure, right).bins(count, binning)
    np.testing.assert_allclose([one.accuracy for one in bins], shares)
    np.testing.assert_allclose([one.confidence for one in bins], confidences)
    assert sum(one.count for one in bins) == len(sure)
    weighted = sum(one.count * abs(a - c) for one, a, c in zip(bins, shares, confidences, strict=True)) / len(sure)
    assert calibration(sure, right).ece(count, binning) == pytest.approx(weighted)


@given(ANSWERS)
def test_brier_and_auroc_are_those_of_scikit_learn(answers):
    sure, right = map(np.array, zip(*answers, strict=True))
    ours = calibration(sure, right)
    assert ours.brier == pytest.approx(brier_score_loss(right, sure, pos_label=True))
    if right.any() and not right.all():
        assert ours.auroc == pytest.approx(roc_auc_score(right, sure))
    else:
        assert ours.auroc is None


def test_brier_over_classes():
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=30)
    labels = np.random.default_rng(1).integers(0, 4, size=30)
    assert brier_score(rows, labels) == pytest.approx(np.mean(((rows - np.eye(4)[labels]) ** 2).sum(axis=1)))


def _drawn(n: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from softmax(logits / temperature)."""
    draw = np.random.default_rng(n)
    logits = draw.normal(scale=2, size=(n, 5))
    return logits, np.argmax(logits / temperature + draw.gumbel(size=logits.shape), axis=1)


def test_labels_from_the_predicted_distribution_are_calibrated_ever_better():
    errors = []
    for n in (200, 5_000, 100_000):
        logits, labels = _drawn(n)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        found = calibration(p.max(axis=1), p.argmax(axis=1) == labels)
        errors.append((found.ece(), found.ece(binning="mass")))
    assert errors[0] > errors[1] > errors[2]
    assert max(errors[2]) < 0.01
    # the same answers with all confidence, as temperature 0 gives them
    assert calibration(np.ones(len(labels)), p.argmax(axis=1) == labels).ece() == pytest.approx(1 - found.accuracy)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature):
    assert fit_temperature(*_drawn(40_000, temperature)) == pytest.approx(temperature, rel=0.03)


def test_the_fitted_temperature_has_the_least_loss():
    logits, labels = _drawn(300, 1.7)

    def loss(temperature: float) -> float:
        z = logits / temperature
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]))

    fitted = fit_temperature(logits.astype(np.float32), labels)
    assert loss(fitted) < min(loss(fitted * 0.99), loss(fitted * 1.01))


def test_the_ends_of_the_temperature():
    logits = np.array([[3.0, 1.0, 0.0]] * 4)
    assert fit_temperature(logits, [0, 0, 0, 0]) == 0.01
    assert fit_temperature(logits, [2, 2, 2, 2]) == 100.0


def test_risk_coverage_by_hand():
    found = calibration([0.9, 0.8, 0.7, 0.6], [True, False, True, False])
    coverage, risk = found.risk_coverage
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert found.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert found.best_aurc == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_risk_coverage_ends_at_the_error_rate_and_knows_no_order(answers, shuffler):
    sure, right = map(np.array, zip(*answers, strict=True))
    found = calibration(sure, right)
    assert found.risk_coverage[1][-1] == pytest.approx(1 - found.accuracy)
    assert found.aurc >= found.best_aurc - 1e-12
    order = list(range(len(sure)))
    shuffler.shuffle(order)
    assert calibration(sure[order], right[order]).aurc == pytest.approx(found.aurc)
    assert calibration(np.full(len(sure), 0.5), right).aurc == pytest.approx(1 - found.accuracy)  # ties: a ranking by chance


def test_the_figures_hold_the_bins_and_the_counts():
    found = calibration([0.95, 0.95, 0.15, 0.12], [True, False, False, False])
    figure = found.figure(command="isinglass inspect calibrate smollm2")
    assert figure.data.rows == [
        {"confidence": pytest.approx(0.135), "accuracy": 0.0, "answers": 2},
        {"confidence": pytest.approx(0.95), "accuracy": 0.5, "answers": 2},
    ]
    assert figure.command == "isinglass inspect calibrate smollm2" and "10 bins of equal width" in figure.notes[1]
    assert figure.to_svg().count('aria-roledescription="point"') >= 2  # drawn, not only listed
    assert [row["series"] for row in found.coverage_figure().data.rows][::4] == ["by confidence", "best ranking", "ranking by chance"]
    assert [(row["from"], row["answers"], row["gap"]) for row in found.table().rows] == [
        (pytest.approx(0.1), 2, pytest.approx(0.135)),
        (pytest.approx(0.9), 2, pytest.approx(0.45)),
    ]


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: calibration([], []), DataError, "there is no answer to measure: confidence and correct are empty"),
        (lambda: calibration([0.5], [True, False]), ShapeError, "confidence has shape (1,), correct (2,), expected one of each per answer"),
        (lambda: calibration([1.5], [True]), DataError, "confidence 1.5 is no probability\nhint: expected numbers from 0 to 1"),
        (lambda: calibration([float("nan")], [True]), DataError, "confidence nan is no probability"),
        (lambda: calibration([0.5], [True]).bins(0), ConfigError, "count = 0, expected at least 1 bin"),
        (
            lambda: calibration([0.5], [True]).bins(5, "mas"),
            ConfigError,
            "unknown binning 'mas'\n  known: mass, width\nhint: did you mean 'mass'?",
        ),
        (lambda: brier_score([[0.5, 0.5]], [0, 1]), ShapeError, "probabilities have shape (1, 2), labels (2,), expected a row per label"),
        (lambda: brier_score([[0.5, 0.5]], [2]), DataError, "labels run from 2 to 2, expected 0 to 1"),
        (lambda: auroc([0.5], [True, False]), ShapeError, "scores have shape (1,), positive (2,), expected one of each per row"),
        (lambda: fit_temperature(np.zeros((0, 3)), np.zeros(0, int)), DataError, "there is no row to fit a temperature to"),
        (
            lambda: fit_temperature([[1.0, 2.0]], [0, 1]),
            ShapeError,
            "logits have shape (1, 2), labels (2,), expected a row of logits per label",
        ),
    ],
)
def test_errors(call, kind, words):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value).startswith(words)
