"""What trains under each strategy, checked by what gradients and activations do, not by names alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from helpers.tensors import Watch, random_ids, randomised
from isinglass.core.errors import ConfigError
from isinglass.models.adapted import adapt, adapter_names
from isinglass.models.presets import bert, gpt2, hierarchical, t5, tiny
from isinglass.models.transformer import Model, assembled, on_meta
from isinglass.training.freeze import STRATEGIES, lowest_trained_block, trainable, trainable_counts

SMALL: dict[str, Any] = dict(vocab_size=50, context_length=64)
CONFIGS = {
    "classifier": gpt2.build(**SMALL, n_layers=3, d_model=32, n_heads=4, heads=["classification(n_labels=2, pooling='last')"]),
    "untied": tiny.build(**SMALL, embeddings="untied"),
    "tied": tiny.build(**SMALL),
    "bert": bert.build(**SMALL, n_layers=3, d_model=32, n_heads=4, heads=["classification(n_labels=3)"]),
    "t5": t5.build(n_layers=2, n_decoder_layers=3, d_model=32, n_heads=4, d_head=8, d_ff=48, vocab_size=50, embeddings="untied"),
    "hierarchical": hierarchical.build(n_layers=1, d_model=32, n_heads=4, vocab_size=50),
}
# the names of the last block, the two last blocks and the final norm
LAST = {
    "classifier": (["body.layers.2."], ["body.layers.1.", "body.layers.2."], ["body.norm."], ["heads."]),
    "untied": (["layers.1."], ["layers.0.", "layers.1."], ["norm."], ["lm_head."]),
    "tied": (["layers.1."], ["layers.0.", "layers.1."], ["norm."], []),
    "bert": (["body.layers.2."], ["body.layers.1.", "body.layers.2."], [], ["heads."]),
    "t5": (["decoder.layers.2."], ["decoder.layers.1.", "decoder.layers.2."], ["decoder.norm."], ["lm_head."]),
}


def model(name: str) -> Model:
    return randomised(assembled(CONFIGS[name]), 0).eval()  # type: ignore[return-value]


def begins(model: Model, prefixes: list[str]) -> set[str]:
    return {name for name, _ in model.named_parameters() if any(name.startswith(prefix) for prefix in prefixes)}


@pytest.mark.parametrize("name", LAST)
def test_what_each_strategy_trains(name: str) -> None:
    made, (last, two, norm, head) = model(name), LAST[name]
    assert trainable(made, "last_block") == begins(made, last + norm + head)
    assert trainable(made, "last_two_blocks") == begins(made, two + norm + head)
    assert trainable(made, "all") == {key for key, _ in made.named_parameters()}
    one_dimensional = {key for key, weight in made.named_parameters() if weight.dim() == 1}
    assert trainable(made, "norm_and_bias") == one_dimensional | begins(made, head)
    if head:
        assert trainable(made, "head") == begins(made, head)


def test_the_books_last_block() -> None:
    """Raschka, chapter 6: the last block, the final norm and the head of two labels of GPT-2 small."""
    classifier = on_meta(gpt2.build("124m", heads=["classification(n_labels=2, pooling='last')"]))
    sizes = {name: weight.numel() for name, weight in classifier.named_parameters()}
    assert sum(sizes[name] for name in trainable(classifier, "last_block")) == 7_087_872 + 1_536 + 1_538
    assert sum(sizes[name] for name in trainable(classifier, "head")) == 768 * 2 + 2
    assert lowest_trained_block(classifier, trainable(classifier, "last_block")) == 11


def test_the_head_of_a_tied_decoder_has_no_parameters_of_its_own() -> None:
    for made, kind in ((model("tied"), "Decoder"), (on_meta(bert.build(**SMALL, n_layers=1, d_model=32, n_heads=4, heads=[])), "Encoder")):
        with pytest.raises(ConfigError) as caught:
            trainable(made, "head")
        assert str(caught.value).startswith(f"strategy 'head': this {kind} has no head with parameters of its own\nhint: ")


def test_unknown_names() -> None:
    with pytest.raises(ConfigError) as caught:
        trainable(model("tied"), "last_blok")
    assert str(caught.value) == (
        "unknown strategy 'last_blok' in train.strategy\n"
        "  known: all, head, last_block, last_two_blocks, norm_and_bias\n"
        "hint: did you mean 'last_block'?"
    )
    with pytest.raises(ConfigError, match=r"unknown parameter 'norm\.wait'"):
        lowest_trained_block(model("tied"), ["norm.wait"])


def run(made: Model, name: str, tap: Watch) -> None:
    ids: tuple[Tensor, ...] = (random_ids(2, 7),)
    ids = (*ids, random_ids(2, 4, seed=1)) if name == "t5" else (random_ids(2, 3, 5),) if name == "hierarchical" else ids
    with torch.no_grad():
        made(*ids, tap=tap)


def outputs(made: Model, name: str) -> list[Tensor]:
    """What leaves each block, in the order of computation."""
    tap = Watch()
    run(made, name, tap)
    return [x for key, x in tap.kept.items() if key.endswith("resid_post")]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("adapter", [None, "lora(rank=2)", "prefix(length=2)"])
def test_what_enters_the_lowest_trained_block_does_not_change(name: str, adapter: str | None) -> None:
    """Each parameter in turn is changed: no block before the one that is told moves."""
    made: Any = model(name)
    if adapter is not None:
        made = adapt(made, adapter)
        randomised_adapter(made)
    before = outputs(made, name)
    names = adapter_names(made) or {key for key, _ in made.named_parameters()}
    for key in sorted(names):
        weight, told = made.get_parameter(key), lowest_trained_block(made, [key])
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.copy_(kept * 1.5 + 0.1 * torch.linspace(-1, 1, kept.numel()).view_as(kept))
            after = outputs(made, name)
            weight.copy_(kept)
        moved = [number for number, (a, b) in enumerate(zip(before, after, strict=True)) if not torch.equal(a, b)]
        if told is None:
            assert moved == [], key
        else:
            assert min(moved, default=told) >= told, key
            # 0 is always safe, and is said of all that stands in no block; softmax takes out a bias of keys, which then moves nothing
            assert moved[:1] == [told] or told == 0 or "k_proj.bias" in key, key


def randomised_adapter(made: Model) -> None:
    generator = torch.Generator().manual_seed(2)
    for key in sorted(adapter_names(made)):
        weight = made.get_parameter(key)
        weight.data.copy_(torch.randn(weight.shape, generator=generator))


def test_the_table_of_counts() -> None:
    made = adapt(model("classifier"), "lora(rank=2)")
    table = trainable_counts(made)
    rows = {row["strategy"]: row for row in table.rows}
    assert list(rows) == ["adapter", *STRATEGIES]
    assert rows["head"]["parameters"] == 66
    assert [rows[name]["from block"] for name in rows] == [0, "none", 2, 1, 0, 0]
    assert rows["all"]["share"] == 1.0
    assert [row["strategy"] for row in trainable_counts(model("tied")).rows] == [name for name in STRATEGIES if name != "head"]
