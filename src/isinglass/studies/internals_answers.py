"""What the study `internals` answers of architecture, tokens and probabilities (sections 1 to 3): two paragraphs for each question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from isinglass.core.units import count
from isinglass.inspection.normalizations import Normalized
from isinglass.inspection.vocabulary_width import Embeddings
from isinglass.models.config import ModelConfig

Row = Mapping[str, Any]


def components(config: ModelConfig, n_parameters: int, embeddings: Embeddings) -> list[str]:
    """Section 1, first question."""
    heads = config.attention.n_heads
    return [
        f"The model turns ids into vectors of {config.d_model} numbers (an embedding of {config.vocab_size:,} rows), passes them through "
        f"{config.n_layers} equal blocks, normalises once more, and multiplies with the embedding again for one score per token. Of its "
        f"{count(n_parameters)} weights {embeddings.share:.0%} are that embedding; the blocks hold the rest.",
        f"A block has two halves, each added to the stream that runs through all of them. Attention: {heads} heads of "
        f"{config.d_model // heads} "
        f"numbers, which share {config.n_kv_heads} pairs of keys and values, so that a query of {config.d_model} numbers meets keys of "
        f"{config.n_kv_heads * config.d_model // heads}. Feed-forward: a gated layer {config.d_ff:,} wide, "
        f"{config.d_ff / config.d_model:.2f} times the "
        "stream, which works on each token alone. Before each half stands an RMSNorm. Order enters through rotary positions inside of "
        "attention; there "
        "are no biases and no dropout.",
    ]


def vocabulary(config: ModelConfig, embeddings: Embeddings) -> list[str]:
    """Section 1, second question."""
    ratio = config.vocab_size / config.d_model
    return [
        f"The vocabulary has {config.vocab_size:,} tokens, the hidden dimension is {config.d_model}: {ratio:.0f} tokens for every "
        f"dimension. So tokens "
        "cannot each have a direction of their own; what they share and how they differ must be packed into far fewer numbers, and tokens "
        "that are used "
        "alike come to lie alike. The output layer has the same limit: scores of all tokens come out of "
        f"{config.d_model} numbers, so not every distribution over the vocabulary can be expressed.",
        f"The product of the two is a cost: {count(embeddings.parameters)} weights, {embeddings.share:.0%} of this small model. At the "
        f"width of 4,096 of an "
        f"8-billion model the same vocabulary would be {embeddings.share_at(config.vocab_size, 4096):.0%}. That is why small models tie "
        f"input and output "
        "embedding, as this one does, and why large models can afford vocabularies of 100,000 tokens and more, with which texts become "
        "shorter.",
    ]


def normalization(rows: Sequence[Row]) -> list[str]:
    """Section 1, third question."""
    changed = {row["situation"]: row for row in rows}
    more, pads = changed["one more text"], changed["32 columns of padding"]
    return [
        "Batch normalisation takes mean and variance of a feature over the batch; layer normalisation takes them over the features of one "
        "token. In the "
        f"experiment one token's vector was normalised in different company. With another text beside it batch normalisation changed the "
        f"result by "
        f"{more['BatchNorm']:.2f}, with 32 columns of padding by {pads['BatchNorm']:.2f}; layer normalisation by {more['LayerNorm']:.0e} "
        f"and "
        f"{pads['LayerNorm']:.0e}, RMSNorm by {more['RMSNorm']:.0e}. An answer must not depend on who else is asking.",
        f"For a batch of one token batch normalisation has no variance at all ({changed['a batch of this one token']['BatchNorm']}), and "
        f"that is how text is "
        "written: one token at a time. Keeping running means from training instead gives other numbers than in training (here "
        f"{changed['after training (eval)']['BatchNorm']:.2f} off), and lengths differ from text to text, so statistics per place rest on "
        f"few examples. "
        "Layer normalisation has none of these problems and needs no communication between machines; RMSNorm leaves out the mean and is "
        "cheaper still.",
    ]


def unusual(rows: Sequence[Row], compared: Sequence[Row]) -> list[str]:
    """Section 2, first question."""
    by = {row["sample"]: row for row in rows}
    per_token = {name: row["characters"] / row["tokens"] for name, row in by.items()}
    own = compared[0]
    return [
        f"Nothing is out of vocabulary: byte-level BPE falls back to smaller pieces, at last to single bytes, so {own['unknown']} tokens "
        f"are unknown and "
        f"{own['texts that come back']} of {len(rows)} texts come back exactly. The price is length. Plain English has "
        f"{per_token['English']:.1f} characters a "
        f"token, invented words {per_token['unknown words']:.1f}, Chinese {per_token['Chinese']:.1f}: {by['Chinese']['tokens']} tokens for "
        f"{by['Chinese']['characters']} characters, many of them parts of a character that mean nothing alone.",
        f"Numbers are cut into digits here ({by['numbers']['tokens']} tokens for {by['numbers']['characters']} characters: "
        f"`{by['numbers']['decoded'][:60]}...`), so each digit is a token and equal numbers look equal; the model must still learn place "
        f"value from order. "
        f"Punctuation in common runs is one token, rare combinations fall apart ({per_token['punctuation']:.1f} characters a token). So "
        f"the length of a "
        "text in tokens depends on how like the tokenizer's training texts it is.",
    ]


def upper_and_lower(forms: Mapping[str, Sequence[int]], near: Mapping[str, float]) -> list[str]:
    """Section 2, second question."""
    different = len({tuple(ids) for ids in forms.values()})
    return [
        f"The hypothesis holds: the {len(forms)} forms tried give {different} different cuts. `The` is {list(forms['The'])}, `the` "
        f"{list(forms['the'])}, "
        f"` The` {list(forms[' The'])}, ` the` {list(forms[' the'])}. To a byte-level tokenizer a capital letter is another byte and the "
        f"space before a "
        "word belongs to it, so the four are four strings, each frequent enough in the training text to have won a merge of its own.",
        f"The model has to learn that they mean the same. It partly has: the cosine of the embeddings of `The` and ` The` is "
        f"{near[' The']:.2f}, of `The` "
        f"and `the` {near['the']:.2f}, of `The` and ` the` {near[' the']:.2f}. The difference is not only a nuisance: a capital tells "
        f"where a sentence "
        "begins, and the model needs to know that. BERT's uncased vocabulary throws it away before it begins.",
    ]


def contexts(cuts: Mapping[str, Sequence[int]], decode: Callable[[list[int]], str]) -> list[str]:
    """Section 2, third question."""
    plain, spaced = cuts["light"], cuts[" light"]
    inside = " | ".join(decode([id]) for id in cuts["twilight"])
    house = " | ".join(decode([id]) for id in cuts[" lighthouse"])
    holding = sum(plain[0] in ids or spaced[0] in ids for ids in cuts.values())
    return [
        f"The cut depends on what touches the word, not on what it means. `light` is {list(plain)} at the beginning and {list(spaced)} "
        f"after a space; ` "
        f"lighthouse` is cut as `{house}`, `twilight` as `{inside}`. Of {len(cuts)} texts that hold the letters, {holding} hold one of the "
        f"two tokens of "
        "the word. Merges are applied by rank, so a neighbouring letter can draw a piece away from the word.",
        f"The meaning, on the other hand, changes nothing: the word gets the same {len(spaced)} token{'' if len(spaced) == 1 else 's'} in "
        f"*a light meal* and in "
        "*a bright light*. That the two differ is found only in the layers above, from the words around. This is why tokens are looked up "
        "in a table, but words "
        "are understood in context.",
    ]


def other_tokenizers(compared: Sequence[Row]) -> list[str]:
    """Section 2, the comparison."""
    by_count = sorted(compared[:-1], key=lambda row: row["tokens"])
    words, losing = compared[-1], [row for row in compared if row["unknown"]]
    return [
        f"On the same texts {by_count[0]['tokenizer']} needs {by_count[0]['tokens']} tokens and {by_count[-1]['tokenizer']} "
        f"{by_count[-1]['tokens']}. A small "
        "count is no virtue by itself: "
        + "; ".join(f"{row['tokenizer']} has {row['unknown']} unknown tokens" for row in losing)
        + ". What is unknown is lost, and the text does not come back.",
        f"The vocabulary of whole words, learned from 2,000 verses ({words['vocabulary']:,} entries), shows why subwords are used: "
        f"{words['unknown']} of its "
        f"{words['tokens']} tokens are unknown here, and {words['texts that come back']} of the texts come back. Subwords keep common "
        f"words whole and spell "
        "the others, with a vocabulary of fixed size; bytes as the last resort make that complete.",
    ]


def softmax(ways: Normalized, logits: Tensor) -> list[str]:
    """Section 3, first question."""
    support = {name: ways.support(name) for name in ("softmax", "sparsemax", "l1", "argmax")}
    entropy = {name: ways.entropy(name) for name in ("softmax", "sparsemax", "l1")}
    negative = float((logits < 0).float().mean())
    return [
        "Softmax makes any real scores positive and sums them to 1, keeps their order, depends only on differences, and has a gradient "
        "everywhere that "
        "is simple: probability minus truth. Together with the logarithm in the loss it makes logits log-probabilities up to a constant. "
        "Here "
        f"{negative:.0%} of the logits are negative, so dividing by the sum is no way; of those above zero (l1) it leaves "
        f"{support['l1']:,} tokens with an "
        f"entropy of {entropy['l1']:.2f} nats, nearly no preference at all, where softmax has {entropy['softmax']:.2f}.",
        f"Sparsemax gives exact zeros: {support['sparsemax']} tokens stay, with an entropy of {entropy['sparsemax']:.2f} nats. That looks "
        f"tidy, but a token with "
        "probability zero gets no gradient, and if it was the true one the loss is infinite; language always has rare continuations. "
        "Argmax keeps one "
        "and cannot be trained at all. Softmax pays with a long tail: every one of its "
        f"{support['softmax']:,} tokens keeps some mass, which is why sampling cuts the tail off (top-k, top-p).",
    ]


def temperature(rows: Sequence[Row], top10: Sequence[tuple[str, float]]) -> list[str]:
    """Section 3, second question."""
    cold, plain, hot = rows
    best = ", ".join(f"`{text}` {p:.3f}" for text, p in top10[:5])
    return [
        f"After the prompt the ten likeliest tokens hold {sum(p for _, p in top10):.2f} of the probability: {best} and so on. Temperature "
        f"divides the "
        f"logits before softmax. At 0.1 the first token has {cold['top']:.4f}, at 1 {plain['top']:.4f}, at 2 {hot['top']:.4f}; the entropy "
        f"goes from "
        f"{cold['entropy']:.2f} over {plain['entropy']:.2f} to {hot['entropy']:.2f} nats.",
        f"The number of tokens that hold nine tenths of the mass shows what that means for sampling: {cold['tokens_for_90_percent']:,}, "
        f"{plain['tokens_for_90_percent']:,} and {hot['tokens_for_90_percent']:,}. The order of tokens never changes; at low temperature "
        f"the model becomes "
        "greedy, at high temperature unlikely tokens are drawn that it does not believe in. One temperature moves all prompts, though: a "
        "prompt "
        "with one right answer and one with many need different ones.",
    ]


def confidence(text: Row, known: Row) -> list[str]:
    """Section 3, third question."""
    kind = "well calibrated" if text["ECE, equal width"] < 0.06 else "badly calibrated"
    over = "too sure" if text["mean confidence"] > text["accuracy"] else "not too sure"
    return [
        f"On {text['answers']} tokens of a text the likeliest token is right in {text['accuracy']:.1%} of the cases, and its probability "
        f"is "
        f"{text['mean confidence']:.1%} on average. Sorted into ten bins, confidence and accuracy differ by {text['ECE, equal width']:.3f} "
        f"on average (ECE): the "
        f"model is {kind} for text, and {over}. Training by cross-entropy asks for true probabilities, since the loss is least with them; "
        f"fine-tuning "
        "for chat moves them.",
        f"Confidence also ranks: drawn at random, a right prediction has a higher probability than a wrong one in {text['AUROC']:.0%} of "
        f"the cases. On "
        f"{known['answers']} questions with known answers accuracy is {known['accuracy']:.1%} at a mean confidence of "
        f"{known['mean confidence']:.1%}, the AUROC "
        f"{known['AUROC']:.0%}. So probability is a useful warning and no proof: it says how text usually goes on, and a common mistake is "
        f"likely text.",
    ]
