"""What the README says of the notebook's measurements: each sentence follows from the values it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from isinglass.evaluation.classification import Report
from isinglass.generation.lm import LM
from isinglass.generation.results import Generation
from isinglass.show.table import Table
from isinglass.studies.claims.claim import Claim, Finding
from isinglass.studies.prose import in_words
from isinglass.tasks.answer import Answered
from isinglass.tasks.classify import Classified
from isinglass.tasks.fill_mask import Filled
from isinglass.training.run import Run

ROUNDING = 1e-4  # a difference in fp32 that is no difference
WHERE = (
    ("Evolution of Language Models", "1: n-grams, feed-forward network, LSTM, Transformer trained; sizes counted; dates in the claims"),
    ("Attention Mechanism, heat map", "2"),
    ("Multi-Head Attention", "3"),
    ("Transformer Architecture: positional encoding, feed-forward, block", "4 and 5"),
    ("Encoder-Decoder Design, compare_models", "6"),
    ("LLM System Components", "7"),
    ("Implementation Examples: classification, generation, question answering", "8"),
    ("Exercise 1: sequence classification", "Exercise 1"),
    ("Exercise 2: compare model behaviours", "Exercise 2"),
    ("Exercise 3: analyse attention patterns", "Exercise 3"),
)


TIMELINE = (  # of the notes: their name and date, who was first, what runs here
    ("N-gram Models (1990s)", "Shannon 1948", "1- to 5-grams, section 1"),
    ("Neural Language Models (2003)", "Bengio et al. 2003", "a feed-forward network, section 1"),
    ("RNNs/LSTMs (2010s)", "Elman 1990, Hochreiter and Schmidhuber 1997", "an LSTM, section 1"),
    ("Seq2Seq (2014)", "Sutskever et al., September 2014", "two LSTMs and one vector, section 1"),
    ("Attention (2015)", "Bahdanau et al., September 2014", "two LSTMs with attention, section 1"),
    ("Transformer (2017)", "Vaswani et al., June 2017", "sections 2 to 5"),
    ("BERT (2018)", "Devlin et al., October 2018", "MiniLM, section 6; a small one trained, exercise 2"),
    ("GPT (2018-present)", "Radford et al., June 2018", "a small one trained, section 1; SmolLM2"),
    ("T5 (2019)", "Raffel et al., October 2019", "a tiny one trained, section 1"),
    ("Large Models (2020+)", "GPT-3, May 2020", "their weights counted, section 1"),
)


def where() -> Table:
    """Each part of the notes with its section."""
    return Table([{"of the notes": theirs, "here": here} for theirs, here in WHERE], title="Where each part of the notes is")


def timeline() -> Table:
    """The notes' timeline with the first publications and what runs here."""
    rows = [{"the notes": theirs, "first published": first, "here": here} for theirs, first, here in TIMELINE]
    return Table(rows, title="The notes' timeline, and what of it runs here")


def evolution(rows: Sequence[Mapping[str, Any]], pretrained: str, pretrained_bits: float, n_tokens: int) -> str:
    """Who predicts best, and at what price."""
    bits = {row["model"]: row["bits_per_byte"] for row in rows}
    grams = [row for row in rows if row["model"].endswith("-gram")]
    networks = [row for row in rows if row not in grams]
    best_gram, best = (min(some, key=lambda row: row["bits_per_byte"]) for some in (grams, networks))
    longest = grams[-1]
    text = f"The best of the counted models is the {best_gram['model']} with {best_gram['bits_per_byte']:.2f} bits per byte; "
    text += (
        f"longer runs do not help ({longest['model']}: {longest['bits_per_byte']:.2f}): {longest['seen once']:.0%} of them occur a single "
        "time. "
        if longest is not best_gram
        else "each longer run helped. "
    )
    text += (
        f"Of the three networks, each with {best['tokens read']:,} tokens of training, the {best['model']} is best with "
        f"{best['bits_per_byte']:.2f}. "
    )
    text += (
        f"So the network predicts better than counting, with {best['numbers kept']:,} numbers where the {best_gram['model']} keeps "
        f"{best_gram['numbers kept']:,}. "
        if best["bits_per_byte"] < best_gram["bits_per_byte"]
        else f"With so little training counting is still ahead: it took {best_gram['to learn_seconds']:.1f} s and read all {n_tokens:,} "
        "tokens once. "
    )
    return text + (
        f"The pretrained {pretrained}, on some of the same passages, has {pretrained_bits:.2f}"
        + (": less than every model that was made here. " if pretrained_bits < min(bits.values()) else ". ")
        + "It may have read this very text, so that is no fair race."
    )


def sequences(by_length: Mapping[str, Sequence[float]], lengths: Sequence[int]) -> str:
    """What attention did for sequence to sequence."""
    one, attending = by_length["LSTM, one vector"], by_length["LSTM with attention"]
    at = len(lengths) - 2  # the longest that was trained
    each = "; ".join(f"{name} {in_words([f'{share:.0%}' for share in shares])}" for name, shares in by_length.items())
    lead = f"Rows of {in_words([str(n) for n in lengths])} letters are written from their end with so many letters right: {each}. "
    if attending[at] > one[at] + 0.1:
        lead += f"After the same training attention writes {lengths[at]} letters better than one vector that must hold them all. "
    if all(shares[-1] < shares[at] - 0.1 for shares in by_length.values()):
        lead += f"{lengths[-1]} letters were never trained, and all three lose letters there. "
    return lead


def same(names: Sequence[str], equal: Mapping[str, float]) -> str:
    """Whether layers agree."""
    worst = max(equal[name] for name in names)
    verdict = "the same numbers up to rounding" if worst < ROUNDING else "other numbers"
    return f"With the same weights our parts give {verdict} (largest difference {worst:.0e})"


def attention(equal: Mapping[str, float], spread: Mapping[str, float], sharpest: Mapping[str, tuple[int, int]]) -> str:
    """The simple layer, and what a real one looks like."""
    real = in_words([f"{value:.0%} in {name}" for name, value in spread.items()])
    return (
        f"{same(['SimpleAttention'], equal)}. Ours differs in what it can do besides: heads that share keys, positions, masks by name, a "
        "projection after the sum, a cache, and kernels that never write the scores down. It divides by the root of a head's width; "
        "with one head that is the hidden size of the notes. "
        f"The notes draw the weights of an untrained layer on noise, which say nothing. On a real sentence the rows of trained models have "
        f"{real} of the entropy of an even spread; the heads drawn below look most at the token before: "
        + in_words([f"layer {layer}, head {head} of {name}" for name, (layer, head) in sharpest.items()])
        + "."
    )


def many_heads(equal: Mapping[str, float], views: Mapping[str, Sequence[float]]) -> str:
    """Equality, and whether heads differ."""
    least = min(min(v) for v in views.values())
    each = in_words([f"{min(v):.2f} to {max(v):.2f} in the layers of {name}" for name, v in views.items()])
    return (
        f"{same(['MultiHeadAttention'], equal)}. Eight heads of 64 have exactly the weights of one of 512; they give eight distributions "
        f"instead of one. Two heads of a layer overlap by {each}"
        + (": in some layers much of what they look at differs." if least < 0.6 else ": mostly they look at the same places.")
    )


def positions(table_apart: float, order: Mapping[str, float]) -> str:
    """The table, and what order is worth."""
    blind = [name for name, change in order.items() if change < ROUNDING]
    return (
        f"The notes' table and ours differ by at most {table_apart:.0e}. The notes add it to random vectors, where nothing shows; the "
        "classifier of exercise 1 first multiplies embeddings by the root of the width, as the paper does. "
        + (
            f"When dog and man change places and every token sees all others, `{in_words(blind)}` notices nothing; "
            f"{in_words([name for name in order if name not in blind])} all do."
            if blind
            else "Every scheme notices that dog and man change places."
        )
    )


def block(equal: Mapping[str, float], gradients: Mapping[str, Sequence[float]], depths: Sequence[int]) -> str:
    """Equality, and the gradient."""
    change = {name: norms[-1] / norms[0] for name, norms in gradients.items()}
    each = in_words([f"{value:.2f} times with {name}" for name, value in change.items()])
    text = (
        f"{same(['TransformerBlock'], equal)}, as post-norm with ReLU. From {depths[0]} to {depths[-1]} untrained blocks the gradient at "
        f"the last block changes to {each}"
    )
    if change["pre-norm"] < min(1.0, change["post-norm"]):
        text += (
            ": with the norm before each half it shrinks as the stack grows, with the norm after the sum it does not. Xiong et al. (2020) "
            "derive this, and conclude that post-norm needs a warm-up because its first steps are too large near the output"
        )
    return text + "."


def kinds(notice: Mapping[str, Sequence[bool]], rows: Sequence[Mapping[str, Any]], can: Sequence[Mapping[str, str]]) -> str:
    """Masks, sizes, abilities."""
    seen = in_words([f"{sum(each)} of {len(each)} tokens in {name}" for name, each in notice.items()])
    sizes = in_words([f"{row['model']} {row['parameters']:,}" for row in rows])
    alone = {row["task"]: [kind for kind, answer in row.items() if answer == "yes"] for row in can}
    able = "; ".join(f"{task}: {in_words(some) if some else 'none'}" for task, some in alone.items())
    return (
        f"When the last word becomes another, {seen} have another vector after the last layer: the mask decides who may know. "
        f"Parameters: {sizes}. What each can do without further training or another head: {able}. The notes' table is about use, not "
        "ability: a decoder classifies as well once it has a head (`isinglass train examples/classify.toml`)."
    )


def system(cut_into: Mapping[str, int], plain: Generation, drafted: Generation) -> str:
    """The two components where a choice shows."""
    few, many = min(cut_into, key=cut_into.__getitem__), max(cut_into, key=cut_into.__getitem__)
    text = f"The same held-out text is {cut_into[few]} tokens for {few} and {cut_into[many]} for {many}. "
    if plain.ids == drafted.ids:
        faster = drafted.timings.total_seconds < plain.timings.total_seconds
        text += f"Drafts change the speed, not the text, and were {'faster' if faster else 'not faster'} here. "
    return text + "Deployment follows from sizes: weights once, the cache for each token of each conversation."


def components(
    lm: LM, text: str, cut_into: Mapping[str, int], run: Run, plain: Generation, drafted: Generation, quote: Mapping[str, Any], command: str
) -> Table:
    """The five components of the notes, each with what was measured of it."""
    config, weights = lm.config, list(lm.model.parameters())
    n_weights, n_bytes = (sum(of(weight) for weight in weights) for of in (Tensor.numel, lambda w: w.numel() * w.element_size()))
    cached = 2 * config.n_layers * config.n_kv_heads * config.d_head * weights[0].element_size()
    cuts = in_words([f"{n} tokens ({name})" for name, n in cut_into.items()])
    alike = "the same" if drafted.ids == plain.ids else "other"
    speed = 0.0 if run.cost is None else run.cost.tokens_per_second
    measured = {
        "tokenization": f"{len(text.encode()):,} bytes are {cuts}",
        "model architecture": f"{n_weights:,} weights in {config.n_layers} layers; context of {config.context_length:,} tokens",
        "training strategy": f"the pretraining of section 1 reads {speed:,.0f} tokens per second",
        "inference engine": f"first token after {plain.timings.first_token_seconds:.2f} s, then {plain.timings.tokens_per_second:.1f} "
        f"tokens per second; with drafts {drafted.timings.tokens_per_second:.1f} and {alike} tokens",
        "deployment": f"{n_bytes / 1e6:,.0f} MB of weights, {cached / 1e3:,.1f} kB of cache per token; rented (gpt-4o-mini, March 2025) "
        f"1,000 such requests cost ${quote['usd']:.3f}",
    }
    rows = [{"component": name, "measured": value} for name, value in measured.items()]
    return Table(rows, title="Components of a system, each with a number", command=command)


def tasks(felt: Classified, answered: Mapping[str, Answered], known: Mapping[str, str]) -> str:
    """Labels by name, and answers."""
    expected = ("positive", "negative", "neutral")
    right = sum(a == b for a, b in zip(felt.predicted, expected, strict=True))
    found = [question for question, one in answered.items() if known[question].casefold() in one.text.casefold()]
    text = f"By the names of the labels alone {right} of {len(expected)} opinions get the label one would give; "
    text += "a head trained on reviews is what the notes use (`isinglass train examples/sentiment.toml`). "
    count = f"{len(answered)} questions" if len(answered) > 1 else "one question"
    return text + f"Of {count} about a passage the chat model finds the answer to {len(found)}."


def exercise_1(equal: Mapping[str, float], n_weights: int, judgement: Report, n_learned: int) -> str:
    """The model of the exercise, and what a small one learned."""
    baselines = {name: one.accuracy for name, one in judgement.baselines.items()}
    best = max(baselines, key=baselines.__getitem__)
    accuracy = judgement.model.accuracy
    return (
        f"{same(['SimpleTransformerClassifier'], equal)}; the exercise's model has {n_weights:,} weights. A smaller one, trained on "
        f"verses, is right on {accuracy:.1%} of {len(judgement.texts):,} verses it never saw; "
        + in_words([f"{name} on {value:.1%}" for name, value in baselines.items()])
        + (
            ". It beats both."
            if accuracy > baselines[best]
            else f". {best} is better: words alone tell these kinds apart better than what this model made of {n_learned:,} verses."
        )
    )


def exercise_2(gaps: Mapping[str, float], n_rows: int, filled: Filled) -> str:
    """Who fills a gap better."""
    both, left, frequent = (gaps[name] for name in ("both sides", "left side", "most frequent"))
    if both > left:
        verdict = "Both sides are worth more than one."
    else:
        verdict = "It learned from one token in seven of what it read, the decoder from all; with the same number of steps it is behind"
        verdict += ", and hardly knows more than which token is frequent." if both < frequent + 0.05 else "."
    verdict = f"Who always names the most frequent token is right in {frequent:.1%}. {verdict}"
    return (
        f"In {n_rows} held-out passages one token is hidden. The small BERT names it in {both:.1%}, the small GPT, from what stands "
        f"before, in {left:.1%}. {verdict} For the sentence below its first guess is {filled.gaps[0][0][0]!r} ({filled.gaps[0][0][1]:.0%})."
    )


def exercise_3(looked: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """Where attention goes."""
    texts = []
    for name, shares in looked.items():
        mean = {what: sum(each) / len(each) for what, each in shares.items()}
        frame = next(iter(shares))
        texts.append(
            f"{name} gives {mean[frame]:.0%} of its weight to the {frame} (at most {max(shares[frame]):.0%} in a layer), "
            f"{mean['itself']:.0%} to the token itself and {mean['the token before']:.0%} to the one before"
        )
    text = "; ".join(texts) + "."
    rests = [name for name, shares in looked.items() if max(next(iter(shares.values()))) > 0.5]
    if rests:
        text += f" In at least one layer of {in_words(rests)} over half of the weight goes to places that say nothing of the sentence: "
        text += "one heat map of one head, as in the notes, mostly shows that."
    return text + " What a head does for the answer is seen by an intervention (`isinglass inspect patch`)."


def ledger(checked: Sequence[tuple[Claim, Finding]]) -> str:
    """How many claims hold."""
    counts = {verdict: sum(found.verdict == verdict for _, found in checked) for verdict in ("true", "partly", "false")}
    return (
        f"Of {len(checked)} statements and habits of the notes {counts['true']} hold, {counts['partly']} in part, {counts['false']} do not."
    )
