"""The logit lens: through the real norm and head, of every kind of model."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

import isinglass as ig
from helpers.kinds import KINDS, TEXTS, lively
from isinglass.core.errors import EngineError
from isinglass.generation.lm import LM
from isinglass.inspection.lens import lens
from isinglass.show.marks.word_map import word_map

HEADED = {
    "pre-norm encoder": lambda: lively(ig.create("bert(n_layers=2, d_model=32, n_heads=4, heads=['masked_lm'], norm_placement='pre')")),
}


@pytest.fixture(scope="module", params=[*KINDS, *HEADED])
def lm(request: pytest.FixtureRequest) -> LM:
    return (KINDS | HEADED)[request.param]()


def test_the_last_layer_is_the_model_to_the_last_bit(lm: LM) -> None:
    seen = ig.trace(lm, TEXTS[0])
    for after in ("layer", "sublayer"):
        found = lens(seen, after=after)
        assert torch.equal(found.logits[-1], seen.logits[0]) and torch.equal(found.logits_at(-1), seen.logits[0])
        assert not found.divergences[-1].any() and (found.ranks[-1] == 1).all()


def test_a_layer_sees_what_a_model_without_the_later_ones_would_say(lm: LM) -> None:
    """Each place is the answer of the same model whose later layers have been taken out: statistics of the norm included."""
    seen = ig.trace(lm, TEXTS[0])
    logits = seen.lens().logits
    body = getattr(lm.model, "decoder", getattr(lm.model, "body", lm.model))
    whole = body.layers
    for kept in range(len(whole) + 1):
        try:
            body.layers = whole[:kept]
            expected = _answer(lm)
        finally:
            body.layers = whole
        torch.testing.assert_close(logits[kept], expected, atol=1e-5, rtol=1e-5)


def _answer(lm: LM) -> torch.Tensor:
    with torch.inference_mode():
        model = lm.model
        if lm.config.architecture != "encoder_decoder":
            made = model(torch.tensor([lm.encode(TEXTS[0])]))
            return (made["masked_lm"] if isinstance(made, dict) else made)[0]
        # the decoder may have lost its layers before the source is read for each of them
        given = ig.trace(lm, TEXTS[0]).reading
        return given.run()[0]


def test_after_attention_it_is_the_lens_of_the_middle(lm: LM) -> None:
    seen = ig.trace(lm, TEXTS[0])
    found = seen.lens(after="sublayer")
    body = getattr(lm.model, "decoder", getattr(lm.model, "body", lm.model))
    prefix = "decoder." if lm.config.architecture == "encoder_decoder" else ""
    middle = seen[f"{prefix}layers.1.resid_mid"]
    normed = middle if body.norm is None else body.norm(middle)
    heads = getattr(lm.model, "heads", {})
    expected = heads["masked_lm"](normed, seen.rows.slots, body.embed_tokens.weight) if "masked_lm" in heads else lm.model.logits(normed)
    torch.testing.assert_close(found.logits_at(found.places.index("1 attention")), expected[0], atol=1e-6, rtol=1e-6)
    parts = 3 if prefix else 2
    assert len(found.places) == 1 + 2 * parts
    every_layer = seen.lens()
    torch.testing.assert_close(found.logits[::parts], every_layer.logits, atol=0, rtol=0)


def test_the_norm_is_not_left_out_and_its_statistics_are_not_the_last_layers(make_lm: Callable[..., LM]) -> None:
    """Two faults of other tools: no final norm before the head, and the last layer's scale for every layer."""
    lm = make_lm("gpt2(n_layers=2, d_model=32, n_heads=4, context_length=64)")
    seen = ig.trace(lm, "abcde")
    first, last = seen["layers.0.resid_pre"], seen["layers.1.resid_post"]
    logits = seen.lens().logits_at(0)
    norm, unembed = lm.model.norm, lm.model.embed_tokens.weight
    without_norm = nn.functional.linear(first, unembed)[0]
    centred = first - first.mean(-1, keepdim=True)
    borrowed = nn.functional.linear(centred / last.std(-1, correction=0, keepdim=True) * norm.weight + norm.bias, unembed)[0]
    right = nn.functional.layer_norm(first, (32,), norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(logits, nn.functional.linear(right, unembed)[0], atol=1e-5, rtol=1e-5)
    assert (logits - without_norm).abs().max() > 0.1 and (logits - borrowed).abs().max() > 0.1


def test_the_numbers_are_those_of_the_logits() -> None:
    lm = KINDS["gpt2"]()
    seen = ig.trace(lm, TEXTS[0])
    found = seen.lens(position=2, token=7, against=9, top=3)
    p = found.logits.double().softmax(-1)
    own = p[-1]
    for place in range(3):
        for at in range(len(TEXTS[0])):
            answer = int(own[at].argmax())
            order = p[place, at].argsort(descending=True).tolist()
            assert int(found.final[at]) == answer
            assert found.top_ids[place, at].tolist() == order[:3]
            assert int(found.ranks[place, at]) == order.index(answer) + 1
            assert float(found.probabilities[place, at]) == pytest.approx(float(p[place, at, answer]))
            assert float(found.entropies[place, at]) == pytest.approx(float(torch.distributions.Categorical(p[place, at]).entropy()))
            expected = torch.nn.functional.kl_div(p[place, at].log(), own[at], reduction="sum")
            assert float(found.divergences[place, at]) == pytest.approx(float(expected), abs=1e-12)
        assert found.watched_probabilities[place].tolist() == pytest.approx(p[place, 2, [7, 9]].tolist())
        assert found.watched_ranks[place].tolist() == [1 + int((p[place, 2] > p[place, 2, id]).sum()) for id in (7, 9)]


def test_padding_and_batch_mates_change_nothing(lm: LM) -> None:
    together = ig.trace(lm, TEXTS)
    for row, text in enumerate(TEXTS):
        alone, found = ig.trace(lm, text).lens(), together.lens(row)
        torch.testing.assert_close(found.logits, alone.logits, atol=1e-4, rtol=1e-4)
        assert found.tokens == alone.tokens and found.places == alone.places
        torch.testing.assert_close(found.entropies, alone.entropies, atol=1e-5, rtol=1e-5)


def test_edits_are_seen() -> None:
    seen = ig.trace(KINDS["gpt2"](), "abc").edit("layers.0.attention.z", head=1, set_to=0)
    assert torch.equal(seen.lens().logits_at(-1), seen.logits[0])
    assert not torch.equal(seen.lens().logits_at(1), ig.trace(seen.lm, "abc").lens().logits_at(1))


def test_a_decoder_with_other_heads_has_its_own_head_too() -> None:
    lm = lively(ig.create("tiny(n_layers=2, heads=['reward'])"))
    found = ig.trace(lm, "abc").lens()
    torch.testing.assert_close(found.logits_at(-1), lm.model.body(torch.tensor([lm.encode("abc")]))[0])


def test_an_encoder_is_asked_at_its_mask() -> None:
    lm = KINDS["bert"]()
    ids = [10, 11, 12, 13]
    assert ig.trace(lm, ids).lens().position == 3
    minilm = ig.load("minilm").tokenizer
    masked = ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm'])", tokenizer=minilm)
    prompt = minilm.encode("the [MASK] is bright", special="parse", add_special=True)
    found = ig.trace(masked, prompt).lens()
    assert found.tokens[found.position] == "[MASK]" and found.position == 2


def test_what_people_see(smollm2: LM) -> None:
    found = lens(ig.trace(smollm2, "The capital of France is"), token=" Paris", against=" London", command="isinglass inspect layers ...")
    assert [found.watched_ranks[-1, 0].item(), found.final[-1].item()] == [1, smollm2.tokenizer.encode(" Paris")[0]]
    assert found.watched_ranks[0, 0] > 1000
    shown = str(found)
    assert "·Paris" in shown and "The│·capital│·of│·France│·is" in shown and "$ isinglass inspect layers" in shown
    assert "the model itself says ' Paris'" in shown
    twin = found.figure.data
    assert twin is not None and len(twin.rows) == 31 * 5 and twin.rows[-1]["likeliest"] == " Paris"
    assert {"probability", "rank of final", "entropy", "KL"} <= set(twin.columns)
    assert len(found.table.rows) == 31 and found.table.rows[-1]["KL"] == 0
    data = found.data
    assert [token["token"] for token in data["tokens"]] == ["The", " capital", " of", " France", " is"]
    assert len(data["cells"]) == 155 and data["cells"][-1]["top"][0]["token"] == " Paris"
    assert data["watched"][1]["token"] == " London" and len(data["watched"][1]["rank"]) == 31


@pytest.mark.parametrize("suffix", [".html", ".png", ".svg", ".csv", ".json", ".md", ".txt"])
def test_it_saves_itself(tmp_path, suffix: str) -> None:
    found = ig.trace(KINDS["llama with grouped heads"](), [60, 47, 115, 99, 114]).lens(after="sublayer")
    assert found.save(tmp_path / f"lens{suffix}").stat().st_size > 100


def test_a_token_cannot_break_out_of_a_page() -> None:
    words = [["</script><img src=x onerror=alert(1)>"]]
    figure = word_map(
        [[0.5]], words, title="t", rows=["0"], columns=["</script>"], row_axis="r", column_axis="c", value="v", word="w", limits=(0, 1)
    )
    assert "</script><img" not in figure.to_html() and "&lt;/script&gt;&lt;img" in figure.to_html()


def test_words_need_room() -> None:
    def made(columns: int):
        return word_map(
            [[0.5] * columns] * 2, [["word"] * columns] * 2, title="t", rows=["0", "1"], columns=["x"] * columns, row_axis="r",
            column_axis="c", value="v", word="w", limits=(0, 1),
        )  # fmt: skip

    assert len(made(5).spec["layer"]) == 2 and len(made(60).spec["layer"]) == 1
    assert "60 columns leave no room for words" in " ".join(made(60).notes)
    assert "the last 8 of 60 columns" in made(60).to_terminal(70, color=False)
    assert max(map(len, made(60).to_terminal(70, color=False).splitlines())) <= 70


def test_bad_input() -> None:
    seen = ig.trace(KINDS["gpt2"](), TEXTS)
    cases: dict[Callable[[], object], str] = {
        lambda: seen.lens(2): "row 2 does not exist\n  there are rows 0 to 1",
        lambda: seen.lens(position=9): "position 9 does not exist\n  the text has positions 0 to 8",
        lambda: seen.lens(token="ab"): "the answer 'ab' is 2 tokens, expected one",
        lambda: seen.lens(top=0): "top = 0, expected at least 1",
        lambda: seen.lens(after="head"): "unknown after 'head'",
        lambda: seen.lens().logits_at(3): "place 3 does not exist\n  this lens has places 0 to 2",
    }
    for case, words in cases.items():
        with pytest.raises(EngineError) as caught:
            case()
        assert words in str(caught.value)


def test_an_encoder_without_that_head_says_so() -> None:
    with pytest.raises(EngineError) as caught:
        ig.trace(ig.load("minilm"), "Hello").lens()
    assert str(caught.value).splitlines() == [
        "minilm has no head over its vocabulary, so its layers cannot be read as tokens",
        "  it has heads.pooling, heads.pooler",
        "hint: look at how similar its layers are, and at their norms: isinglass inspect layers --view similarity",
    ]


def test_one_word_is_as_likely_as_all_for_a_flat_model() -> None:
    lm = ig.create("tiny")
    with torch.no_grad():
        lm.model.embed_tokens.weight.zero_()
    found = ig.trace(lm, "abc").lens()
    assert found.entropies.flatten().tolist() == pytest.approx([math.log(lm.model.config.vocab_size)] * found.entropies.numel())
