"""What the study `theory` answers: the text of each question, built from what the run measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from isinglass.core.units import size
from isinglass.show.table import Table

Row = Mapping[str, Any]
Rows = Mapping[str, Row]  # by kind


def bert_and_gpt(causal: float, both_ways: float) -> str:
    """BERT and GPT."""
    shown = (
        f"In a real GPT-like model (SmolLM2) the vectors of the earlier words change by {causal:.0e} of their size when the last word is "
        f"another, {'not at all' if causal == 0 else 'which is rounding'}; in a real BERT (MiniLM) by {both_ways:.2f}."
        if causal < 1e-3 < both_ways
        else f"Here earlier vectors changed by {causal:.0e} in SmolLM2 and by {both_ways:.0e} in MiniLM."
    )
    return (
        "BERT is a stack of encoder blocks, GPT a stack of decoder blocks; what differs is the mask. In GPT a token sees itself and what "
        "came "
        "before (causal), and the model is trained to predict the next token. In BERT every token sees all others, to the left and to the "
        "right: that is what *bidirectional* means. Predicting the next token would be no task there, since it could be seen, so BERT is "
        f"trained to fill in tokens that were hidden. {shown}\n\n"
        "Use cases follow. BERT's vectors know the whole text: classification, search, similarity, finding names or answers in a text. It "
        "cannot write, because it was never asked for what comes next. GPT writes: dialogue, summaries, code; and by writing an answer it "
        "can "
        "do BERT's tasks as well, at the price of one pass for each token. One BERT pass serves a whole text."
    )


def scaled_attention(widths: Sequence[int], wide: Rows) -> str:
    """Q, K, V and the square root."""
    return (
        "**What they are.** Each token's vector is multiplied with three learned matrices. The query Q says what the token looks for, the "
        "key "
        "K what a token offers to be found by, the value V what it hands over when it is found. QK^T holds the match of every query with "
        "every "
        "key; softmax turns each row into shares that sum to 1; the result is the mean of the values with these shares.\n\n"
        "**Why the root.** A product of two vectors with d_k independent entries of variance 1 has variance d_k. Measured: "
        f"{wide['no']['variance']:.0f} at d_k = {widths[-1]}, and {wide['yes']['variance']:.2f} after division by the root. So scores stay "
        f"of "
        "the same size however wide a head is.\n\n"
        f"**Without it** softmax sees numbers of size {math.sqrt(wide['no']['variance']):.0f} and puts nearly everything on one key: at "
        f"d_k = {widths[-1]} the largest of 32 weights is {wide['no']['largest']:.2f} on average ({wide['yes']['largest']:.2f} with the "
        f"root), "
        f"the entropy {wide['no']['entropy']:.2f} nats ({wide['yes']['entropy']:.2f}). There softmax is flat: the size of its derivative "
        f"falls "
        f"from {wide['yes']['slope']:.2f} to {wide['no']['slope']:.2f}, so hardly any gradient reaches queries and keys, and training "
        f"stalls. "
        "Some models leave the root out and make up for it: T5 starts with smaller query weights."
    )


def against_recurrence(n: int, block: float, lstm: float) -> str:
    """Advantages over recurrent networks."""
    faster = (
        f"here one block read {n} vectors in {block * 1000:.1f} ms, an LSTM of the same width in {lstm * 1000:.1f} ms, on a processor with "
        f"few "
        "cores; on an accelerator the difference is far larger"
        if block < lstm
        else f"here, on a processor with few cores, a block took {block * 1000:.1f} ms for {n} vectors and an LSTM {lstm * 1000:.1f} ms: "
        "the gain shows where many operations can run at once"
    )
    return (
        f"1. **Parallel over the text.** An LSTM's step waits for the one before, {n} times for {n} tokens; a Transformer's layer computes "
        f"all "
        f"places at once in training: {faster}. Without that, training on trillions of tokens would take too long.\n"
        f"2. **Short paths.** Between the first and the last of {n} tokens information passes {n} steps in an LSTM, and each may lose some "
        f"of "
        "it; in attention it passes one. So a pronoun finds its noun, and a gradient its cause, at any distance within the context.\n"
        "3. **A memory that grows with the text.** An LSTM presses all it has read into one vector of fixed size. Attention keeps every "
        "token's "
        "key and value and chooses among them for each word anew: that is what retrieval, copying of names, and examples in a prompt rest "
        "on. "
        "It also can be looked at: the weights say where each head reads. The price is work that grows with the square of the length."
    )


def key_value_heads(by_kind: Rows) -> str:
    """MHA, MQA, GQA."""
    multi, grouped, one = (by_kind[name] for name in ("Multi-Head", "Grouped-Query", "Multi-Query"))
    return (
        "All three have as many queries as heads; they differ in how many keys and values are kept. **Multi-Head** gives each head its "
        "own. "
        "**Multi-Query** (Shazeer 2019) shares one pair among all heads. **Grouped-Query** (Ainslie et al. 2023) shares one pair among a "
        "group "
        "of heads and lies between.\n\n"
        f"Memory is computed: a token of Llama 3.1 8B takes {size(multi['bytes_per_token'])}, {size(grouped['bytes_per_token'])} or "
        f"{size(one['bytes_per_token'])} of cache; a text of 8,192 tokens {size(multi['cache_at_8192'])}, {size(grouped['cache_at_8192'])} "
        f"or "
        f"{size(one['cache_at_8192'])}. Writing a token reads the whole cache, so speed follows at long texts and large batches; the small "
        f"models here wrote {multi['tokens_per_second']:.0f}, {grouped['tokens_per_second']:.0f} and {one['tokens_per_second']:.0f} tokens "
        f"a "
        "second. Quality is of the literature: Multi-Query loses a little and can be unstable to train; Grouped-Query with 8 groups is "
        "reported "
        "within noise of Multi-Head.\n\n"
        "| | Multi-Head | Grouped-Query | Multi-Query |\n|---|---|---|---|\n"
        f"| keys and values | one pair per head | one pair per group | one pair |\n| memory, of Multi-Head | 1 | "
        f"{grouped['bytes_per_token'] / multi['bytes_per_token']:.3g} | "
        f"{one['bytes_per_token'] / multi['bytes_per_token']:.3g} |\n| speed of writing | slowest at long texts | near Multi-Query | "
        f"fastest |\n| quality (literature) | best | nearly "
        "the same | slightly lower |\n| used by | GPT-2, GPT-3, BERT | Llama 3, Mistral, SmolLM2 | PaLM, Falcon 7B |"
    )


def paged(pages: Table, n_requests: int, page: int, longest: int, bytes_each: int) -> str:
    """Paged attention."""
    loose, tight = pages.rows
    return (
        "**The problem.** The cache of keys and values grows by one token at a time, and nobody knows how long an answer will be. A server "
        "that "
        "keeps one block of memory for each request must reserve the longest possible text, and most of it is never used; blocks of "
        "different "
        "sizes leave gaps besides. Kwon et al. (2023) found 60 to 80 % of the cache's memory wasted so.\n\n"
        f"**The way.** As an operating system does with a program's memory: the cache is cut into pages of a fixed number of tokens (here "
        f"{page}), "
        "a table for each request says which pages are its own, and a page is taken when the one before is full. Nothing is reserved "
        "ahead, and "
        f"any free page fits any request, so at most the end of the last page is wasted: less than {page} tokens a request. Requests with "
        f"the "
        "same beginning can share its pages until one of them writes (copy on write).\n\n"
        f"**With numbers.** {n_requests} requests of 50 to 999 tokens, Llama 3.1 8B, {size(bytes_each)} a token. Room for {longest} "
        f"tokens each "
        f"takes {size(loose['reserved'])}, of which {loose['wasted']:.0%} is unused; pages take {size(tight['reserved'])}, and "
        f"{tight['wasted']:.1%} is unused. In the same memory {loose['reserved'] / tight['reserved']:.1f} times as many requests can be "
        f"served at once."
    )


def flash_and_paged(flash: Table) -> str:
    """Flash and paged attention."""
    short, middle, long = flash.rows
    return (
        "**FlashAttention** (Dao et al. 2022) optimises how attention is *computed*: it goes over keys in tiles that fit into the fast "
        "memory "
        "beside the arithmetic, keeps a running maximum and sum for softmax, and never writes the matrix of weights to the slow memory. "
        "The "
        f"result is exact. For one layer of 32 heads that matrix would be {size(short['weights_of_one_layer'])} at 1,024 tokens, "
        f"{size(middle['weights_of_one_layer'])} at 8,192 and {size(long['weights_of_one_layer'])} at 131,072. **PagedAttention** "
        f"optimises how "
        f"the cache is *kept*: {size(middle['cache_of_all_layers'])} at 8,192 tokens, without gaps.\n\n"
        "**Together?** Yes: one is about the pass, the other about the store between passes, and servers such as vLLM run flash kernels "
        "that "
        "read keys through the table of pages. Combined: long prompts are read in memory that grows with the length and not with its "
        "square, "
        "and many answers are written at once from a cache without waste.\n\n"
        "**Which one?** (a) Training: FlashAttention, since whole texts are read at once and no cache is kept between passes. (b) Serving: "
        "PagedAttention first, since the cache decides how many requests fit; flash kernels beside it for reading prompts."
    )


def static_and_contextual(last: Row, first_layer: Row | None) -> str:
    """Static and contextual embeddings."""
    separate = (
        f"From layer {first_layer['layer']} on every sentence's nearest neighbour has the same sense."
        if first_layer is not None
        else "At no layer do all sentences find a neighbour of the same sense."
    )
    return (
        "**Static** embeddings (Word2Vec, GloVe) are a table: one vector for each word, learned from its neighbours over a whole corpus. "
        '*bank* in "He sat on the bank of the river" and in "The bank raised its interest rate" is the same row, a mixture of both senses; '
        "its cosine with itself is 1. They are small and fast, and words that are not in the table have none.\n\n"
        "**Contextual** embeddings (BERT) are computed for each occurrence from the whole sentence; the table is only the first layer. "
        "Measured "
        f"in MiniLM on sentences with both senses: at the last layer two occurrences of *bank* in the same sense have a cosine of "
        f"{last['within']:.2f}, in different senses {last['across']:.2f}. {separate} At layer 0 only the position tells them apart. So a "
        f"search "
        "for money does not find rivers; the price is a pass of the model for each text."
    )


def price_of_a_month(asked: Row, rates: Mapping[str, Sequence[Decimal]], dear: Decimal, cheap: Decimal) -> str:
    """The price of a month."""
    millions_in, millions_out = asked["requests"] * asked["tokens_in"] / 1e6, asked["requests"] * asked["tokens_out"] / 1e6
    (into, out), (cheap_into, cheap_out) = rates.values()
    return (
        f"{asked['requests']:,} requests of {asked['tokens_in']:,} tokens in and {asked['tokens_out']} out are {millions_in:,.0f} million "
        f"tokens "
        f"in and {millions_out:,.0f} million out a month. Prices per million of {asked['on']}, when both were sold: GPT-4o ${into:.2f} in "
        f"and "
        f"${out:.2f} out; Groq (Llama 70B) ${cheap_into:.2f} and ${cheap_out:.2f}.\n\n"
        f"- GPT-4o: {millions_in:,.0f} x {into:.2f} + {millions_out:,.0f} x {out:.2f} = **${dear:,.2f}**\n"
        f"- Groq: {millions_in:,.0f} x {cheap_into:.2f} + {millions_out:,.0f} x {cheap_out:.2f} = **${cheap:,.2f}**\n"
        f"- Difference: ${dear - cheap:,.2f} a month, **{1 - cheap / dear:.2%}** less with Groq.\n\n"
        "It compares prices, not answers: a smaller model may need longer prompts or a second try. Each provider also counts with its own "
        "vocabulary, so the same text is not the same number of tokens."
    )


def why_bpe(cuts: Sequence[Row], pieces: Table) -> str:
    """BPE against words."""
    cut, (unknown, unknown_bpe) = pieces.rows[0], (row["unknown"] for row in cuts)
    return (
        f"1. **Nothing is unknown.** A vocabulary of {cuts[0]['entries']:,} words learned from the King James Version does not know "
        f"{unknown:.1%} of the tokens of another translation; BPE of the same size leaves {unknown_bpe:.1%} unknown, because every word "
        f"can be "
        f"spelled from smaller pieces. So a new word is read as well: GPT-4's vocabulary cuts *{cut['word']}* into "
        f"`{cut['BPE of GPT-4']}`.\n"
        "2. **A small, fixed vocabulary.** Words have no end: names, compounds, typing errors. Each entry costs a row in the embedding and "
        "in "
        f"the output layer; at 4,096 numbers a row, a million words would take {4096 * 1e6 / 1e9:.1f} billion weights, 100,000 pieces a "
        f"tenth of "
        "it.\n"
        "3. **Parts of words carry over.** *unhappiness* is made of pieces that occur in other words, so what was learned of them serves "
        "here; a "
        "word list learns *walk*, *walked* and *walking* apart, and rare forms from few examples.\n"
        "4. **Any language, code and signs.** Byte-level BPE falls back to bytes, so scripts without spaces, emoji and code need no rules "
        "of "
        f"their own. The price is length: {cuts[1]['tokens']:,} tokens here against {cuts[0]['tokens']:,}."
    )


def seven_stages(compute: Table) -> str:
    """The seven stages."""
    small, large = compute.rows
    return (
        "| stage | objective | people | how long |\n|---|---|---|---|\n"
        "| 1. Data collection and preparation | much text worth learning: cleaned, without duplicates and private data | data engineer, "
        "data scientist | 2 to 6 months |\n"
        "| 2. Architecture design | the form and size that fit data and budget | ML architect, research scientist | 2 to 6 weeks |\n"
        "| 3. Pretraining | a model of language | ML engineer, MLOps engineer, research scientist | 1 to 6 months |\n"
        "| 4. Post-training | it follows instructions and answers as people prefer | ML engineer, research scientist, annotators | 1 to 4 "
        "weeks |\n"
        "| 5. Evaluation and testing | know what it can do, where it fails, whether it is safe | QA engineer, domain expert, ML engineer | "
        "2 to 6 weeks |\n"
        "| 6. Deployment and optimisation | fast, cheap and watched in use | DevOps, backend and SRE engineers | 2 to 8 weeks |\n"
        "| 7. Continuous improvement | failures become data for the next version | product manager, data scientist, ML engineer | does not "
        "end |\n\n"
        "Stages 3 and 4 are the class notes' durations, the others estimates for a large model; for a small one on existing data all of it "
        "takes "
        f"weeks. Stage 3 decides the bill: with 6 N D operations, {small['model']} took about {small['operations']:.1e} and "
        f"{large['model']} "
        f"{large['operations']:.1e}, which is {small['h100_days']:,.0f} and {large['h100_days']:,.0f} days of one H100 at 40 % of its "
        f"peak; "
        f"{large['h100_days'] / 2048:,.0f} days for the larger one with 2,048 of them."
    )


def three_roles() -> str:
    """Three roles."""
    return (
        "**ML engineer.** Makes the model good: data, prompts, fine-tuning, retrieval, and the evaluation that says whether a version is "
        "better "
        "than the last. Hands over a model with its measured quality, the data it was trained on, and what it needs (memory, context, "
        "speed).\n\n"
        "**MLOps engineer.** Makes the way repeatable: versions of data, code and weights, pipelines that train and test without hands, a "
        "registry "
        "of models, the gate that no version passes without its tests, rollout in steps and the way back.\n\n"
        "**SRE engineer.** Keeps it running: goals for latency and availability, capacity, alarms, limits, being called at night, and the "
        "review after a failure, which ends in a change and not in blame.\n\n"
        "**At deployment** the ML engineer brings the version and its report; the MLOps engineer sends it through the pipeline to a few "
        "per cent "
        "of the traffic, beside the old one; the SRE watches time to the first token, errors and cost, and decides with the agreed goals "
        "whether "
        "it goes on or back. All three look at the same figures: quality on the fixed test set, latency under load, cost per request. What "
        "users "
        "report goes back to the ML engineer as test cases. The contract between them is written down beforehand: who may stop a rollout "
        "(each "
        "of them), and what is rolled back without asking (a breach of the goals)."
    )
