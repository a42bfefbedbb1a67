"""The four mechanisms that the study `attention` reports on: what is known of each from papers, and where it stands here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from isinglass.nn.attention.kernels.banded import Banded
from isinglass.nn.attention.kernels.flash import FlashAttention
from isinglass.nn.attention.positions.alibi import Alibi
from isinglass.nn.attention.positions.rotary import Rotary

VASWANI = "Vaswani, A. et al. (2017). Attention Is All You Need. NeurIPS. arXiv:1706.03762"
PRESS = (
    "Press, O., Smith, N. A., Lewis, M. (2022). Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation. "
    "ICLR. arXiv:2108.12409"
)
SU = "Su, J. et al. (2021). RoFormer: Enhanced Transformer with Rotary Position Embedding. arXiv:2104.09864"
SHAW = "Shaw, P., Uszkoreit, J., Vaswani, A. (2018). Self-Attention with Relative Position Representations. NAACL. arXiv:1803.02155"
RAFFEL = (
    "Raffel, C. et al. (2020). Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer. JMLR. arXiv:1910.10683"
)
CHEN = "Chen, S. et al. (2023). Extending Context Window of Large Language Models via Positional Interpolation. arXiv:2306.15595"
PENG = "Peng, B. et al. (2023). YaRN: Efficient Context Window Extension of Large Language Models. arXiv:2309.00071"
TOUVRON = "Touvron, H. et al. (2023). LLaMA: Open and Efficient Foundation Language Models. arXiv:2302.13971"
SCAO = "Le Scao, T. et al. (2022). BLOOM: A 176B-Parameter Open-Access Multilingual Language Model. arXiv:2211.05100"
CHILD = "Child, R. et al. (2019). Generating Long Sequences with Sparse Transformers. arXiv:1904.10509"
BELTAGY = "Beltagy, I., Peters, M. E., Cohan, A. (2020). Longformer: The Long-Document Transformer. arXiv:2004.05150"
ZAHEER = "Zaheer, M. et al. (2020). Big Bird: Transformers for Longer Sequences. NeurIPS. arXiv:2007.14062"
JIANG = "Jiang, A. Q. et al. (2023). Mistral 7B. arXiv:2310.06825"
XIAO = "Xiao, G. et al. (2023). Efficient Streaming Language Models with Attention Sinks. arXiv:2309.17453"
DAO1 = "Dao, T. et al. (2022). FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness. NeurIPS. arXiv:2205.14135"
DAO2 = "Dao, T. (2023). FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning. arXiv:2307.08691"
MILAKOV = "Milakov, M., Gimelshein, N. (2018). Online normalizer calculation for softmax. arXiv:1805.02867"
RABE = "Rabe, M. N., Staats, C. (2021). Self-attention Does Not Need O(n^2) Memory. arXiv:2112.05682"
KWON = "Kwon, W. et al. (2023). Efficient Memory Management for Large Language Model Serving with PagedAttention. SOSP. arXiv:2309.06180"


@dataclass(frozen=True)
class Subject:
    """What a report says besides what was measured. `formulas` is set as it stands; `kind` names it in `bench attention` ("" for "
    "positions)."""

    title: str
    background: str
    how: str
    formulas: str
    implementation: str
    source: Callable[..., object] | type
    compared: str
    used: str
    limits: str
    verdict: str
    references: tuple[str, ...]
    kind: str = ""


SUBJECTS: Mapping[str, Subject] = {
    "rope": Subject(
        "Rotary Position Embedding (RoPE)",
        "Attention by itself does not know order: exchange two words, and every score is merely exchanged with them. The first Transformer "
        "(Vaswani et al. 2017) added a vector for each absolute place to the embedding. That works, but what a language model needs is "
        "mostly "
        "relative: how far a word lies back, not that it is the 417th. Shaw et al. (2018) and T5 (Raffel et al. 2020) put relative "
        "distance "
        "into the scores, at the price of extra terms for every pair, which stood in the way of fast kernels and of a simple cache. Su et "
        "al. "
        "proposed RoPE in 2021 to have both: positions that enter as cheaply as absolute ones, and scores that depend on distance alone.",
        "Features of each query and key are taken in pairs, and each pair is read as a point in the plane. At place i pair m is turned by "
        "the "
        "angle i times theta_m. Turning keeps lengths, so what a token says is untouched; but the product of a query turned by i and a key "
        "turned by j holds only the difference of the two angles. The first pairs turn fast and tell neighbours apart, the last ones turn "
        "so "
        "slowly that they hardly move within the context. Nothing is learned, values are not turned, and it is done anew in every "
        "layer.\n\n"
        "Keys are turned before they go into the cache, and stay valid there, because their angle belongs to their own place. A batch with "
        "padding "
        "needs each row's own positions. Two layouts of the pairs exist, neighbouring features or halves: they are the same up to an order "
        "of "
        "features, and a checkpoint read with the wrong one gives nonsense without any error.",
        "theta_m = base^(-2m / d),   m = 0 ... d/2 - 1,   base = 10000\n"
        "R_i x  =  x cos(i theta) + turn(x) sin(i theta),   turn(a, b) = (-b, a)\n"
        "score(i, j) = (R_i q) . (R_j k) / sqrt(d) = q . (R_(j-i) k) / sqrt(d)",
        "The function below does the turning for a whole batch. The sine table carries the sign of the half-turn already, so that one "
        "fused "
        "multiply-add is left. The table is made from 32-bit angles once for each pass and shared by all layers, because every layer turns "
        "by the same "
        "angles. It is made for the positions that are asked for, not for 0 to N: so a cached text, a padded batch and packed documents "
        "need no "
        "path of their own. Tests hold it to transformers' Llama and to a product of complex numbers, which is what a turn in the plane "
        "is.",
        Rotary.rotate,
        "Standard attention with learned absolute positions has a table with a row for each place, so a place that no training text "
        "reached "
        "has a row of noise. RoPE has no table and no weights, and adds about three operations for each feature of queries and keys.",
        "GPT-J and GPT-NeoX were among the first; LLaMA (Touvron et al. 2023) made it the common choice, and Mistral, Qwen, Gemma and "
        "SmolLM2 "
        "followed. It excels where a model must read long texts with a plain cache and fast kernels, and where its context is extended "
        "after "
        "training: because a position is an angle, it can be squeezed. Positional interpolation (Chen et al. 2023) divides all positions "
        "by a "
        "factor; YaRN (Peng et al. 2023) stretches slow pairs and leaves fast ones. Both need little further training.",
        "RoPE does not by itself read longer texts than it was trained on: slow pairs then reach angles never seen. The base must fit the "
        "context, and long-context models raise it. Precision matters: angles computed in bf16 are wrong by whole turns at large places, "
        "so they "
        "belong in fp32. An odd head width cannot be used.",
        "RoPE is the safe choice for a new decoder: no weights, a cache without conditions, every fast kernel, and a way to longer "
        "contexts.",
        (SU, VASWANI, SHAW, RAFFEL, TOUVRON, CHEN, PENG),
    ),
    "alibi": Subject(
        "Attention with Linear Biases (ALiBi)",
        "A model is trained on texts of a fixed length, because attention grows with its square and training is dear. In use, texts are "
        "longer. "
        "With learned positions the places beyond were never trained; with sinusoids (Vaswani et al. 2017) they can be computed, but "
        "Press, Smith "
        "and Lewis showed that quality breaks down soon after the trained length. They asked for positions with which one could *train "
        "short and "
        "test long*, and proposed ALiBi in 2021. It throws position vectors away: words carry no place at all. What tells order is a "
        "penalty on "
        "distance inside of attention, so simple that it has no weight to learn and takes a line of code.",
        "Each head subtracts from every score its slope times the distance between query and key. After softmax this is a factor that "
        "decays "
        "exponentially with distance: a head with a steep slope sees only its neighbourhood, one with a gentle slope nearly the whole "
        "text. The "
        "slopes are a geometric series over the heads and are never trained. For eight heads they are 1/2, 1/4, ... 1/256; other numbers "
        "of "
        "heads take theirs from the powers of two around them.\n\n"
        "The bias depends on the difference of places alone, so it is the same in every layer, keys in a cache stay valid, and a text may "
        "begin "
        "anywhere. Under a causal mask one may as well add the slope times the key's place, since softmax does not mind a constant in a "
        "row; "
        "BLOOM does so. A kernel must be able to add a bias to its scores, or to compute it from places within a tile, which fused kernels "
        "learned "
        "later than to do without.",
        "score_h(i, j) = q_i . k_j / sqrt(d) - m_h |i - j|\n"
        "m_h = 2^(-8 h / H),   h = 1 ... H   (H a power of two)\n"
        "weight_h(i, j) = softmax_j score_h(i, j)   proportional to  exp(q_i . k_j / sqrt(d)) * exp(-m_h |i - j|)",
        "The function below makes the bias for queries and keys at any positions: a slope for each head times the distance. It is asked "
        "for the part "
        "of the scores that is computed: with a cache for one row, in a tiled kernel for one tile, so that the whole matrix of biases is "
        "never held. "
        "Slopes for numbers of heads that are no power of two follow the paper's rule: those of the power below, then every other one of "
        "the "
        "power above. Tests compare it with transformers' BLOOM and MPT, whose forms differ by a constant in each row.",
        Alibi.bias,
        "Standard attention treats a key far away like one nearby unless positions teach otherwise; ALiBi begins with a preference for "
        "what is "
        "near, and the model has to learn against it where that is wrong. No vectors are added to embeddings, and no features are turned.",
        "MPT and BLOOM (Le Scao et al. 2022) were trained with ALiBi, and it is found in models of code, speech and proteins, where inputs "
        "vary in "
        "length. It excels in streams and long documents whose next word depends on what stands nearby, in training budgets too small for "
        "long "
        "texts, and on small models, where a built-in preference for near words is worth more than freedom.",
        "Reading longer texts without harm is not the same as using them: what lies thousands of tokens back is faded in all but the "
        "gentlest "
        "heads, so copying a fact from the beginning of a long text is hard. Rotary positions with a stretched base have since been "
        "preferred for long contexts. The slopes are a choice of the authors and fit not every domain. And a bias must pass through every "
        "kernel: where "
        "a fast one takes none, the model is slower.",
        "ALiBi is worth choosing where texts in use are longer than texts in training and what matters stands nearby; for recall from far "
        "back it "
        "is not.",
        (PRESS, VASWANI, SU, SHAW, RAFFEL, SCAO),
    ),
    "sliding_window": Subject(
        "Sliding Window Attention",
        "Full attention compares every token with every other. Twice the text is four times the work, and when a model writes, the cache "
        "of keys "
        "and values grows with every token. Most of what a word depends on stands nearby, though. Child et al. (2019) cut attention down "
        "to "
        "patterns with strides; Longformer (Beltagy et al. 2020) showed that a plain window of neighbours, with a few tokens that see "
        "everything, "
        "is enough for long documents, and BigBird (Zaheer et al. 2020) added random links and a proof that little is lost. Mistral 7B "
        "(Jiang et "
        "al. 2023) brought the window into language models that write.",
        "Each query sees the w tokens up to and including itself. Scores outside of the band are hidden before softmax; that alone changes "
        "the "
        "result and saves nothing. To save work the band must be computed alone: queries are cut into blocks, each block takes the keys "
        "that "
        "its band can reach, and all blocks are solved at once as a batch of small problems. Work and memory then grow with the length "
        "times w.\n\n"
        "What stands farther back is not lost. A layer's output at a place holds something of its w tokens; the next layer sees w of those "
        "outputs, and so on: after L layers information may have come from L (w - 1) tokens back. When writing, keys older than w are "
        "never seen "
        "again, so a cache of w places is enough: the next token takes the place of the oldest, a rolling buffer. Positions must be kept "
        "beside the "
        "keys then, since their place in memory says nothing any more.",
        "allowed(i, j) = 0 <= i - j < w\n"
        "output_i = softmax over allowed j of (q_i . k_j / sqrt(d)) applied to v_j\n"
        "work = 4 N w d per head  instead of  4 N^2 d;   cache = w  instead of  N;   reach after L layers = L (w - 1)",
        "Two parts are needed: a mask that says what is visible, and a kernel that uses it. The mask here is an expression, *causal & "
        "sliding_window(w)*, which tells how far it reaches back and ahead. The banded kernel asks for that reach, cuts the queries into "
        "blocks of the same "
        "size, and hands each block with its keys to an ordinary kernel as a batch; the function below says which masks it takes and what "
        "to take "
        "instead. Generation chooses a rolling cache by itself when every layer's mask reaches back less than the text. Tests compare all "
        "of it with "
        "the plain kernel under the same mask.",
        Banded.supports,
        "Standard attention reaches every earlier token in one step and keeps them all. A window reaches far ones only through the layers "
        "between, "
        "and what they pass on is a summary. In exchange work and cache are bounded.",
        "Longformer and BigBird read documents of thousands of tokens for classification and questions. Mistral 7B used a window of 4,096 "
        "in "
        "every layer; Gemma 2 and 3 and several newer models alternate layers with a window and layers without. It excels in streams "
        "without end, in transcripts and logs, and wherever the memory of the cache decides how many users a machine can serve.",
        "A fact outside of the window can be used only if some layer passed it on in time, so exact recall from far back suffers; this is "
        "why newer models mix in full layers. The first tokens deserve care: models put much attention weight on them without need (Xiao "
        "et al. "
        "2023), and when a rolling cache drops them, quality breaks down unless they are kept. Short texts gain nothing: below the window "
        "it is full "
        "attention. And the gain needs a kernel that skips what is hidden; a mask alone costs as much as none.",
        "A window is worth choosing where cache and latency decide and the far past matters little; mixed with full layers it is a "
        "standard part of new models.",
        (BELTAGY, CHILD, ZAHEER, JIANG, XIAO, VASWANI),
        "sliding window",
    ),
    "flash": Subject(
        "Flash Attention 1 and 2",
        "Attention over N tokens makes a matrix of N times N scores. Written down and read back for softmax and again for the values, it "
        "decides "
        "both memory and time, because an accelerator multiplies far faster than it can move numbers to and from its main memory. Milakov "
        "and "
        "Gimelshein (2018) had shown that softmax can be computed in one sweep; Rabe and Staats (2021) that attention needs no quadratic "
        "memory. Dao et al. (2022) turned this into a fast kernel that counts movements of memory and not operations: FlashAttention. It "
        "is exact: "
        "no score is approximated. In 2023 Dao rearranged the work for FlashAttention-2, about twice as fast on the same hardware.",
        "Queries, keys and values are cut into tiles that fit into the small fast memory beside the arithmetic. For a tile of queries the "
        "tiles of "
        "keys are read in turn; a running maximum m and a running sum l for each query let softmax be corrected when a larger score comes, "
        "so "
        "the result is exact at the end. The matrix is never written. For the gradient it is not kept either: each tile of scores is "
        "computed again "
        "from queries, keys and one number per query. That is more arithmetic, and less time, because movement was what cost.\n\n"
        "**Version 1** has keys and values in the outer loop and queries in the inner one, and writes partial outputs back after every "
        "step; "
        "blocks are shared out by batch and head. **Version 2** turns the loops around: the outer loop goes over queries, so an output is "
        "written once; it "
        "puts off the division by l to the end, which saves operations that are no matrix products; it shares out work along the text as "
        "well, "
        "so that few long texts fill the device; and within a block it splits queries, not keys, between warps, which then need not talk "
        "to one another.",
        "for each tile of keys:   m' = max(m, max s)\n"
        "l' = exp(m - m') l + sum exp(s - m'),   o' = exp(m - m') o + exp(s - m') v\n"
        "at the end   output = o / l,   L = m + ln l   (kept for the gradient:  p = exp(s - L))",
        "The function below is the forward pass. Running maximum and sum begin at minus infinity and zero; each tile rescales what was "
        "gathered "
        "before. Sums are kept in 32 bits also when the inputs are bf16. The mask is asked for each tile whether it is empty, full or "
        "mixed: empty "
        "tiles are skipped, in full ones it is not applied. The backward pass goes over the same tiles with the one number per query that "
        "was kept. Tests "
        "hold values and gradients to the plain kernel for every mask and position of the package, and to PyTorch's own.",
        FlashAttention.forward,
        "Standard attention gives the same numbers up to rounding and writes the whole matrix. The implementation here follows version 2's "
        "order of "
        "loops in plain torch, to be read; a fused kernel (`sdpa`) does it in one program.",
        "It is in PyTorch's scaled_dot_product_attention, in every large training library and in the servers that write answers; models "
        "such as "
        "Llama and Mistral are trained with it. It excels in training on long texts and in reading long prompts, and it made contexts of "
        "100,000 tokens "
        "practical. In serving it stands beside PagedAttention (Kwon et al. 2023), which manages the cache between passes.",
        "It saves memory and movement, not arithmetic: work still grows with the square of the text. When one token is written at a time "
        "there is "
        "one query, no matrix, and little to gain without splitting keys as well. Each kind of device, width of head, bias and mask needs "
        "a kernel that "
        "knows it; what has none falls back to the slow way. Sums in another order differ in the last bits, and the gradient's order may "
        "differ "
        "from run to run. And the weights are never in memory, so nobody can look at them without computing them again.",
        "There is hardly a reason not to use it where a kernel exists: the result is the same. It is a change of schedule, not of the "
        "model.",
        (DAO1, DAO2, MILAKOV, RABE, KWON, VASWANI),
        "flash",
    ),
}
