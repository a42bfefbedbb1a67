"""Architecture: every weight is in one part of the picture, every tap in its place; what a vocabulary costs; two norms by experiment."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

import isinglass as ig
from helpers.kinds import KINDS
from isinglass.core.errors import ShapeError
from isinglass.generation.lm import LM
from isinglass.inspection.anatomy import Part, TapSeen, anatomy
from isinglass.inspection.architecture import architecture
from isinglass.inspection.norm_experiment import norm_experiment, of_vectors
from isinglass.inspection.vocabulary_width import Embeddings, known, n_parameters
from isinglass.models import presets
from isinglass.models.adapted import adapt
from isinglass.models.config import ModelConfig
from isinglass.models.transformer import on_meta

EXPRESSIONS = [
    "llama(n_layers=3, d_model=32, n_heads=4, n_kv_heads=2, d_ff=48, vocab_size=100)",
    "gpt2(n_layers=3, d_model=32, n_heads=4, vocab_size=100)",
    "bert(n_layers=3, d_model=32, n_heads=4, vocab_size=100, heads=['masked_lm', 'classification(n_labels=3)'])",
    "t5(n_layers=3, d_model=32, n_heads=4, d_head=8, d_ff=48, vocab_size=100)",
    "t5(size='v1.1-small')",
    "mixtral(n_layers=3, d_model=32, n_heads=4, n_kv_heads=2, d_ff=48, vocab_size=100)",
    "hierarchical",
    "sequence_classifier",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_weight_is_in_one_part(expression: str) -> None:
    config = presets.family.resolve(expression)
    found = architecture(config)
    assert found.n_parameters == sum(weight.numel() for weight in on_meta(config).parameters())
    assert sum(row["share"] for row in found.data["parts"]) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_taps_are_those_of_a_trace_in_order_with_their_shapes(kind: str) -> None:
    lm = KINDS[kind]()
    seen = ig.trace(lm, [7, 8, 9, 10, 11], **({"target": [7, 8, 9, 10]} if kind == "t5" else {}), taps=["*"])
    for column in anatomy(lm):
        for tap in column.taps:
            assert tuple(seen[tap.name.replace("layers.N", "layers.1")].shape) == tap.shape
    named = {tap.name for column in anatomy(lm) for tap in column.taps}
    assert named == {re.sub(r"\blayers\.\d+", "layers.N", name) for name in seen._kept}
    assert all(row["what it is"] for row in architecture(lm).taps.rows)


def test_the_order_of_a_post_norm_block_is_another_one() -> None:
    def order(expression: str) -> list[str]:
        (column,) = anatomy(presets.family.resolve(expression))
        return [place.name.rpartition("layers.N.")[2] for place in column.places if "layers.N" in place.name]

    sizes = "n_layers=2, d_model=32, n_heads=4, vocab_size=100"
    pre = ["resid_pre", "attention_norm", "attention", "resid_mid", "mlp_norm", "mlp", "resid_post"]
    post = ["resid_pre", "attention", "attention_norm", "resid_mid", "mlp", "mlp_norm", "resid_post"]
    assert order(f"gpt2({sizes})") == pre
    assert order(f"bert({sizes})") == post


def test_one_block_stands_for_all_and_both_stacks_are_there() -> None:
    read, written = anatomy(presets.family.resolve(EXPRESSIONS[3]))
    assert (read.name, written.name, read.times) == ("encoder", "decoder", 3)
    crossing = next(part for part in written.parts if part.name == "decoder.layers.N.cross_attention")
    assert crossing.parameters == 3 * 4 * 32 * 32
    assert [tap.name.rpartition(".")[2] for tap in crossing.taps] == ["q_raw", "k_raw", "q", "k", "v", "scores", "weights", "z", "out"]
    assert [part.parameters for part in written.parts if part.name in ("embed_tokens", "lm_head")] == [0, 0]  # shared, tied


def test_an_adapter_counts_and_looking_leaves_no_hook() -> None:
    lm = ig.create("tiny")
    adapted = replace(lm, model=adapt(lm.model, "lora(rank=2)"))
    more = sum(weight.numel() for weight in adapted.model.parameters()) - sum(weight.numel() for weight in lm.model.parameters())
    assert more > 0
    assert architecture(adapted).n_parameters - architecture(lm).n_parameters == more
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in adapted.model.modules())


def test_the_picture_says_how_often_and_how_large() -> None:
    found = architecture(presets.family.resolve("llama"), name="llama")
    drawn = found.picture.to_svg()
    for text in ("x 30", "attention.weights", "resid_mid", "9 heads x 64 over 3 kv heads", "59.2 %", "134,515,008 weights"):
        assert text in drawn, text
    assert "30 layers" in found.picture.to_terminal(80, color=False)
    rows = {row["part"]: row for row in found.data["parts"]}
    assert rows["layers.N.mlp"]["parameters"] == 30 * 3 * 576 * 1536
    assert rows["lm_head"]["size"] == "embed_tokens transposed"


def test_settings_by_layer_are_named() -> None:
    lm = ig.create("tiny", attention={"mask": ["causal", "causal & sliding_window(8)"]})
    found = architecture(lm)
    assert "layers differ in mask; the first one is drawn" in found.picture.notes
    sizes = [place.size for place in found.columns[0].places if isinstance(place, Part) and place.name.endswith("attention")]
    assert sizes == ["4 heads x 16 over 2 kv heads; rotary, causal"]
    assert any(isinstance(place, TapSeen) for place in found.columns[0].places)


@pytest.mark.parametrize("name, config", [pair for pair in known() if "mixtral" not in pair[0] and "large" not in pair[0]])
def test_layers_are_counted_as_often_as_they_come(name: str, config: ModelConfig) -> None:
    assert n_parameters(config) == sum(weight.numel() for weight in on_meta(config).parameters()), name


def test_share_of_embeddings_over_vocabularies_and_widths() -> None:
    here = Embeddings.of(presets.family.resolve("gpt2"))
    assert here.share_at(50_257, 768) == here.share == pytest.approx(50_257 * 768 / 124_439_808)
    assert here.share_at(100_000, 768) > here.share > here.share_at(50_257, 1536)
    # twice the width with as many layers: exactly so, but for what grows with the width alone (norms, biases, positions)
    twice = Embeddings.of(presets.family.resolve("gpt2(d_model=1536, n_layers=12, n_heads=12)"))
    assert here.share_at(50_257, 1536) == pytest.approx(twice.share, rel=0.02)
    untied = Embeddings.of(presets.family.resolve("t5(size='v1.1-small')"))
    assert untied.parameters == 2 * 32_128 * 512
    grid = architecture(presets.family.resolve("gpt2")).grid
    assert grid.data is not None
    own = [row for row in grid.data.rows if row["d_model"] == "768 *" and row["vocabulary (tokens)"] == "50,257 *"]
    assert [row["share of embeddings"] for row in own] == [pytest.approx(here.share)]


# LayerNorm and BatchNorm ----------------------------------------------------------------------------------------------


def test_batch_norm_sees_its_batch_and_layer_norm_does_not() -> None:
    found = norm_experiment(ig.create("tiny"))
    mates = ("one more text", "another text in its place", "32 columns of padding", "after training (eval)")
    for situation in mates:
        assert found.changes[situation]["BatchNorm"] > 0.2 * found.scale["BatchNorm"], situation
    for changes in found.changes.values():
        assert changes["LayerNorm"] == changes["RMSNorm"] == 0  # to the last bit
    assert found.changes["a batch of this one token"]["BatchNorm"] is None
    assert found.changes["the same text twice"]["BatchNorm"] < 1e-5
    assert "BatchNorm cannot do: a batch of this one token" in found.figure.notes


def test_the_change_is_that_of_torchs_own_batch_norm() -> None:
    generator = torch.Generator().manual_seed(0)
    text, mate = (torch.randn(n, 8, generator=generator) for n in (4, 6))
    batch = nn.utils.rnn.pad_sequence([text, mate], batch_first=True)

    def torchs(x: torch.Tensor) -> torch.Tensor:  # (batch, features, time), as its documentation has it
        return nn.BatchNorm1d(8).train()(x.transpose(1, 2)).transpose(1, 2)[0, 3].detach()

    expected = float((torchs(batch) - torchs(text[None])).abs().max())
    assert of_vectors(text, [mate]).changes["one more text"]["BatchNorm"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_gives_vectors(kind: str) -> None:
    found = norm_experiment(KINDS[kind](), "abc def", ["gh", "abc abc abc"])
    assert max(change["LayerNorm"] or 0.0 for change in found.changes.values()) == 0


def test_too_little_to_compare() -> None:
    with pytest.raises(ShapeError, match=r"norms need a text of two tokens or more and one of another length.*\[\[1, 4\], \[2, 4\]\]"):
        of_vectors(torch.zeros(1, 4), [torch.zeros(2, 4)])


def test_what_a_finding_saves(tmp_path, tiny_lm: LM) -> None:
    for finding in (architecture(tiny_lm), norm_experiment(tiny_lm)):
        for suffix in ("html", "svg", "json", "csv", "md", "txt"):
            assert finding.save(tmp_path / f"found.{suffix}").stat().st_size > 100
