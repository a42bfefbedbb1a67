import math

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from isinglass.metrics.surprise import entropy, perplexity


def test_entropy_equals_scipy():
    probabilities = np.random.default_rng(0).dirichlet(np.full(9, 0.3), size=5)
    assert entropy(np.log(probabilities)) == pytest.approx(scipy_entropy(probabilities, axis=-1))


def test_entropy_at_its_ends():
    assert entropy([0.0, -math.inf, -math.inf]) == 0.0
    assert entropy(np.full(8, math.log(1 / 8))) == pytest.approx(math.log(8))


def test_perplexity_by_hand():
    assert perplexity([math.log(1 / 2), math.log(1 / 8)]) == pytest.approx(4.0)
    assert perplexity([]) is None
