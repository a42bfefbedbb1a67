"""BERT and its heads: equal to transformers' in both directions; the real MiniLM; padding, pairs, taps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import isinglass as ig
from helpers.tensors import Watch, random_ids, randomised
from isinglass.core.errors import AssetError, CheckpointError, ConfigError, EngineError, VariantError
from isinglass.generation.prompts import pad_left
from isinglass.models import presets
from isinglass.models.encoder import Encoder
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import fresh
from isinglass.nn.attention.slots import Slots

from .theirs import make, reload, save

IDS, SEGMENTS = random_ids(2, 14, vocab=256), (torch.arange(14) > 6).long().expand(2, -1)

# our heads, the classes of transformers that have them, and where their answers stand in the class's output
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "BertModel": ("pooler", {}),
    "BertForMaskedLM": ("masked_lm", {}),
    "BertForPreTraining": ("masked_lm next_sentence", {}),
    "BertForNextSentencePrediction": ("next_sentence", {}),
    "BertForSequenceClassification": ("classification", {"num_labels": 5}),
    "BertForQuestionAnswering": ("span", {"hidden_act": "relu", "layer_norm_eps": 1e-6}),
}


def theirs_of(kind: str, model: Any, **inputs: Tensor) -> list[Tensor]:
    with torch.no_grad():
        answers = model(**inputs).to_tuple()
    if kind == "BertForQuestionAnswering":
        return [torch.stack(answers, dim=-1)]
    return list(answers[1:] if kind == "BertModel" else answers)


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_with_transformers(kind: str, tmp_path: Path) -> None:
    names, settings = KINDS[kind]
    theirs = make(kind, **settings)
    folder = save(theirs, tmp_path / "theirs")
    lm = ig.load(folder)
    expected = theirs_of(kind, theirs, input_ids=IDS, token_type_ids=SEGMENTS)
    answers = lm.model(IDS, segments=SEGMENTS)
    assert list(answers) == names.split()
    for ours, other in zip(answers.values(), expected, strict=True):
        torch.testing.assert_close(ours, other, atol=1e-4, rtol=0)
        assert other.std() > 0.1

    back = ig.export(lm, tmp_path / "back")
    original, exported = load_file(folder / "model.safetensors"), load_file(back / "model.safetensors")
    assert original.keys() == exported.keys()
    assert all(torch.equal(original[name], exported[name]) for name in original)
    for ours, other in zip(theirs_of(kind, reload(kind, back), input_ids=IDS, token_type_ids=SEGMENTS), expected, strict=True):
        torch.testing.assert_close(ours, other, atol=1e-6, rtol=0)

    own = ig.load(ig.export(lm, tmp_path / "own", format="isinglass"))
    assert own.config == lm.config
    again = own.model(IDS, segments=SEGMENTS)
    assert all(torch.equal(again[name], answers[name]) for name in answers)


def test_segments_and_padding_count_as_in_transformers(tmp_path: Path) -> None:
    theirs = make("BertForMaskedLM")
    model = ig.load(save(theirs, tmp_path)).model
    valid = torch.arange(14) < torch.tensor([[9], [14]])
    (expected,) = theirs_of("BertForMaskedLM", theirs, input_ids=IDS, token_type_ids=SEGMENTS, attention_mask=valid.long())
    ours = model(IDS, segments=SEGMENTS, slots=Slots(torch.arange(14).expand(2, -1), valid=valid))["masked_lm"]
    torch.testing.assert_close(ours[valid], expected[valid], atol=1e-4, rtol=0)
    assert (model(IDS)["masked_lm"] - model(IDS, segments=SEGMENTS)["masked_lm"]).abs().max() > 0.1


def test_old_files_with_tied_copies_and_position_ids_load(tmp_path: Path) -> None:
    """What versions before 5 wrote: `position_ids`, and the output layer's weight and bias a second time."""
    from safetensors.torch import save_file

    theirs = make("BertForMaskedLM")
    folder = save(theirs, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    copies = {
        "bert.embeddings.position_ids": torch.arange(64)[None],
        "cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"].clone(),
        "cls.predictions.decoder.bias": tensors["cls.predictions.bias"].clone(),
    }
    save_file({**tensors, **copies}, folder / "model.safetensors", metadata={"format": "pt"})
    (expected,) = theirs_of("BertForMaskedLM", theirs, input_ids=IDS)
    torch.testing.assert_close(ig.load(folder).model(IDS)["masked_lm"], expected, atol=1e-4, rtol=0)


# MiniLM, the real one


@pytest.fixture(scope="module")
def minilm() -> Any:
    try:
        return ig.load("minilm")
    except AssetError as absent:
        pytest.skip(str(absent))


TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "The cat sat on the mat; it was very happy, was it not?",
    "Résumé: naïve café, 42 €!",
]


def reference_vectors(ids: list[list[int]]) -> tuple[Tensor, Tensor]:
    """The same weights in transformers' BertModel, its mean over the tokens, brought to length 1; and its pooler."""
    import transformers

    from isinglass.assets.find import find

    config = transformers.BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = transformers.BertModel(config).eval()
    fit = model.load_state_dict(load_file(find("minilm")), strict=False)
    assert fit.missing_keys == []
    longest = max(map(len, ids))
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in ids])
    padded = torch.tensor([row + [0] * (longest - len(row)) for row in ids])
    with torch.no_grad():
        found = model(padded, attention_mask=mask)
    total = (found.last_hidden_state * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    return total / total.norm(dim=-1, keepdim=True), found.pooler_output


def test_minilm_gives_the_sentence_vectors_of_the_reference(minilm: Any) -> None:
    ids = [minilm.encode(text) for text in TEXTS]
    assert ids[0] == [101, 1037, 2158, 2003, 5983, 2833, 1012, 102]
    batch, slots = pad_left(ids, minilm.device)
    answers = minilm.model(batch, slots=slots)
    vectors, pooled = reference_vectors(ids)
    torch.testing.assert_close(answers["pooling"], vectors, atol=1e-5, rtol=0)
    torch.testing.assert_close(answers["pooler"], pooled, atol=1e-5, rtol=0)
    likeness = answers["pooling"] @ answers["pooling"].T
    assert likeness[0, 1] > 0.6 > 0.3 > likeness[0, 2]


def test_minilm_is_exported_and_loads_again(minilm: Any, tmp_path: Path) -> None:
    folder = ig.export(minilm, tmp_path / "out")
    again = ig.load(folder)
    assert again.config == minilm.config
    ids = torch.tensor([minilm.encode(TEXTS[0])])
    assert again.encode(TEXTS[0]) == ids[0].tolist()
    assert torch.equal(again.model(ids)["pooling"], minilm.model(ids)["pooling"])
    with torch.no_grad():
        theirs = reload("BertModel", folder)(ids).last_hidden_state
    torch.testing.assert_close(minilm.model.body(ids), theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("verb", [lambda lm: ig.generate(lm, "Hello"), lambda lm: ig.generate(lm, ["a", "b"], max_tokens=2)])  # fmt: skip
def test_verbs_that_need_a_decoder_say_so(minilm: Any, verb: Any) -> None:
    with pytest.raises(EngineError) as caught:
        verb(minilm)
    text = str(caught.value)
    assert "minilm is an encoder, which does not continue a text" in text
    assert "generate, predict and chat need a decoder such as smollm2" in text
    assert "hint: look inside: ig.trace(lm, text)" in text


def test_an_encoder_without_heads_goes_there_and_back(tmp_path: Path) -> None:
    lm = ig.create("bert(n_layers=1, d_model=32, n_heads=4)")
    randomised(lm.model)
    folder = ig.export(lm, tmp_path)
    again = ig.load(folder)
    assert isinstance(again.model, Encoder)
    assert torch.equal(again.model(IDS), lm.model(IDS))
    import transformers

    theirs = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval()
    with torch.no_grad():
        torch.testing.assert_close(theirs(IDS).last_hidden_state, lm.model(IDS), atol=1e-4, rtol=0)


# What an encoder promises


def small(**settings: Any) -> Any:
    config = presets.family.module("bert").build(
        **{**dict(n_layers=2, d_model=32, n_heads=4, vocab_size=50, context_length=32), **settings}
    )
    return randomised(fresh(config, 0)).requires_grad_(False).eval()


ALL_HEADS = ["masked_lm", "next_sentence", "classification(n_labels=3)", "span", "pooling(kind='max')", "pooler"]


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_padding_and_batch_mates_change_nothing(placement: str) -> None:
    model = small(norm_placement=placement, heads=ALL_HEADS)
    rows = [random_ids(n, seed=n).tolist() for n in (3, 9, 6)]
    batch, slots = pad_left(rows, torch.device("cpu"))
    answers = model(batch, slots=slots)
    for number, row in enumerate(rows):
        alone = model(torch.tensor([row]))
        for name, answer in alone.items():
            given = answers[name][number]
            given = given[-len(row) :] if name in ("masked_lm", "span") else given
            torch.testing.assert_close(given, answer[0], atol=1e-5, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")
    assert answers["span"][0, 0].tolist() == [float("-inf")] * 2, "padding was offered as an answer"


BLOCK = [
    "resid_pre", "attention.q_raw", "attention.k_raw", "attention.q", "attention.k", "attention.v", "attention.scores", "attention.weights",
    "attention.z", "attention.out", "resid_mid", "mlp.pre", "mlp.post", "resid_post",
]  # fmt: skip


@pytest.mark.parametrize("placement", ["pre", "post"])
def test_taps(placement: str) -> None:
    model, ids, tap = small(norm_placement=placement, heads=["span"]), random_ids(2, 9), Watch()
    seen = model(ids, tap=tap)["span"]
    last = ["norm"] if placement == "pre" else []
    assert set(tap.kept) == {"embed", "heads.span", *last, *(f"layers.{n}.{name}" for n in range(2) for name in BLOCK)}
    torch.testing.assert_close(seen, model(ids)["span"], atol=1e-5, rtol=1e-5)
    if placement == "post":
        block, kept = model.body.layers[1], tap.kept
        middle = block.attention_norm(kept["layers.1.resid_pre"] + kept["layers.1.attention.out"])
        torch.testing.assert_close(kept["layers.1.resid_mid"], middle)
        torch.testing.assert_close(kept["layers.1.resid_post"], block.mlp_norm(middle + kept["layers.1.mlp.post"]))
        assert torch.equal(model.body(ids, tap=Watch("layers.0.mlp.pre")), model.body(ids))


def test_without_heads_it_is_an_encoder_whose_tokens_see_both_sides() -> None:
    model = small()
    assert isinstance(model, Encoder)
    ids = random_ids(1, 8)
    changed = ids.clone()
    changed[0, -1] = (changed[0, -1] + 1) % 50
    assert (model(ids) - model(changed)).abs().amax(dim=-1).min() > 1e-4


# The sequence classifier of the class notes


def test_the_sequence_classifier_equals_torchs_own_layers() -> None:
    """Embedding times sqrt(d_model), sinusoids, nn.TransformerEncoderLayer, mean, linear."""
    lm = ig.create("sequence_classifier(n_layers=2, d_model=32, n_heads=4, n_labels=3)")
    model = randomised(lm.model)
    assert isinstance(model, HeadedModel)
    ids = random_ids(2, 11, vocab=256)
    angles = torch.arange(11)[:, None] / 10_000 ** (torch.arange(0, 32, 2) / 32)
    x = nn.functional.embedding(ids, model.body.embed_tokens.weight) * 32**0.5 + torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    for layer in model.body.layers:
        theirs = nn.TransformerEncoderLayer(32, 4, 128, dropout=0.0, batch_first=True).eval()
        attention = [getattr(layer.attention, f"{p}_proj") for p in "qkv"]
        weights = {
            "self_attn.in_proj_weight": torch.cat([p.weight for p in attention]),
            "self_attn.in_proj_bias": torch.cat([p.bias for p in attention]),
            **{f"self_attn.out_proj.{k}": w for k, w in layer.attention.o_proj.state_dict().items()},
            **{f"linear1.{k}": w for k, w in layer.mlp.up_proj.state_dict().items()},
            **{f"linear2.{k}": w for k, w in layer.mlp.down_proj.state_dict().items()},
            **{f"norm1.{k}": w for k, w in layer.attention_norm.state_dict().items()},
            **{f"norm2.{k}": w for k, w in layer.mlp_norm.state_dict().items()},
        }
        theirs.load_state_dict(weights)
        with torch.no_grad():
            x = theirs(x)
    head = model.heads["classification"].out_proj
    torch.testing.assert_close(
        model(ids)["classification"], nn.functional.linear(x.mean(dim=1), head.weight, head.bias), atol=1e-5, rtol=1e-5
    )


def test_the_sequence_classifier_has_the_size_of_the_exercise(tmp_path: Path) -> None:
    lm = ig.create("sequence_classifier(n_layers=2, d_model=32, n_heads=4)")
    with pytest.raises(CheckpointError, match="the family 'sequence_classifier' has no Hugging Face form"):
        ig.export(lm, tmp_path)
    # one layer of d = 256: 4 (d^2 + d) + 2 * 4 d^2 + 4 d + d + 2 * 2 d = 789,760
    config = presets.family.resolve("sequence_classifier")
    from isinglass.models.transformer import on_meta

    assert sum(w.numel() for w in on_meta(config).parameters()) == 10_000 * 256 + 6 * 789_760 + 3 * 256 + 3


# Errors


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("bert(heads=['masked'])", r"unknown head 'masked' in heads[\s\S]*known: classification, masked_lm, next_sentence, pooler, pooling, reward, span, value[\s\S]*did you mean 'masked_lm'"),
        ("bert(heads=['span', 'span'])", r"heads = \['span', 'span'\]: 'span' stands there twice, expected each kind of head once"),
        ("bert(heads=['classification(n_labels=0)'])", r"classification: n_labels = 0, expected at least 1"),
        ("bert(heads=[\"classification(pooling='sum')\"])", r"unknown pooling 'sum'[\s\S]*known: first, last, max, mean"),
        ("bert(norm_placement='middle')", r"norm_placement = 'middle': Input should be 'pre' or 'post'"),
        ("bert(size='tiny')", r"unknown size 'tiny' in bert[\s\S]*known: base, large, minilm-l6"),
        ("bert(embeddings='tied')", r"unknown setting 'embeddings' in bert"),
    ],
)  # fmt: skip
def test_wrong_settings(expression: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        ig.create(expression)


def test_wrong_inputs() -> None:
    with pytest.raises(EngineError, match=r"segment 2 has no embedding[\s\S]*this model knows segments 0 to 1"):
        small()(random_ids(1, 3), segments=torch.tensor([[0, 1, 2]]))
    with pytest.raises(EngineError, match=r"segments were given, but this encoder has no segment embeddings[\s\S]*hint: set n_segments"):
        small(n_segments=None)(random_ids(1, 3), segments=torch.zeros(1, 3, dtype=torch.long))
    with pytest.raises(EngineError, match=r"33 tokens do not fit the model's context of 32[\s\S]*shorten the input to 32 tokens"):
        small()(random_ids(1, 33))


def change(folder: Path, **values: Any) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return folder


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"is_decoder": True}, "is_decoder = True is not supported for BERT, expected False"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key' is not supported for BERT"),
        ({"architectures": ["BertForMultipleChoice"]}, "a 'BertForMultipleChoice' is not known here[\\s\\S]*known: BertForMaskedLM"),
        ({"architectures": ["BertForMaskedLM"]}, "missing: heads.masked_lm.bias \\[256\\]"),
        ({"hidden_act": "swish2"}, "unknown hidden_act 'swish2'"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_named(values: dict[str, Any], fault: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=fault):
        ig.load(change(ig.export(ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['pooler'])"), tmp_path), **values))


@pytest.mark.parametrize(
    ("expression", "lost"),
    [
        ("bert(n_layers=1, d_model=32, n_heads=4, norm_placement='pre')", "norm_placement: 'pre' would become 'post'"),
        ("bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm', 'span'])", "heads: .* would become"),
        ("bert(n_layers=1, d_model=32, n_heads=4, heads=[\"classification(pooling='mean')\"])", "heads: .* would become"),
        ("bert(n_layers=1, d_model=32, n_heads=4, position='sinusoidal')", "attention.position: 'sinusoidal"),
    ],
)
def test_what_hugging_face_cannot_express_is_not_exported(expression: str, lost: str, tmp_path: Path) -> None:
    lm = ig.create(expression)
    with pytest.raises(CheckpointError, match=f"Hugging Face's bert cannot express this model[\\s\\S]*{lost}"):
        ig.export(lm, tmp_path / "out")
    own = ig.load(ig.export(lm, tmp_path / "own", format="isinglass"))
    assert own.config == lm.config


def test_an_unknown_architecture_in_our_form(tmp_path: Path) -> None:
    folder = ig.export(ig.create("bert(n_layers=1, d_model=32, n_heads=4)"), tmp_path, format="isinglass")
    file = folder / "config.toml"
    file.write_text(file.read_text().replace('"encoder"', '"encodr"'))
    with pytest.raises(ConfigError, match=r"unknown architecture 'encodr' in .*config\.toml[\s\S]*did you mean 'encoder'"):
        ig.load(folder)


def test_variant_errors_of_heads_are_variant_errors() -> None:
    with pytest.raises(VariantError, match="masked_lm: activation = 3"):
        ig.create("bert(n_layers=1, d_model=32, n_heads=4, heads=['masked_lm(activation=3)'])")
