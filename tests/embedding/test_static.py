"""Word vectors: every hand-written gradient equals autograd, known trees and counts, files that others read, and what is learned."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from isinglass.core.errors import ConfigError, DataError, VariantError
from isinglass.embedding.method import Learned, Progress
from isinglass.embedding.methods import family, glove
from isinglass.embedding.static.corpus import Vocabulary, corpus
from isinglass.embedding.static.hierarchical_softmax import HierarchicalSoftmax, huffman
from isinglass.embedding.static.learning import gradients
from isinglass.embedding.static.negative_sampling import NegativeSampling
from isinglass.embedding.static.subwords import Subwords, ngrams
from isinglass.embedding.static.table import Table
from isinglass.embedding.static.windows import windows
from isinglass.embedding.word_lists import agreement, list_file
from isinglass.embedding.word_report import WordReport
from isinglass.embedding.word_training import train_words, training_words
from isinglass.embedding.word_vectors import WordVectors, load_vectors

TEXTS = ["the cat sat on the mat with the dog", "a dog ran to the cat", "the mat was on a rug", "cat and dog and rug"] * 3
VOCABULARY = Vocabulary(tuple("abcdefg"), (40, 20, 10, 8, 5, 3, 2))
D = 6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def exact():
    """Everything in fp64, so that 1e-9 is the formula and not its rounding."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def goal(kind):
    if kind == "negative_sampling":
        made = NegativeSampling.of(VOCABULARY, D, negatives=5, shared=8)
    else:
        made = HierarchicalSoftmax.of(VOCABULARY, D)
    made.outputs.weights = torch.randn(made.outputs.weights.shape, generator=generator(5), dtype=torch.float64)
    return made


def summed(made, changes):
    """The gradient of the whole table of outputs."""
    total = torch.zeros_like(made.outputs.weights)
    for ids, gradient in changes:
        total.index_add_(0, ids.flatten(), gradient.reshape(-1, D))
    return total


def plain_loss(made, x, told, weights, drawn):
    """The formulas, pair by pair."""
    total = x.new_zeros(())
    y = made.outputs.weights
    for block, i, j in weights.nonzero().tolist():
        weight, vector, word = weights[block, i, j], x[block, i], int(told[block, j])
        if isinstance(made, NegativeSampling):
            low = torch.stack([logsigmoid(-vector @ y[n]) for n in drawn[block]]).mean() * made.negatives
            total = total - weight * (logsigmoid(vector @ y[word]) + low)
        else:
            for node, sign in huffman(VOCABULARY.counts)[word]:
                total = total - weight * logsigmoid(sign * (vector @ y[node]))
    return total


@pytest.mark.parametrize("kind", ["negative_sampling", "hierarchical_softmax"])
def test_gradients_of_an_objective_equal_autograd(exact, kind):
    made = goal(kind)
    x = torch.randn(2, 3, D, generator=generator(1), requires_grad=True)
    told = torch.tensor([[0, 3, 6, 3], [1, 1, 2, 5]])
    weights = (torch.rand(2, 3, 4, generator=generator(2)) > 0.4).double()
    drawn = torch.tensor([[0, 0, 1, 4, 3, 2, 6, 0], [5, 5, 1, 0, 0, 2, 3, 1]])
    made.outputs.weights.requires_grad_()
    expected = plain_loss(made, x, told, weights, drawn)
    expected.backward()
    with torch.no_grad():
        args = (x.detach(), told, weights)
        loss, of_x, changes = made.against(*args, drawn) if kind == "negative_sampling" else made.pairs(*args, generator())
        of_y = summed(made, changes)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-9)
    assert torch.allclose(of_x, x.grad, atol=1e-9) and torch.allclose(of_y, made.outputs.weights.grad, atol=1e-9)


@pytest.mark.parametrize("kind", ["negative_sampling", "hierarchical_softmax"])
def test_one_word_for_each_vector_is_the_diagonal_of_all_pairs(exact, kind):
    made = goal(kind)
    x, told = torch.randn(2, 4, D, generator=generator(1)), torch.tensor([[0, 3, 6, 3], [1, 1, 2, 5]])
    counts = torch.tensor([[1.0, 1, 0, 1], [1, 1, 1, 0]])
    loss, of_x, changes = made.each(x, told, counts, generator())
    expected_loss, expected_x, expected = made.pairs(x, told, torch.diag_embed(counts), generator())
    assert loss == pytest.approx(expected_loss, rel=1e-12) and torch.allclose(of_x, expected_x, atol=1e-12)
    assert torch.allclose(summed(made, changes), summed(made, expected), atol=1e-12)


@pytest.mark.parametrize("architecture", ["skip_gram", "cbow"])
@pytest.mark.parametrize("subwords", [False, True])
def test_gradients_of_inputs_equal_autograd(exact, architecture, subwords):
    """From the table's rows (and FastText's n-grams) to the loss, through whole windows."""
    read = corpus(TEXTS, min_count=1)
    n_words = len(read.vocabulary)
    if subwords:
        inputs = Subwords.of(read.vocabulary.words, D, shortest=3, longest=4, buckets=50, generator=generator(3))
        table = inputs.table
    else:
        inputs = table = Table.drawn(n_words, D, generator(3))
    table.weights = table.weights.double()
    goal = HierarchicalSoftmax.of(read.vocabulary, D)
    goal.outputs.weights = torch.randn(goal.outputs.weights.shape, generator=generator(4), dtype=torch.float64)
    seen = next(windows(read, 3, blocks=4, generator=generator(6)))
    learned = {}
    table.learn = lambda ids, gradient, lr: learned.setdefault("gradient", torch.zeros_like(table.weights)).index_add_(
        0, ids.flatten(), gradient.reshape(-1, D)
    )
    loss, of_inputs, _ = gradients(inputs, goal, architecture, Windows64(seen), generator())
    for ids, gradient in of_inputs:
        inputs.learn(ids, gradient, 1.0)

    rows = table.weights.clone().requires_grad_()
    vectors = (
        rows[:n_words]
        if not subwords
        else torch.stack([rows[own[: int(n)]].mean(0) for own, n in zip(inputs.rows, inputs.parts, strict=True)])
    )
    total = rows.new_zeros(())
    paths = huffman(read.vocabulary.counts)
    for block, i in seen.mask.any(-1).nonzero().tolist():
        near = seen.mask[block, i].nonzero()[:, 0].tolist()
        centre, context = int(seen.centres[block, i]), [int(seen.contexts[block, j]) for j in near]
        told = [(vectors[centre], word) for word in context] if architecture == "skip_gram" else [(vectors[context].mean(0), centre)]
        for vector, word in told:
            total = total - sum(logsigmoid(sign * (vector @ goal.outputs.weights[node])) for node, sign in paths[word])
    total.backward()
    assert loss == pytest.approx(float(total.detach()), rel=1e-6)
    assert torch.allclose(learned["gradient"], rows.grad, atol=1e-6)


class Windows64:
    """Windows whose mask counts in fp64."""

    def __init__(self, seen):
        self.centres, self.contexts, self.mask = seen.centres, seen.contexts, _Mask(seen.mask)


class _Mask:
    def __init__(self, mask):
        self.mask = mask

    def float(self):
        return self.mask.double()

    def sum(self, *args, **kwargs):
        return self.mask.sum(*args, **kwargs)

    def __truediv__(self, other):
        return self.mask.double() / other


def test_gradients_of_glove_equal_autograd(exact):
    words, contexts = Table.drawn(5, D + 1, generator(1)), Table.drawn(5, D + 1, generator(2))
    for table in (words, contexts):
        table.weights = (table.weights.double() * 20).requires_grad_()
    pairs = glove.Counts(torch.tensor([0, 1, 4]), torch.tensor([2, 2, 4]), torch.tensor([0.5, 3.0, 30.0]))
    w, c = words.weights[pairs.first], contexts.weights[pairs.second]
    error = (w[:, :D] * c[:, :D]).sum(1) + w[:, D] + c[:, D] - pairs.counts.log()
    expected = ((pairs.counts / 10).clamp(max=1) ** 0.75 * error**2).sum()
    expected.backward()
    with torch.no_grad():
        loss, of_words, of_contexts = glove.gradients(words, contexts, pairs, 10)
    assert loss == pytest.approx(float(expected.detach()))
    assert torch.allclose(torch.zeros(5, D + 1).index_add_(0, pairs.first, of_words), words.weights.grad)
    assert torch.allclose(torch.zeros(5, D + 1).index_add_(0, pairs.second, of_contexts), contexts.weights.grad)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40))
def test_the_tree_is_one_and_as_short_as_can_be(counts):
    paths = huffman(counts)
    assert sum(2.0 ** -len(path) for path in paths) == pytest.approx(1)  # Kraft: every turn leads to a word
    mean = sum(len(path) * count for path, count in zip(paths, counts, strict=True)) / sum(counts)
    shares = np.array(counts) / sum(counts)
    assert -(shares * np.log2(shares)).sum() - 1e-9 <= mean < -(shares * np.log2(shares)).sum() + 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=30), min_size=1, max_size=6), st.integers(1, 4))
def test_windows_are_the_pairs_of_each_sentence(sentences, window):
    texts = [" ".join(sentence) for sentence in sentences] + ["a b", "c a"]
    read = corpus(texts, min_count=1)
    found = np.zeros((3, 3), int)
    for seen in windows(read, window, blocks=2, generator=generator(), fixed=True):
        block, i, j = seen.mask.nonzero().T
        np.add.at(found, (seen.centres[block, i].numpy(), seen.contexts[block, j].numpy()), 1)
    expected = np.zeros((3, 3), int)
    place = {word: number for number, word in enumerate(read.vocabulary.words)}
    for text in texts:
        ids = [place[word] for word in text.split()]
        for i, centre in enumerate(ids):
            for j in range(max(0, i - window), min(len(ids), i + window + 1)):
                if i != j:
                    expected[centre, ids[j]] += 1
    assert np.array_equal(found[: len(place), : len(place)], expected[: len(place), : len(place)])


def test_a_table_takes_one_step_of_adagrad_for_each_row():
    table = Table(torch.ones(3, 2), torch.zeros(3, 2))
    table.learn(torch.tensor([0, 2, 0]), torch.tensor([[1.0, 2], [3, 4], [1, 2]]), lr=0.5)
    assert torch.allclose(table.weights, torch.tensor([[0.5, 0.5], [1, 1], [0.5, 0.5]]))
    parameter = torch.nn.Parameter(torch.tensor([[1.0, 1.0]]))
    optimizer = torch.optim.Adagrad([parameter], lr=0.1, eps=1e-8)
    ours = Table(torch.ones(1, 2), torch.zeros(1, 2))
    for step in range(3):
        gradient = torch.tensor([[1.0 + step, -2.0]])
        parameter.grad = gradient.clone()
        optimizer.step()
        ours.learn(torch.tensor([0]), gradient, 0.1)
    assert torch.allclose(ours.weights, parameter.detach(), atol=1e-6)


def test_frequent_words_are_left_out_as_often_as_the_formula_says():
    read = corpus(["a " * 90 + "b " * 10] * 100, min_count=1)
    kept = read.subsampled(0.01, generator())
    counts = kept.ids.bincount()
    assert counts[0] == pytest.approx(9000 * (0.01 / 0.9) ** 0.5, rel=0.1) and counts[1] == pytest.approx(
        1000 * (0.01 / 0.1) ** 0.5, rel=0.15
    )
    assert len(read.subsampled(0, generator())) == 10_000


METHODS = ["word2vec(d=16, epochs=8, subsample=0)", "word2vec(architecture='cbow', d=16, epochs=8, subsample=0)",
           "word2vec(objective='hierarchical_softmax', d=16, epochs=8, subsample=0)", "glove(d=16, epochs=20)",
           "fasttext(d=16, epochs=8, subsample=0, buckets=200)"]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_each_method_learns_which_words_stand_alike(method):
    """Two kinds of sentences: the words nearest to each word are those of its kind; equal seeds give equal bytes."""
    draw = np.random.default_rng(0)
    kinds = (["cat", "dog", "horse", "cow"], ["sun", "rain", "snow", "wind"])
    texts = [" ".join(draw.choice(kinds[n % 2], 6)) for n in range(600)]
    events = list(training_words(texts, method, seed=1))
    vectors = events[-1].vectors
    assert isinstance(events[-1], Learned) and isinstance(events[-2], Progress) and events[-2].words == events[-2].total
    assert all(near.word in kind for kind in kinds for word in kind for near in vectors.nearest(word, 3))
    assert np.array_equal(train_words(texts, method, seed=1).vectors, vectors.vectors)
    assert not np.array_equal(train_words(texts, method, seed=2).vectors, vectors.vectors)


def test_an_interrupt_keeps_what_was_learned(monkeypatch):
    from isinglass.embedding.static import learning

    def interrupted(*_, **__):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(learning, "windows", interrupted)
    *_, last = training_words(TEXTS, "word2vec(d=4)", min_count=1)
    assert isinstance(last, Learned) and len(last.vectors.words) > 5


def test_unknown_words_have_vectors_of_their_parts():
    vectors = train_words(TEXTS, "fasttext(d=8, epochs=1, buckets=100)", min_count=1)
    assert "cats" in vectors and "cats" not in vectors.words and vectors.vector("cats").shape == (8,)
    assert ngrams("at", 3, 3) == ["<at", "at>"] and "" not in vectors
    with pytest.raises(ConfigError, match="unknown word 'cats'"):
        train_words(TEXTS, "word2vec(d=4, epochs=1)", min_count=1).vector("cats")


def test_analogies_leave_their_words_out_unless_asked():
    found = WordVectors(tuple("kqmwx"), np.array([[1, 1, 0], [1, -1, 0], [0, 1, 0.1], [0, -1, 0.1], [0, 0, 1]], np.float32))
    assert found.analogy("k - m + w", 1)[0].word == "q" and found.analogy("k - m + w", 2, with_inputs=True)[0].word in "kqw"
    assert [near.word for near in found.nearest("k", 4)][-1] == "x" or found.nearest("k", 4)[0].cosine <= 1
    with pytest.raises(ConfigError, match="is no sum of words"):
        found.analogy("king", 1)


def test_files_are_read_again_and_by_gensim(tmp_path):
    vectors = train_words(TEXTS, "fasttext(d=8, epochs=1, buckets=100)", min_count=1)
    again = load_vectors(vectors.save(tmp_path / "w.safetensors"))
    assert (
        again.words == vectors.words
        and np.array_equal(again.vectors, vectors.vectors)
        and np.allclose(again.vector("cats"), vectors.vector("cats"))
    )
    text = vectors.save(tmp_path / "w.txt")
    assert np.allclose(load_vectors(text).vectors, vectors.vectors, atol=1e-5)
    read = "from gensim.models import KeyedVectors as K; import sys; k = K.load_word2vec_format(sys.argv[1]); print(len(k), k.most_similar('cat', topn=1)[0][0])"
    said = subprocess.run([sys.executable, "-c", read, str(text)], capture_output=True, text=True, timeout=120, check=True).stdout.split()
    assert said == [str(len(vectors.words)), vectors.nearest("cat", 1)[0].word]


@pytest.mark.parametrize(
    ("content", "told"),
    [("cat 1 2\ndog 1\n", ":2: 1 numbers, expected 2"), ("cat 1 x\n", ":1: expected a word and numbers"), ("2 3\n", "no vectors in it")],
)
def test_a_broken_file_is_told_with_its_line(tmp_path, content, told):
    file = tmp_path / "w.txt"
    file.write_text(content)
    with pytest.raises(DataError) as fault:
        load_vectors(file)
    assert told in str(fault.value)


def test_lists_say_how_much_they_cover(tmp_path):
    vectors = WordVectors(("cat", "dog", "sun", "rain"), np.array([[1, 0], [0.9, 0.1], [0, 1], [0.3, 0.9]], np.float32))
    judged = tmp_path / "judged.txt"
    judged.write_text("cat dog 9\nsun rain 7\ncat sun 1\ncat tiger 8\n")
    assert (found := agreement(vectors, "wordsim353", judged)).value == pytest.approx(1) and (found.covered, found.total) == (3, 4)
    assert agreement(vectors, "wordsim353").total == 353 and agreement(vectors, "simlex999").total == 999
    assert agreement(vectors, "analogies").total == 19_544 and list_file("analogies").is_file()
    judged.write_text("cat dog nine\ncat dog ten\n")
    with pytest.raises(DataError, match=r"judged.txt:2: expected two words and a number"):
        agreement(vectors, "simlex999", judged)
    report = WordReport(vectors, ("cat",), ("cat - dog + sun",), (("cat", "dog"),), ("wordsim353",), n=1)
    assert "Beside people" in str(report) and report.data["nearest"]["cat"][0]["near"] == "dog"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: train_words(["one"], min_count=1), DataError, "1 words occur at least 1 times"),
        (lambda: train_words(TEXTS, "bert"), VariantError, "unknown method 'bert'"),
        (lambda: family.resolve("word2vec(d=0)"), ConfigError, "d = 0, expected at least 1"),
        (lambda: family.resolve("word2vec(lr=-1.0)"), ConfigError, "lr = -1.0"),
        (lambda: family.resolve("glove(x_max=0.0)"), ConfigError, "x_max = 0.0"),
        (lambda: family.resolve("word2vec(architecture='glove')"), VariantError, "architecture"),
        (lambda: load_vectors("none.txt"), DataError, "no file 'none.txt'"),
    ],
)
def test_what_cannot_be_is_told(make, error, message):
    with pytest.raises(error) as fault:
        make()
    assert message in str(fault.value)
