"""What the class notes of this week claim or leave out, checked on their own code and on the package's."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

import isinglass as ig
from isinglass.models import presets
from isinglass.models.summary import parameters_by_part
from isinglass.models.transformer import on_meta
from isinglass.nn.attention.kernels.reference import attention_weights
from isinglass.nn.attention.slots import Slots
from isinglass.show.table import Table
from isinglass.studies.claims.claim import Claim, Finding
from isinglass.studies.transformers_notebook.notes import NotesAttention, NotesClassifier, attention, encoding
from isinglass.training.padding import padded


def claims() -> list[Claim]:
    """In the order of the notes."""
    return [
        Claim("n-gram models: 1990s", _ngrams, "isinglass study transformers"),
        Claim("RNNs and LSTMs: 2010s", _lstm, "isinglass study transformers"),
        Claim("attention: 2015", _attention_year, "isinglass study transformers"),
        Claim("hiding a score: scores.masked_fill_(mask == 0, -1e9)", _half, "isinglass explain reference"),
        Claim("a query whose keys are all hidden", _all_hidden, "isinglass explain reference"),
        Claim("SimpleAttention's heat map shows what the model focuses on", _untrained, "isinglass inspect attention smollm2 'The cat'"),
        Claim("MultiHeadAttention(query, key, value) serves cross-attention", _other_length, "isinglass explain presets.t5"),
        Claim("MultiHeadAttention takes the same mask as SimpleAttention", _mask_shape, "isinglass explain full"),
        Claim("PositionalEncoding(d_model) for any d_model", _odd, "isinglass explain sinusoidal"),
        Claim("the classifier takes a mask for padded texts", _padding, "isinglass explain presets.sequence_classifier"),
        Claim("compare_models prints BERT 109,482,240 and GPT-2 124,439,808 parameters", _sizes, "isinglass explain presets.bert"),
        Claim("BPE, SentencePiece and WordPiece are three types", _sentencepiece, "isinglass tokens compare 'unbelievable' --with gpt2,t5"),
        Claim("speculative decoding is another type beside autoregressive", _speculative, "isinglass explain speculative"),
        Claim("max_length = len(prompt.split()) + 5 gives five more words", _max_length, "isinglass tokens 'unbelievable' --with gpt2"),
    ]  # fmt: skip


def _ngrams() -> Finding:
    return Finding("Shannon 1948 predicts English from counted runs of letters; Jelinek 1976 uses trigrams for speech", "false")


def _lstm() -> Finding:
    return Finding("Elman 1990 and Hochreiter and Schmidhuber 1997; the 2010s are when they were used for everything", "partly")


def _attention_year() -> Finding:
    return Finding("Bahdanau, Cho and Bengio: arXiv 1409.0473 of September 2014, the conference in 2015", "partly")


def _half() -> Finding:
    """-1e9 in half precision, and what a filling in place does to what stood there."""
    scores = torch.zeros(2, 2, dtype=torch.float16)
    failed = _failure(lambda: scores.masked_fill_(torch.eye(2) == 0, -1e9))
    kept = torch.tensor([1.0, 2.0])
    kept.masked_fill_(torch.tensor([True, False]), -1e9)
    said = f"in float16: {failed}; " if failed else "float16 takes it; "
    return Finding(f"{said}and it writes into the scores: [1, 2] has become {kept.tolist()}. Ours makes a new tensor with -inf", "partly")


def _all_hidden() -> Finding:
    theirs = torch.full((1, 4), -1e9).softmax(-1)
    ours = attention_weights(torch.full((1, 4), float("-inf")))
    return Finding(f"with -1e9 it reads all of them alike ({theirs[0, 0]:.2f} each); ours reads nothing ({ours[0, 0]:.0f} each)", "false")


def _untrained() -> Finding:
    """How even the weights of an untrained layer on random input are."""
    torch.manual_seed(42)
    layer, x = NotesAttention(64, simple=True), torch.randn(2, 10, 64)
    with torch.no_grad():
        weights = layer(x, x, x)[1]
    entropy = float(-(weights * weights.log()).sum(-1).mean()) / math.log(10)
    return Finding(f"random weights on random input: entropy {entropy:.0%} of an even spread, largest weight {weights.max():.2f}", "false")


def _other_length() -> Finding:
    theirs, query, source = NotesAttention(64, 8), torch.randn(1, 3, 64), torch.randn(1, 5, 64)
    failed = _failure(lambda: theirs(query, source, source))
    ours = attention(64, 8)
    slots, source_slots = Slots(torch.arange(3)[None]), Slots(torch.arange(5)[None])
    shape = tuple(ours(query, layer=0, slots=slots, k_slots=source_slots, memory=ours.remember(source)).shape)
    said = "keys are cut with the length of the query: 3 queries and 5 keys raise an error" if failed else "3 queries read 5 keys"
    return Finding(f"{said}; ours gives {shape}", "false" if failed else "true")


def _mask_shape() -> Finding:
    """A mask [batch, time, time] meets scores [batch, heads, time, time]."""

    def run(batch: int) -> Tensor:
        x, mask = torch.randn(batch, 6, 64, generator=torch.Generator().manual_seed(0)), torch.ones(batch, 6, 6)
        mask[0, :, 3:] = 0  # the first text is shorter
        return NotesAttention(64, 8)(x, x, x, mask)[1].detach()

    failed, weights = _failure(lambda: run(2)), run(8)
    hidden = float(weights[0, 1:, :, 3:].sum() / weights[0, 1:].sum())
    blind = float(weights[1:, 0, :, 3:].amax()) == 0
    text = "2 texts and 8 heads: " + ("an error" if failed else "no error")
    text += f". 8 texts and 8 heads: no error, but it hides by head instead of by text: heads 2 to 8 give {hidden:.0%} of the short text's "
    text += "weight to its padding" + (", and head 1 never sees the end of the other texts" if blind else "")
    return Finding(text, "false" if failed or hidden > 0 else "true")


def _odd() -> Finding:
    failed = _failure(lambda: encoding(4, 5))
    text = "d_model = 5 raises an error: there is one sine more than cosines" if failed else "odd widths work"
    return Finding(text, "false" if failed else "true")


def _padding() -> Finding:
    """The same text with and without padding: the mean of the notes counts the padding."""
    torch.manual_seed(0)
    theirs = NotesClassifier(50, 32, 4, 2, 3).eval()
    text, more = torch.randint(1, 50, (1, 6)), torch.zeros(1, 6, dtype=torch.long)
    mask = torch.cat([torch.ones(1, 6), torch.zeros(1, 6)], dim=1)[:, None, None]
    lm = ig.create("sequence_classifier(n_labels=3, n_layers=2, d_model=32, n_heads=4)")
    (alone, _), (beside, slots) = padded([text[0].tolist()]), padded([text[0].tolist(), [1] * 12])
    with torch.no_grad():
        apart = float((theirs(text).softmax(-1) - theirs(torch.cat([text, more], dim=1), mask).softmax(-1)).abs().max())
        ours = [lm.model(alone)["classification"], lm.model(beside, slots=slots)["classification"][:1]]  # type: ignore[index]
    return Finding(
        f"attention does, the mean over tokens does not: six tokens of padding move a probability by {apart:.3f}; "
        f"ours by {float((ours[0].softmax(-1) - ours[1].softmax(-1)).abs().max()):.0e}",
        "partly" if apart > 1e-4 else "true",
    )


def _sizes() -> Finding:
    found = {name: parameters(expression) for name, expression in (("BERT", "bert(heads=['pooler'])"), ("GPT-2", "gpt2"))}
    true = found == {"BERT": 109_482_240, "GPT-2": 124_439_808}
    return Finding(
        "; ".join(f"{name}: {n:,}" for name, n in found.items()) + ", counted without their weights", "true" if true else "false"
    )


def sizes() -> Table:
    """How language models grew, from their settings alone."""
    gpt_3 = "gpt2(d_model=12288, n_layers=96, n_heads=96, context_length=2048)"
    named = {"2018": "bert(size='large')", "2019": "gpt2(size='1558m')", "2020": gpt_3, "2023": "mixtral(size='8x7b')"}
    rows = [{"year": year, "model": name, "weights": parameters(name)} for year, name in named.items()]
    return Table(
        rows, title="Large models, counted without making them", units={"weights": "count"}, command=f'isinglass model show "{gpt_3}"'
    )


def parameters(expression: str) -> int:
    """How many weights a preset has, without making them."""
    return sum(parameters_by_part(on_meta(presets.family.resolve(expression))).values())


def _sentencepiece() -> Finding:
    text = "SentencePiece is a program that learns BPE or Unigram models from raw text (Kudo and Richardson 2018); T5's is Unigram"
    return Finding(text, "partly")


def _speculative() -> Finding:
    """A strategy that drafts gives the very tokens of one that does not."""
    lm, ways = ig.create("tiny"), ("greedy", "speculative(draft='prompt_lookup')")
    plain, drafted = (list(ig.generate(lm, "abcabc", max_tokens=12, strategy=way).ids) for way in ways)
    alike = "the same" if plain == drafted else "other"
    return Finding(f"it is a way to run an autoregressive model: {alike} 12 tokens", "partly" if plain == drafted else "true")


def _max_length() -> Finding:
    prompt = "Antidisestablishmentarianism characterises counterrevolutionaries"
    n_words, n_tokens = len(prompt.split()), len(ig.tokenizer("gpt2").encode(prompt))
    text = f"it counts words where the limit counts tokens: {n_words} long words are {n_tokens} tokens, the limit {n_words + 5}"
    return Finding(text, "false" if n_tokens != n_words else "true")


def _failure(run: Callable[[], object]) -> str:
    """The name of the error that `run` raises; empty when it does not."""
    try:
        run()
    except (RuntimeError, ValueError) as fault:
        return type(fault).__name__
    return ""
