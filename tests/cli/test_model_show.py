"""`isinglass model show` for encoders and encoder-decoders, and its training step."""

from __future__ import annotations

import pytest


def test_an_encoder_decoder_and_a_measured_step(cli):
    model = "t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48, vocab_size=100)"
    ran = cli("model", "show", model, "--rows", "2", "--tokens", "8", "--measure", "--json")
    assert ran.code == 0
    step = {row["quantity"]: row for row in ran.json["step"]}
    assert step["weights"]["predicted"] == step["weights"]["measured"] == 4 * ran.json["n_parameters"]
    assert 0.9 < step["activations"]["predicted / measured"] < 1.1
    assert ran.json["config"]["architecture"] == "encoder_decoder"


def test_an_asset_of_weights_alone_is_shown_from_its_preset(cli):
    ran = cli("model", "show", "minilm", "--json")
    assert ran.code == 0
    assert ran.json["n_parameters"] == 22_713_216
    assert "measured" not in ran.json["step"][0]


def test_a_step_is_measured_in_float32(cli):
    ran = cli("model", "show", "tiny", "--measure", "--bytes-per-number", "2")
    assert ran.code != 0
    assert "--measure beside --bytes-per-number = 2: a step is measured in float32, 4 bytes" in ran.err


@pytest.mark.parametrize(
    ("verb", "why"),
    [("generate", "minilm is an encoder, which does not continue a text"), ("predict", "minilm makes no logits over its vocabulary")],
)
def test_an_encoder_is_refused_by_verbs_that_continue_a_text(cli, verb, why):
    ran = cli(verb, "minilm", "Hello")
    assert ran.code == 1 and why in ran.err
