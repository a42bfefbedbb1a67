"""What is predicted is what is measured; and what `model show` says of it."""

from __future__ import annotations

import pytest

from isinglass.cli.model import config_of
from isinglass.core.errors import ConfigError
from isinglass.models import presets
from isinglass.models.measure import measured_costs
from isinglass.models.summary import step_costs, summarise

SMALL = "n_layers=2, d_model=64, n_heads=4, vocab_size=500"
MODELS = [
    "tiny",
    f"gpt2({SMALL})",
    f"gpt2({SMALL}, dropout=0.1)",
    "tiny(feedforward=\"glu(activation='gelu_tanh')\", position='alibi', mask='causal & sliding_window(8)')",
    "tiny(position='relative_t5', n_kv_heads=1, embeddings='untied')",
    f"mixtral({SMALL}, n_kv_heads=2, d_ff=96)",
    f"bert({SMALL}, heads=['masked_lm', 'next_sentence'])",
    f"bert({SMALL}, norm_placement='pre')",
    f"t5({SMALL}, d_head=16, d_ff=128)",
    f"t5('v1.1-small', {SMALL}, d_head=16, d_ff=128, n_decoder_layers=3)",
    f"sequence_classifier({SMALL})",
    f"hierarchical({SMALL}, n_sentences=5)",
]


@pytest.mark.parametrize(("rows", "time"), [(3, 20), (1, 120)])
@pytest.mark.parametrize("expression", MODELS)
def test_predictions_lie_within_5_percent_of_measurements(expression: str, rows: int, time: int) -> None:
    table = step_costs(presets.family.resolve(expression), rows, time, measure=measured_costs).rows
    ratios = {row["quantity"]: row["predicted / measured"] for row in table}
    writes = expression.startswith(("tiny", "gpt2", "mixtral", "t5"))
    exact = {"weights", "gradients", "AdamW states", "FLOPs of the forward pass"} | ({"KV cache when it writes"} if writes else set())
    assert set(ratios) == exact | {"activations"}
    assert {ratios[name] for name in exact} == {1.0}
    assert 0.95 < ratios["activations"] < 1.05


def test_published_costs() -> None:
    """A pass of BERT base over 512 tokens: 85.1M weights of its blocks' products without biases, used twice each, and the scores."""
    config = presets.family.resolve("bert")
    (row, *_) = step_costs(config, 1, 512).rows
    blocks = 12 * (4 * 768**2 + 2 * 768 * 3072)
    assert row["predicted"] == 512 * 2 * blocks + 12 * 4 * 768 * 512**2
    assert row["unit"] == "flops"


def test_half_the_width_takes_half_the_bytes() -> None:
    config = presets.family.resolve("tiny")
    wide, narrow = (step_costs(config, 2, 16, bytes_per_number=width).rows for width in (4, 2))
    assert [row["predicted"] for row in wide[1:]] == [2 * row["predicted"] for row in narrow[1:]]
    assert wide[0] == narrow[0]


@pytest.mark.parametrize(("rows", "time"), [(0, 5), (1, 0), (1, 257)])
def test_a_step_that_cannot_be(rows: int, time: int) -> None:
    with pytest.raises(ConfigError, match=rf"a step on {rows} x {time} tokens: expected at least 1 text of 1 to 256 tokens"):
        step_costs(presets.family.resolve("tiny"), rows, time)


PARTS = {
    "minilm": "token embedding, segment embedding, position embedding, attention, feed-forward, norms, output head",
    "t5": "token embedding, position embedding, attention, cross-attention, feed-forward, norms",
    "hierarchical": "token embedding, attention, feed-forward, norms",
}


@pytest.mark.parametrize("model", PARTS)
def test_the_parts_and_the_tree_count_every_parameter(model: str) -> None:
    found = summarise(config_of(model))
    assert ", ".join(row["part"] for row in found.parts.rows) == PARTS[model]
    assert sum(row["parameters"] for row in found.parts.rows) == found.n_parameters
    top = [row for row in found.tree.rows if not row["module"].startswith(" ")]
    assert sum(row["parameters"] for row in top) == found.n_parameters
    cached = [row for row in found.costs.rows if row["quantity"].startswith("KV")]
    assert bool(cached) == (model == "t5")


def test_an_untied_head_below_heads_counts_as_output_head() -> None:
    config = presets.family.resolve("tiny(embeddings='untied', heads=['classification(n_labels=2)'])")
    found = summarise(config)
    shares = {row["part"]: row["parameters"] for row in found.parts.rows}
    assert shares["output head"] > config.vocab_size * config.d_model and sum(shares.values()) == found.n_parameters


def test_the_tree_shows_each_side_and_equal_layers_once() -> None:
    rows = summarise(config_of("t5(n_decoder_layers=2)")).tree.rows
    shown = [row["module"] for row in rows]
    assert [name for name in shown if "layers" in name] == ["  6 layers", "  2 layers"]
    assert shown.count("    cross_attention") == 1
    assert rows[-1] == {"module": "lm_head", "shape": "tied to embed_tokens", "parameters": 0}
    cross = next(row for row in rows if row["module"] == "    cross_attention")
    assert cross["parameters"] == 2 * 4 * 512 * 512
