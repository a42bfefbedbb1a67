"""What the study `internals` answers of writing, behaviour and the inside (sections 4 and 5, and the extensions): two paragraphs for each "
"question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isinglass.core.units import size
from isinglass.evaluation.cache_study import Measured
from isinglass.models.config import ModelConfig
from isinglass.models.summary import kv_bytes_per_token
from isinglass.studies.internals_answers import Row


def caching(results: Sequence[Measured], config: ModelConfig) -> list[str]:
    """Section 4, first question."""
    short, long = results[0], results[-1]
    gain = [one.uncached.seconds / one.cached.seconds for one in (short, long)]
    return [
        f"One more token after {long.length} takes {long.cached.seconds * 1000:.0f} ms with the cache and "
        f"{long.uncached.seconds * 1000:.0f} ms without, "
        f"{gain[1]:.0f} times as long; after {short.length} tokens {gain[0]:.0f} times. The answer is the same token in both cases. "
        f"Without a cache the whole "
        f"text goes through the model again for each token: {long.uncached.flops / 1e9:.1f} billion operations here, against "
        f"{long.cached.flops / 1e9:.2f}.",
        f"What is cached are the keys and values of every earlier token in each of {config.n_layers} layers. They can be kept because of "
        f"the causal mask: a "
        "token's key and value depend on what came before alone, so nothing that is written later changes them. Queries need not be kept, "
        "since each "
        "is used once. In an encoder that looks both ways this would be wrong: there every new token changes all others.",
    ]


def complexity(results: Sequence[Measured], config: ModelConfig) -> list[str]:
    """Section 4, second question."""
    short, long = results[0], results[-1]
    ratio, flops = long.length / short.length, long.uncached.flops / short.uncached.flops
    equal = 3 * config.d_model
    return [
        f"Attention compares every token with every other: N squared scores of d numbers each. Everything else in the model is linear in "
        f"N. From {short.length} "
        f"to {long.length} tokens, {ratio:.0f} times the length, a whole pass takes {flops:.1f} times the operations, and "
        f"{long.uncached.seconds / short.uncached.seconds:.1f} times the time: at these lengths the linear part still rules, and the "
        f"square shows only as what "
        f"exceeds {ratio:.0f}.",
        f"With the cache a new token compares itself with N keys: linear. From {short.length} to {long.length} tokens its operations grow "
        f"by a factor of "
        f"{long.cached.flops / short.cached.flops:.2f}, since most of them are the weights, which do not depend on N. The square catches "
        f"up when N is some "
        f"multiple of the width {config.d_model} (beyond about {equal:,} tokens); then memory for N squared scores would hurt first, which "
        f"kernels like "
        "FlashAttention avoid without changing the number of operations.",
    ]


def memory(results: Sequence[Measured], config: ModelConfig) -> list[str]:
    """Section 4, third question."""
    long, per_token = results[-1], kv_bytes_per_token(config, 4)
    return [
        f"The cache takes {size(per_token)} for each token here: keys and values of {config.n_kv_heads} heads in {config.n_layers} layers, "
        f"four bytes a number; "
        f"{size(long.cache_bytes)} at {long.length} tokens, exactly as predicted, {size(per_token * config.context_length)} at the full "
        f"context of "
        f"{config.context_length:,}. Recomputation takes no such memory and {long.uncached.flops / long.cached.flops:.0f} times the "
        f"operations at this length.",
        f"On a server the cache is what limits how many texts can be written at once, because every user has one. Ways between the "
        f"extremes trade in "
        f"small steps: fewer key-value heads (this model keeps {config.n_kv_heads} for {config.attention.n_heads} queries, a factor of "
        f"{config.attention.n_heads / config.n_kv_heads:.0f}), fewer bits, a window, pages without gaps. Recomputing wins only where "
        f"memory is gone "
        "or a text is looked at once, and in training, where keeping activations for the gradient is the same question.",
    ]


def sampling(rows: Sequence[Row]) -> list[str]:
    """Section 4, sampling methods."""
    by = {row["strategy"]: row for row in rows}
    greedy, top_k, top_p = by["greedy"], by["sample(top_k=40)"], by["sample(top_p=0.9)"]
    more = "top-p" if (top_p["self_bleu"] or 0) < (top_k["self_bleu"] or 0) else "top-k"
    return [
        f"Greedy decoding gives the same text each time (self-BLEU {greedy['self_bleu']:.2f}), with the lowest perplexity under the model "
        f"itself, "
        f"{greedy['perplexity']:.1f}, and a repetition of {greedy['repetition']:.2f}. The samples differ from one another: self-BLEU is "
        f"{top_k['self_bleu']:.2f} with top-k and {top_p['self_bleu']:.2f} with top-p, at perplexities of {top_k['perplexity']:.1f} and "
        f"{top_p['perplexity']:.1f}.",
        f"Diversity was larger with {more} here. The two cut the tail in different ways: top-k always keeps 40 tokens, too many where one "
        f"is right and "
        "perhaps too few in a story; top-p keeps as many as hold 90 % of the mass, few where the model is sure and hundreds where it is "
        "not. A low "
        "perplexity is not quality: text of people is less likely than greedy text. Three samples of one prompt show the direction, not "
        "the size of the "
        "effect.",
    ]


def uncertainty(kinds: Mapping[str, Row]) -> list[str]:
    """Section 5, trick questions."""
    fact, vague, trick = kinds["fact"], kinds["ambiguous"], kinds["trick"]
    knows = vague["median entropy"] > fact["median entropy"]
    return [
        f"Beginnings of sentences with several good continuations have a median entropy of {vague['median entropy']:.2f} nats, facts "
        f"{fact['median entropy']:.2f}: "
        + (
            "the model spreads its probability where the answer is open."
            if knows
            else "the model is not less sure where the answer is open."
        )
        + f" The mean probability of the first choice is {vague['mean confidence']:.2f} against {fact['mean confidence']:.2f}. So it has a "
        "measure of "
        "uncertainty about the next word, though it cannot say so unless asked in words.",
        f"Trick questions suppose what is not so. There the entropy is {trick['median entropy']:.2f} nats and the first choice has "
        f"{trick['mean confidence']:.2f}: "
        + (
            "surer than for open beginnings. The model goes along with the premise and completes the sentence, because text that begins so "
            "usually goes on so."
            if trick["median entropy"] < vague["median entropy"]
            else "no surer than for open beginnings."
        )
        + " Nothing in the objective rewards stopping to object; that has to be trained afterwards, with examples of refusing.",
    ]


def artefacts(rows: Sequence[Row]) -> list[str]:
    """Section 5, tokenization."""
    by = {row["cut"]: row for row in rows}
    usual, letters, upper, spaces = (by[name] for name in ("usual", "characters", "upper case", "two spaces"))
    return [
        f"The same sentence was given to the model in other cuts. As it is usually cut it costs {usual['bits per byte']:.2f} bits per "
        f"byte; letter by letter, "
        f"{letters['tokens']} tokens in place of {usual['tokens']}, {letters['bits per byte']:.2f}. It is the same text, yet the model has "
        f"hardly ever "
        f"seen it so, and its expectation of what follows moves by {letters['KL']:.2f} nats (KL).",
        f"Changes a reader would barely notice act alike: upper case takes {upper['tokens']} tokens and {upper['bits per byte']:.2f} bits "
        f"per byte, doubled spaces "
        f"{spaces['tokens']} and {spaces['bits per byte']:.2f}. The same holds for prompts that end in a space, typing errors, rare names "
        f"and digits: the "
        "model computes on tokens, so what is one step for us can be a rare path for it. Spelling and arithmetic suffer most, because "
        "letters and place "
        "values are not in its input.",
    ]


def understanding(kinds: Mapping[str, Row], cuts: Sequence[Row]) -> list[str]:
    """Section 5, first philosophical question."""
    fact, sums, grammar = kinds["fact"], kinds["arithmetic"], kinds["grammar"]
    letters = next(row for row in cuts if row["cut"] == "characters")
    return [
        f"For pattern matching speak the failures. Facts that are written often are completed rightly in {fact['accuracy']:.0%} of the "
        f"cases, sums of small "
        f"numbers in {sums['accuracy']:.0%}, although a child that understands adding does both alike. The same sentence spelled letter by "
        f"letter becomes "
        f"{letters['bits per byte']:.1f} bits per byte hard. A reader who understood the sentence would not care how it is cut.",
        f"Against mere matching speaks that it works where nothing can be looked up: grammar is right in {grammar['accuracy']:.0%} of "
        f"sentences written for this "
        "test the right form is the first of 49,152 tokens, vectors of words separate by sense, and single heads do identifiable work, "
        "such as finding the earlier place of a word. "
        "That is "
        "structure computed from the input, not a table of sentences. So the question is less whether than what: this model has learned a "
        "good deal of form, "
        "some facts, and little of what numbers are. A larger one moves the line; the numbers here say where it lies for 135 million "
        "weights.",
    ]


def representations(rows: Sequence[Row]) -> list[str]:
    """Section 5, second philosophical question."""
    name = next(key for key in rows[0] if key.startswith("rank "))
    first = next((row for row in rows if row[name] == 1), None)
    start, end = rows[1], rows[-1]
    where = f"from layer {first['after']} on it is the first" if first is not None else "it is never the first"
    return [
        f"Read through the output layer after each block (the logit lens), the word that answers stands at rank {start[name]:,} of the "
        f"vocabulary after the first "
        f"block and at {end[name]:,} at the end; {where}. In between the likeliest tokens are words of the right kind before they are the "
        f"right word. So an answer "
        "is not looked up in one place but comes together over the layers, early ones working on form and late ones on the word.",
        f"There are parallels to people: similar meanings lie near one another, context decides the sense, and words are expected before "
        f"they come. But "
        f"the vectors rest on text alone: *Paris* is what stands beside *France*, not a city one has walked in. At the end its probability "
        f"is "
        f"{end[next(key for key in end if key.startswith('P('))]:.2f}. And what a direction means is found by us afterwards; that a probe "
        f"can read something does not "
        "show that the model uses it. To show that, one must intervene.",
    ]


def objective(kinds: Mapping[str, Row], text: Row) -> list[str]:
    """Section 5, third philosophical question."""
    return [
        f"To predict the next token well, much else has to be learned: grammar, topics, facts, styles. The model names "
        f"{text['accuracy']:.0%} of the tokens of an "
        "unseen text rightly at the first guess, and every text in the world is a lesson, without labels. That one objective gives "
        "translation, summaries and "
        f"answers is its strength; {kinds['fact']['accuracy']:.0%} of the facts asked here came out of it.",
        f"Its limits follow as well. What is likely is learned, not what is true: a trick question is completed with a confidence of "
        f"{kinds['trick']['mean confidence']:.2f}. Each token is chosen before the next is known, so there is no plan beyond what the "
        f"layers hold, and an error is "
        f"carried on as if it were given. Tokens count alike, so a digit weighs no more than a comma: sums are right in "
        f"{kinds['arithmetic']['accuracy']:.0%}. "
        "Instruction tuning, preferences, tools and retrieval are answers to these limits; none changes what the pretrained model was "
        "asked.",
    ]


def extensions(heads: Sequence[Row], grown: Sequence[Row], sinks: Sequence[float]) -> list[str]:
    """The three extensions."""
    resting, before = (sum(row[name] > 0.5 for row in heads) for name in ("to_first", "to_previous"))
    return [
        f"**Attention.** Of {len(heads)} heads {resting} give more than half of their weight to the first token: a place to rest when "
        f"there is nothing to fetch. "
        f"{before} look mostly at the token before, the first half of copying. **Layers.** The stream grows from a length of "
        f"{grown[0]['stream']:.0f} after the "
        f"embedding to {grown[-1]['stream']:.0f} after the last block, since every half adds to it; late blocks change it by a smaller "
        f"share of its length.",
        f"**Another model.** MiniLM, a BERT that looks both ways, was read beside it on the same sentence. In its middle layer a token "
        f"gives "
        f"{sinks[1]:.0%} of its attention to the first place, [CLS], in this model's middle layer {sinks[0]:.0%} to the first token: both "
        f"have learned a place to put "
        "weight that is not needed. Their vectors cannot be compared number by number, only by which tokens each holds alike; the figure "
        "of similarities "
        "does that, layer against layer.",
    ]
