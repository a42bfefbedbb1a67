"""Shared by all tests: two threads at most, annotations of the numeric layers checked, and the models most tests need."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no network in tests

from collections.abc import Callable
from pathlib import Path

import hypothesis
import jaxtyping
import pytest
from jaxtyping import install_import_hook

# The same examples on every machine; HYPOTHESIS_PROFILE=default searches for new ones.
hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)  # a shared machine pauses at times
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

# Shapes in signatures are checked where tensors are: what a jaxtyping annotation says must hold in every test of these folders.
# In the others, which run the same layers, the checks would cost a quarter of the time and see nothing else.
install_import_hook(["isinglass.nn", "isinglass.models"], "helpers.check_types")
TESTS = Path(__file__).parent
CHECKED = {"nn", "models", "contract", "generation", "architecture"}

import torch  # noqa: E402 - after the hook

from isinglass.generation.lm import LM, create, load  # noqa: E402

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture(autouse=True)
def shapes_are_checked(request: pytest.FixtureRequest) -> None:
    jaxtyping.config.update("jaxtyping_disable", request.path.relative_to(TESTS).parts[0] not in CHECKED)


@pytest.fixture(autouse=True)
def ctrl_c_works() -> None:
    """A shell switches Ctrl-C off for what it starts in the background, and so for all that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def smollm2() -> LM:
    """The real model of the embedded set, loaded once per test process; read-only."""
    return load("smollm2")


@pytest.fixture(scope="session")
def tiny_lm() -> LM:
    """Two layers over bytes, weights large enough that its distributions are far from flat."""
    return lively(create("tiny"))


@pytest.fixture(scope="session")
def make_lm() -> Callable[..., LM]:
    """`make_lm("tiny(n_layers=1)", attention={...})`: like `ig.create`, with lively weights."""
    return lambda *args, **options: lively(create(*args, **options))


def lively(lm: LM) -> LM:
    """Small embeddings, so that with a tied head a token does not simply predict itself."""
    from helpers.tensors import randomised

    randomised(lm.model)
    with torch.no_grad():
        lm.model.embed_tokens.weight.mul_(0.3)
    return lm
