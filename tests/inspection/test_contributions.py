"""Shares in a logit: they add up, and each is what its part says by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

import isinglass as ig
from helpers.kinds import KINDS, TEXTS, lively, reader
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.contributions import Contributions, contributions
from isinglass.models.adapted import adapt

SMALL = "n_layers=2, d_model=32, n_heads=4"


def adapted(lm: LM, adapter: str) -> LM:
    """Every weight of the adapter is random: LoRA starts as nothing."""
    return lively(replace(lm, model=adapt(lm.model, adapter)))


MODELS: dict[str, Callable[[], LM]] = {
    **{name: make for name, make in KINDS.items() if name != "bert"},
    "untied": lambda: lively(ig.create(f"llama({SMALL}, n_kv_heads=1, d_ff=48, embeddings='untied')")),
    "layer norm and bias with grouped heads": lambda: lively(
        ig.create(f"gpt2({SMALL}, context_length=64)", attention={"n_kv_heads": 2, "bias": "all"})
    ),
    "lora on gpt2": lambda: adapted(ig.create(f"gpt2({SMALL}, context_length=64)"), "lora(rank=2)"),
    "lora on an untied head": lambda: adapted(ig.create(f"llama({SMALL}, n_kv_heads=2, d_ff=48, embeddings='untied')"), "lora(rank=3)"),
    "prefix": lambda: adapted(ig.create("tiny"), "prefix(length=3)"),
    "mixture of experts": lambda: lively(ig.create("tiny(feedforward='moe(n_experts=4, top_k=2)')")),
    "alibi": lambda: lively(ig.create("tiny", attention={"position": "alibi"})),
    "sinusoidal": lambda: lively(ig.create("tiny", attention={"position": "sinusoidal"})),
    "scaled head": lambda: lively(ig.create(f"t5({SMALL}, d_head=8, d_ff=48, embeddings='tied')", tokenizer=reader())),
    "decoder with other heads": lambda: lively(ig.create("tiny(heads=['reward'])")),
}


@pytest.fixture(scope="module", params=MODELS)
def lm(request: pytest.FixtureRequest) -> LM:
    made = MODELS[request.param]()
    return replace(made, model=made.model.double())


def model_logits(lm: LM, row: int) -> torch.Tensor:
    """Of the last position, from a call of the model that knows nothing of traces."""
    given = ig.trace(lm, [TEXTS[row]]).reading
    with torch.inference_mode():
        if lm.config.architecture == "encoder_decoder":
            return lm.model(given.source.batch, given.rows.batch)[0, -1]
        return getattr(lm.model, "body", lm.model)(given.source.batch)[0, -1]


def test_the_shares_add_up_to_the_logit(lm: LM) -> None:
    """In fp64; what is left is the fp32 in which norms take their statistics."""
    seen = ig.trace(lm, TEXTS)
    for row in range(2):
        logits = model_logits(lm, row)
        for against, value in ((None, logits[7]), (9, logits[7] - logits[9])):
            found = contributions(seen, row, token=7, against=against)
            assert found.logit == pytest.approx(float(value), abs=1e-6)
            assert found.total == pytest.approx(float(value), abs=2e-6)
            assert abs(found.error) < 2e-6
            assert [abs(share.value) for share in found.shares] == sorted((abs(share.value) for share in found.shares), reverse=True)


def test_every_position_adds_up(lm: LM) -> None:
    seen = ig.trace(lm, TEXTS[0])
    for position in range(len(seen.ids[0])):
        assert abs(contributions(seen, position=position).error) < 2e-6


def frozen_share(lm: LM, vector: torch.Tensor, stream: torch.Tensor, id: int) -> float:
    """What a vector in the stream says by the definition: through norm and head with the factor of the whole stream."""
    body = getattr(lm.model, "decoder", getattr(lm.model, "body", lm.model))
    norm = body.norm
    centring = type(norm).__name__ == "LayerNorm"
    centred = stream - stream.mean() if centring else stream
    deviation = (centred.square().mean() + norm.eps).sqrt()
    normed = (vector - vector.mean() if centring else vector) / deviation * norm.weight
    head = lm.model if hasattr(lm.model, "logits") else body
    with torch.inference_mode():
        return float((head.logits(normed[None, None]) - head.logits(torch.zeros_like(normed)[None, None]))[0, 0, id])


def test_each_share_is_what_its_part_says(lm: LM) -> None:
    """Heads from differences of o_proj with one head cut out of its input (not of its output, where heads are mixed)."""
    seen = ig.trace(lm, TEXTS[0])
    found = {share.part: share.value for share in contributions(seen, token=7).shares}
    prefix, modules = ("decoder.", ["attention", "cross_attention"]) if "decoder" in dir(lm.model) else ("", ["attention"])
    body = getattr(lm.model, "decoder", getattr(lm.model, "body", lm.model))
    stream = seen[f"{prefix}layers.1.resid_post"][0, -1]
    told = 0
    for layer, block in enumerate(body.layers):
        for module in modules:
            z, project = seen[f"{prefix}layers.{layer}.{module}.z"], getattr(block, module).o_proj
            which = "cross head" if module == "cross_attention" else "head"
            for head in range(z.shape[1]):
                cut = z.clone()
                cut[:, head] = 0
                with torch.inference_mode():
                    lost = project(z.transpose(1, 2).flatten(2)) - project(cut.transpose(1, 2).flatten(2))
                expected = frozen_share(lm, lost[0, -1], stream, 7)
                assert found[f"layer {layer} {which} {head}"] == pytest.approx(expected, abs=1e-6)
                told += 1
        mlp = seen[f"{prefix}layers.{layer}.mlp.post"][0, -1]
        assert found[f"layer {layer} mlp"] == pytest.approx(frozen_share(lm, mlp, stream, 7), abs=1e-6)
    assert told == 2 * 4 * len(modules)


def test_gpt2_against_its_formula() -> None:
    """Written out from the weights alone."""
    lm = KINDS["gpt2"]()
    model = lm.model.double()
    seen = ig.trace(replace(lm, model=model), "abcd")
    found = {share.part: share.value for share in contributions(seen, token=7, against=9, position=1).shares}
    x = seen["layers.1.resid_post"][0, 1]
    direction = model.embed_tokens.weight[7] - model.embed_tokens.weight[9]
    factor = 1 / (x.var(correction=0) + model.norm.eps).sqrt()

    def share(vector: torch.Tensor) -> float:
        return float(factor * (vector - vector.mean()) @ (model.norm.weight * direction))

    assert found["final norm's bias"] == pytest.approx(float(model.norm.bias @ direction))
    assert found["positions"] == pytest.approx(share(model.positions[0].weight[1]), abs=1e-6)
    assert found["token embedding of 'b'"] == pytest.approx(share(model.embed_tokens.weight[seen.ids[0][1]]), abs=1e-6)
    for layer in range(2):
        project = model.layers[layer].attention.o_proj
        assert found[f"layer {layer} attention bias"] == pytest.approx(share(project.bias), abs=1e-6)
        z = seen[f"layers.{layer}.attention.z"][0, 3, 1]
        assert found[f"layer {layer} head 3"] == pytest.approx(share(project.weight[:, 24:] @ z), abs=1e-6)


def test_grouped_heads_are_counted_as_query_heads() -> None:
    found = contributions(ig.trace(KINDS["llama with grouped heads"](), "abc"), token=7)
    assert sorted({share.head for share in found.shares if share.kind == "head"}) == [0, 1, 2, 3]
    assert {share.kind for share in found.shares} == {"token embedding", "head", "mlp"}


def test_a_head_that_is_cut_out_has_no_share() -> None:
    seen = ig.trace(KINDS["gpt2"](), "abc").edit("layers.1.attention.z", head=2, set_to=0)
    found = contributions(seen, token=7)
    assert next(share.value for share in found.shares if share.part == "layer 1 head 2") == 0.0 and abs(found.error) < 1e-5


def test_an_edited_embedding_is_one_part() -> None:
    found = contributions(ig.trace(KINDS["gpt2"](), "abc").edit("embed", position=-1, scale=0.5), token=7)
    assert "embed" in {share.part for share in found.shares} and abs(found.error) < 1e-5


def test_without_a_token_it_is_the_likeliest() -> None:
    seen = ig.trace(KINDS["gpt2"](), "abc")
    found = contributions(seen)
    assert found.logit == pytest.approx(float(seen.logits[0, -1].max()), abs=1e-5)


@pytest.fixture(scope="module")
def paris(smollm2: LM) -> Contributions:
    return contributions(ig.trace(smollm2, "The capital of France is"), token=" Paris", against=" London", command="isinglass inspect ...")


def test_the_error_is_printed(paris: Contributions) -> None:
    assert len(paris.shares) == 30 * 10 + 1 and abs(paris.error) < 2e-5
    shown = str(paris)
    assert f"error {paris.error:.1g}" in shown and "sum of all 301 shares" in shown and "$ isinglass inspect ..." in shown
    assert "logit of ' Paris' minus that of ' London' at position 4" in shown and "The│·capital│·of│·France│·is" in shown
    assert "the final norm's factor is frozen" in shown and "token embedding of ' is'" in shown
    assert "the first 24 of 301" in shown and len(paris.table()) == 301


def test_the_map_and_the_data(paris: Contributions, tmp_path) -> None:
    twin = paris.figure.data
    assert twin is not None and len(twin.rows) == 30 * 10
    assert [row["head, or other part"] for row in twin.rows[:10]] == [*map(str, range(9)), "mlp"]
    assert sum(row["share (logits)"] for row in twin.rows) == pytest.approx(
        sum(share.value for share in paris.shares if share.layer is not None)
    )
    assert paris.data["sum"] - paris.data["logit"] == paris.data["error"]
    assert len(paris.data["shares"]) == 301 and paris.data["tokens"][-1]["token"] == " is"
    assert paris.table().rows[-1]["sum so far"] == pytest.approx(paris.total)
    for suffix in (".png", ".html", ".csv", ".json"):
        assert paris.save(tmp_path / f"c{suffix}").stat().st_size > 100


def test_the_map_of_an_encoder_decoder_has_both_attentions() -> None:
    twin = contributions(ig.trace(KINDS["t5"](), "abc", target="de"), token=7).figure.data
    assert twin is not None
    expected = ["0", "1", "2", "3", "cross 0", "cross 1", "cross 2", "cross 3", "mlp"]
    assert [row["head, or other part"] for row in twin.rows[:9]] == expected


def test_biases_have_columns_of_their_own() -> None:
    twin = contributions(ig.trace(KINDS["gpt2"](), "abc"), token=7).figure.data
    assert twin is not None
    assert [row["head, or other part"] for row in twin.rows[:6]] == ["0", "1", "2", "3", "bias", "mlp"]


def test_bad_input() -> None:
    gpt2, bert = KINDS["gpt2"](), KINDS["bert"]()
    pre_norm = ig.create(f"bert({SMALL}, norm_placement='pre', heads=['masked_lm'])")
    cases: dict[Callable[[], object], str] = {
        lambda: contributions(
            ig.trace(bert, "abc")
        ): "normalises the sum after every part (post-norm), so nothing passes a layer untouched",
        lambda: contributions(ig.trace(ig.load("minilm"), "abc")): "minilm normalises the sum after every part (post-norm)",
        lambda: contributions(ig.trace(pre_norm, "abc")): "has no linear head over its vocabulary",
        lambda: contributions(ig.trace(gpt2, "abc").edit("layers.0.resid_mid", add=1)): (
            "the sum itself was edited (Edit(layers.0.resid_mid, add 1)), so the parts do not add up to the logit\n"
            "hint: edit what a part gives: attention.z, mlp.post or embed"
        ),
        lambda: contributions(ig.trace(gpt2, "abc"), 1): "row 1 does not exist",
        lambda: contributions(ig.trace(gpt2, "abc"), position=3): "position 3 does not exist",
        lambda: contributions(ig.trace(gpt2, "abc"), token="ab"): "the answer 'ab' is 2 tokens, expected one",
        lambda: contributions(ig.trace(gpt2, "abc"), token="a", against="bc"): "the answer 'bc' is 2 tokens, expected one",
    }
    for case, words in cases.items():
        with pytest.raises(EngineError) as caught:
            case()
        assert words in str(caught.value)


def test_it_works_inside_inference_mode_and_leaves_no_gradients() -> None:
    lm = KINDS["gpt2"]()
    with torch.inference_mode():
        found = contributions(ig.trace(lm, "abc"), token=7)
    assert abs(found.error) < 1e-5
    assert all(weight.grad is None for weight in nn.Module.parameters(lm.model))
