"""Vectors of texts: equal to transformers', whatever stands beside them in the batch; and what the views say of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from sklearn.metrics import silhouette_score
from transformers import BertConfig, BertModel

import isinglass as ig
from isinglass.assets.find import find
from isinglass.core.errors import ConfigError, EngineError, ShapeError
from isinglass.embedding.classifier import classified
from isinglass.embedding.collections import Labelled, senses, topics
from isinglass.embedding.contextual import default_pooling, embed
from isinglass.embedding.embeddings import Embeddings
from isinglass.embedding.projection import perplexity
from isinglass.embedding.senses import senses_of

TEXTS = [
    "A cat sleeps.",
    "The bank approved the loan after a long wait, and everybody was glad.",
    "Snow!",
    "Zwölf Boxkämpfer jagen Viktor.",
]


@pytest.fixture(scope="module")
def minilm():
    return ig.load("minilm")


@pytest.fixture(scope="module")
def tiny():
    return ig.create("tiny", seed=1)


@pytest.fixture(scope="module")
def of_topics(minilm):
    return embed(minilm, topics().texts)


def reference(lm, texts):
    """Mean over the real tokens and length 1, by transformers on the same weights, one text at a time."""
    config = BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    model = BertModel(config).eval()
    weights = {name.removeprefix("bert."): value for name, value in load_file(find("minilm")).items()}
    model.load_state_dict(weights, strict=False)
    found = []
    for text in texts:
        with torch.no_grad():
            mean = model(torch.tensor([lm.tokenizer.encode(text, add_special=True)])).last_hidden_state[0].mean(dim=0)
        found.append(torch.nn.functional.normalize(mean, dim=0).numpy())
    return np.stack(found)


def test_minilm_equals_the_reference(minilm):
    assert default_pooling(minilm) == "mean"
    assert np.abs(embed(minilm, TEXTS).vectors - reference(minilm, TEXTS)).max() < 1e-5


@settings(max_examples=15, deadline=None)
@given(st.permutations(TEXTS), st.integers(1, 4), st.sampled_from(["cls", "mean", "max", "last"]))
def test_batch_mates_and_padding_change_nothing(tiny, texts, batch_size, pooling):
    together = embed(tiny, texts, pooling=pooling, layer=1, batch_size=batch_size)
    alone = np.concatenate([embed(tiny, [text], pooling=pooling, layer=1).vectors for text in texts])
    assert np.abs(together.vectors - alone).max() < 1e-5
    assert np.allclose(np.linalg.norm(together.vectors, axis=1), 1, atol=1e-5)


def test_layers_and_poolings_are_those_of_a_trace(tiny):
    text = "pooled"
    trace = ig.trace(tiny, text)
    for layer, name in ((0, "embed"), (1, "layers.0.resid_post"), (None, "norm")):
        states = trace[name][0].numpy()
        for pooling, expected in (("cls", states[0]), ("last", states[-1]), ("mean", states.mean(0)), ("max", states.max(0))):
            found = embed(tiny, [text], pooling=pooling, layer=layer).vectors[0]
            assert np.allclose(found, expected / np.linalg.norm(expected), atol=1e-5)


def test_an_encoder_decoder_reads_with_its_encoder(minilm):
    t5 = ig.create("t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=64)", tokenizer=minilm.tokenizer)
    assert embed(t5, ["one", "two texts"]).vectors.shape == embed(t5, ["one", "two texts"], layer=0).vectors.shape == (2, 32)
    states = ig.trace(t5, "two texts")["encoder.layers.0.resid_post"][0].mean(0).numpy()
    assert np.allclose(embed(t5, ["one", "two texts"], layer=1).vectors[1], states / np.linalg.norm(states), atol=1e-5)


def test_the_topics_come_apart(of_topics):
    labels = topics().labels
    found = of_topics.clusters(4, labels=labels)
    assert found.purity >= 0.95 and found.label_silhouette == pytest.approx(silhouette_score(of_topics.vectors, labels), abs=1e-6)
    rows = classified(of_topics, labels).accuracies
    assert rows["vectors"] >= 0.9 > rows["TF-IDF"] > rows["majority"] - 0.01 and rows["majority"] == 0.25


def test_maps_say_what_they_hold(of_topics):
    pca, tsne = of_topics.map("pca", labels=topics().labels), of_topics.map("tsne", labels=topics().labels)
    assert pca.points.shape == tsne.points.shape == (20, 2) and pca.separation > 0 and tsne.separation > 0
    centred = of_topics.vectors - of_topics.vectors.mean(0)
    shares = np.linalg.svd(centred.astype(float), compute_uv=False) ** 2
    assert pca.notes[0].startswith(f"the plane holds {shares[:2].sum() / shares.sum():.0%}")
    assert "perplexity 6.3" in tsne.notes[0] and np.array_equal(tsne.points, of_topics.map("tsne").points)
    assert "silhouette of the labels in this plane" in str(pca)


@pytest.mark.parametrize("n_texts", [3, 4, 20, 91, 5000])
def test_perplexity_fits_the_sample(n_texts):
    assert 0.5 < perplexity(n_texts) < n_texts and perplexity(n_texts) <= 30


def test_pairs_and_nearest(of_topics, minilm):
    found = of_topics.pairs(3)
    upper = of_topics.cosines[np.triu_indices(20, 1)]
    assert found.most[0].cosine == pytest.approx(upper.max()) and found.least[0].cosine == pytest.approx(upper.min())
    assert [pair.cosine for pair in found.most] == sorted((pair.cosine for pair in found.most), reverse=True)
    near = of_topics.nearest(embed(minilm, ["It is going to snow", topics().texts[0]]), 2)
    assert topics().labels[near.places[0, 0]] == "weather" and topics().texts[0] not in [row["item"] for row in near.table.rows[2:]]
    cells = of_topics.similarity().figure.data.rows
    assert len(cells) == 400 and cells[1]["cosine"] == pytest.approx(float(of_topics.cosines[0, 1]))


def test_bank_comes_apart_layer_by_layer(minilm):
    found = senses_of(minilm, "bank", senses("bank"))
    rows = found.table.rows
    assert rows[0]["within"] == rows[0]["across"] == pytest.approx(1, abs=1e-6)
    assert all(row["apart"] > 0.03 for row in rows[1:]) and rows[-1]["right"] == 1
    trace = ig.trace(minilm, senses("bank").texts[0])
    place = trace.tokens[0].index("bank")
    own = trace["layers.2.resid_post"][0, place].numpy()
    assert np.allclose(found.vectors[3, 0], own / np.linalg.norm(own), atol=1e-5)


def test_apple_in_a_decoder(tiny):
    found = senses_of(tiny, "Apple", senses("apple"))
    assert found.vectors.shape[:2] == (len(ig.trace(tiny, "x").lm.decoder.layers) + 1, 8)


def test_static_vectors_are_averaged():
    class Static(dict):
        def vector(self, word):
            return np.array(self[word], float)

    static = Static(cat=[1, 0], sleeps=[0, 1])
    found = embed(static, ["Cat sleeps!", "the cat"])
    assert np.allclose(found.vectors, [[0.5**0.5, 0.5**0.5], [1, 0]])
    with pytest.raises(ConfigError, match="no word of 'dog' has a vector"):
        embed(static, ["dog"])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda lm: embed(lm, []), ConfigError, "no texts to embed"),
        (lambda lm: embed(lm, "text"), ConfigError, "texts is one text"),
        (lambda lm: embed(lm, ["a"], pooling="sum"), ConfigError, "unknown pooling 'sum'"),
        (lambda lm: embed(lm, ["a"], layer=9), ConfigError, "layer = 9, expected 0 (the embedding) to"),
        (lambda lm: embed(lm, ["a " * 5000]), ConfigError, "text 1 has"),
        (lambda lm: embed(lm, ["", "a"], pooling="last"), ConfigError, "text 1 is empty"),
        (lambda lm: embed(lm, ["a", "b"]).map("umap"), ConfigError, "2 texts make no map"),
        (lambda lm: embed(lm, ["a", "b", "c"]).map("umap"), ConfigError, "unknown map 'umap'"),
        (lambda lm: embed(lm, ["a", "b"]).clusters(3), ConfigError, "k = 3"),
        (lambda lm: embed(lm, ["a", "b"]).clusters(2, labels=["x"]), ConfigError, "1 labels for 2 texts"),
        (lambda lm: embed(lm, ["a"]).pairs(), ConfigError, "one text has no pair"),
        (lambda lm: embed(lm, ["a", "b"]).nearest(embed(lm, ["a"]), 2), ConfigError, "n = 2"),
        (lambda lm: classified(embed(lm, ["a", "b"]), ["x", "y"]), ConfigError, "5 folds need two labels"),
        (lambda lm: senses("spring"), ConfigError, "unknown word 'spring'"),
        (lambda lm: senses_of(lm, "zoo", Labelled(("no such word",), ("a",))), ConfigError, "'zoo' does not stand in"),
        (lambda lm: Embeddings(("a",), np.zeros((2, 3), np.float32)), ShapeError, "expected one row for each of 1 texts"),
    ],
)
def test_what_cannot_be_is_told(tiny, make, error, message):
    with pytest.raises(error) as fault:
        make(tiny)
    assert message in str(fault.value)


def test_a_model_of_documents_has_no_vector_of_a_text():
    with pytest.raises(EngineError, match="reads sentences of a document"):
        embed(ig.create("hierarchical(vocab_size=257)"), ["a"])


def test_senses_of_ones_own(tmp_path):
    file = tmp_path / "senses.toml"
    file.write_text(
        '[season]\nsentences = ["In spring it rains.", "The spring was dry."]\n[coil]\nsentences = ["The spring broke.", "Bend the spring."]\n'
    )
    assert senses("spring", file).labels == ("season", "season", "coil", "coil")
    file.write_text(
        '[season]\nsentences = ["In spring it rains.", "Summer is dry."]\n[coil]\nsentences = ["The spring broke.", "A spring."]\n'
    )
    with pytest.raises(ConfigError, match=r"'spring' does not stand in 'Summer is dry\.'"):
        senses("spring", file)
    file.write_text('[season]\nsentences = "In spring"\n')
    with pytest.raises(ConfigError, match="'season' has no list of sentences"):
        senses("spring", file)
