# %% [markdown]
# # Assignment 1: text and tokens
#
# A language model reads and writes numbers. This notebook goes the whole way from a text to the tensors that a model is trained on:
# three tokenizers written out (words, characters, byte pairs), GPT-2's vocabulary, windows of inputs and targets, and batches.
# Each of our own versions is compared with Isinglass's, and where it is installed with `tiktoken`.
#
# It takes about a minute on one core. `README.md` beside this notebook says what was found, with the figures of this run.

# %%
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import regex
import torch
from IPython.display import display
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import isinglass as ig
from isinglass.data.sources import read
from isinglass.data.windows import Windows
from isinglass.report.document import Document, Heading
from isinglass.show.marks.bars import bars
from isinglass.show.marks.lines import lines
from isinglass.show.marks.tokens import compared
from isinglass.show.table import Table
from isinglass.text.audit.frequencies import zipf
from isinglass.text.patterns import GPT2
from isinglass.training.padding import padded

try:
    import tiktoken
except ImportError:  # an oracle, not a part
    tiktoken = None

# %% tags=["parameters"]
quick = False  # True: the same cells with a small piece of the text
data = "kjv"  # a corpus by name, or the path of a text file
seed = 0

# %% [markdown]
# ## The text
#
# The last tenth is held out: a tokenizer has to be judged by text that it was not made from.

# %%
text = "\n".join(record.text for record in read(data))
text = text[:60_000] if quick else text
cut = len(text) * 9 // 10
learned_from, held_out = text[:cut], text[cut:]
sample = next((line for line in held_out.split("\n")[1:] if len(line) > 60), held_out)[:90]
n_merges = 60 if quick else 300
Path("figures").mkdir(exist_ok=True)
print(f"{len(text):,} characters of {data}, {len(held_out):,} held out\n{sample}")

# %% [markdown]
# ## 1. Words
#
# Cut at spaces and punctuation, give every different word a number, and one more number to all words that are not known.


# %%
class WordTokenizer:
    """Words and punctuation marks as tokens; what was not seen is `<|unk|>`."""

    UNKNOWN, END = "<|unk|>", "<|endoftext|>"
    CUT = re.compile(r"([,.:;?_!\"()']|--|\s)")

    def __init__(self, text: str) -> None:
        words = sorted(set(self.split(text)))
        self.vocabulary = {word: number for number, word in enumerate([*words, self.END, self.UNKNOWN])}
        self.words = list(self.vocabulary)

    def split(self, text: str) -> list[str]:
        """The words and marks of a text; white space is dropped."""
        parts = [part for piece in text.split(self.END) for part in (*self.CUT.split(piece), self.END)][:-1]
        return [part.strip() for part in parts if part.strip()]

    def encode(self, text: str) -> list[int]:
        """The numbers of the words."""
        return [self.vocabulary.get(word, self.vocabulary[self.UNKNOWN]) for word in self.split(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """Words with a space between them, and none before a mark."""
        return re.sub(r"\s+([,.:;?!)'])", r"\1", " ".join(self.words[id] for id in ids))


words = WordTokenizer(learned_from)
print(len(words.vocabulary), "different words")
print(words.encode(sample))
print(words.decode(words.encode(sample)))
print(words.decode(words.encode(f"The zyzzyva sat. {WordTokenizer.END} And it was good.")))  # a word no corpus has

# %% [markdown]
# ## 2. Byte pairs
#
# Start with the 256 bytes, so that nothing can be unknown. Then join the pair of neighbours that stands together most often, and again,
# as often as the vocabulary has room. Words (with the space in front of them) are never joined with each other, so it is enough to know
# how often each word occurs. The bytes are numbered as GPT-2 numbers them; of equally frequent pairs the one with the lower numbers wins.

# %%
gpt2 = ig.tokenizer("gpt2")
BYTES = [gpt2.token_bytes(number) for number in range(256)]
PRETOKENS = regex.compile(GPT2)


def join(symbols: tuple[bytes, ...], pair: tuple[bytes, bytes]) -> tuple[bytes, ...]:
    """The symbols with every occurrence of the pair as one."""
    joined: list[bytes] = []
    for symbol in symbols:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return tuple(joined)


def as_bytes(word: str) -> tuple[bytes, ...]:
    """A word as single bytes."""
    return tuple(bytes([byte]) for byte in word.encode("utf-8"))


def learn_merges(text: str, n_merges: int) -> list[bytes]:
    """The vocabulary: 256 bytes, then what each merge made, in order."""
    counts = Counter(PRETOKENS.findall(text))
    spelled = {word: as_bytes(word) for word in counts}
    vocabulary = {symbol: number for number, symbol in enumerate(BYTES)}
    while len(vocabulary) < len(BYTES) + n_merges:
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, symbols in spelled.items():
            for pair in pairwise(symbols):
                pairs[pair] += counts[word]
        if not pairs:
            break  # every word is one piece
        best = min(pairs, key=lambda pair: (-pairs[pair], vocabulary[pair[0]], vocabulary[pair[1]]))
        vocabulary[best[0] + best[1]] = len(vocabulary)
        spelled = {word: join(symbols, best) if best[0] in symbols else symbols for word, symbols in spelled.items()}
    return list(vocabulary)


print(learn_merges("low low low lower lowest newer newer wider", 4)[256:])

# %%
began = time.perf_counter()
pieces = learn_merges(learned_from, n_merges)
ours_seconds, n_merges = time.perf_counter() - began, len(pieces) - len(BYTES)  # a small text has fewer
began = time.perf_counter()
package = ig.train_tokenizer("bpe", [learned_from], vocab_size=len(pieces))
package_seconds = time.perf_counter() - began
assert [package.token_bytes(number) for number in range(len(pieces))] == pieces  # the same merges in the same order
print(f"{n_merges} merges in {ours_seconds:.1f} s; Isinglass, which counts again only where something was joined: {package_seconds:.1f} s")
print(pieces[256:276], "...", pieces[-10:])

# %% [markdown]
# To encode, the merges are replayed: of all neighbours that can be joined, those go first that were learned first. With GPT-2's list of
# merges in place of ours the same lines are GPT-2's tokenizer. Special tokens are no text: they are looked for before anything else, and
# only when we say so, because a user may type `<|endoftext|>`, too.


# %%
class BytePairTokenizer:
    """Byte pair encoding with any list of pieces; a piece's place in the list is its number and its rank."""

    def __init__(self, pieces: Sequence[bytes], special: dict[str, int]) -> None:
        self.pieces = list(pieces)
        self.ranks = {piece: rank for rank, piece in enumerate(pieces)}
        self.special = special
        self.known: dict[str, list[int]] = {}  # words that were cut before

    def cut(self, word: str) -> list[int]:
        """One word as numbers."""
        symbols = as_bytes(word)
        while True:
            pairs = [pair for pair in pairwise(symbols) if pair[0] + pair[1] in self.ranks]
            if not pairs:
                return [self.ranks[symbol] for symbol in symbols]
            symbols = join(symbols, min(pairs, key=lambda pair: self.ranks[pair[0] + pair[1]]))

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """The numbers of a text. Special tokens inside are plain text unless `parse_special` says that we wrote them ourselves."""
        names = "|".join(map(re.escape, self.special)) if parse_special else r"(?!)"
        ids: list[int] = []
        for part in re.split(f"({names})", text):
            if parse_special and part in self.special:
                ids.append(self.special[part])
                continue
            for word in PRETOKENS.findall(part):
                if word not in self.known:
                    self.known[word] = self.cut(word)
                ids += self.known[word]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text again; bytes are joined before they are read as UTF-8."""
        names = {number: name.encode("utf-8") for name, number in self.special.items()}
        return b"".join(names[id] if id in names else self.pieces[id] for id in ids).decode("utf-8", "replace")


END = "<|endoftext|>"
own = BytePairTokenizer(pieces, {END: len(pieces)})
own_gpt2 = BytePairTokenizer([gpt2.token_bytes(number) for number in range(50_256)], dict(gpt2.special))
print(own_gpt2.encode("Hello, world!"), own_gpt2.encode(f"one{END}two", parse_special=True), own_gpt2.encode(END))

# %% [markdown]
# ### The same as tiktoken?
#
# OpenAI's `tiktoken` gets GPT-2's ranks from the asset here, so nothing is downloaded. Ids must be equal on our whole text and on texts
# that are known to be hard. Our own merges are compared with Isinglass's encoder.

# %%
HARD = [
    "", " ", "  two  spaces ", "tab\tand\nlines\r\n\n", "don't we'll THEY'RE", "naïve café — “quoted”", "汉字 и кириллица", "👩‍🚀 é",
    "3.14159 1,000,000", "def f(x):\n    return x**2", "a" * 50,
]  # fmt: skip
probes = [text, *HARD]
oracles: dict[str, Callable[[str], list[int]]] = {"Isinglass": lambda probe: gpt2.encode(probe)}
if tiktoken is not None:
    oracle = tiktoken.Encoding("gpt2", pat_str=GPT2, mergeable_ranks=own_gpt2.ranks, special_tokens=dict(gpt2.special))
    oracles["tiktoken"] = oracle.encode_ordinary
    marked = f"one{END}two"
    assert (
        own_gpt2.encode(marked, parse_special=True) == oracle.encode(marked, allowed_special={END}) == gpt2.encode(marked, special="parse")
    )

ids = own_gpt2.encode(text)
agreed = {name: sum(own_gpt2.encode(probe) == encode(probe) for probe in probes) for name, encode in oracles.items()}
assert set(agreed.values()) == {len(probes)}, agreed
assert own.encode(text) == package.encode(text)
assert all(own_gpt2.decode(own_gpt2.encode(probe)) == probe for probe in probes)
print(f"{len(ids):,} GPT-2 tokens; {len(probes)} texts give equal ids with {' and '.join(oracles)}, and come back exactly")

# %%
speeds = []
for name, encode in {"ours": lambda probe: BytePairTokenizer(own_gpt2.pieces, {}).encode(probe), **oracles}.items():
    began = time.perf_counter()
    encode(text)
    speeds.append({"encoder": name, "seconds": time.perf_counter() - began, "characters_per_second": 0.0})
    speeds[-1]["characters_per_second"] = len(text) / speeds[-1]["seconds"]
display(Table(speeds, title="Encoding the whole text", units={"characters_per_second": "count"}))

# %% [markdown]
# ## Exercise 2.1: characters, and what each vocabulary costs
#
# A vocabulary of characters needs no learning at all. What is it worth?


# %%
class CharacterTokenizer:
    """Every character that occurs is a token; 0 is for all others."""

    def __init__(self, text: str) -> None:
        self.characters = ["\ufffd", *sorted(set(text))]
        self.numbers = {character: number for number, character in enumerate(self.characters)}

    def encode(self, text: str) -> list[int]:
        """One number per character."""
        return [self.numbers.get(character, 0) for character in text]

    def decode(self, ids: Sequence[int]) -> str:
        """The characters again."""
        return "".join(self.characters[id] for id in ids)


characters = CharacterTokenizer(learned_from)
kinds = {
    "characters": (characters, len(characters.characters), 0),
    "words": (words, len(words.vocabulary), words.vocabulary[WordTokenizer.UNKNOWN]),
    f"our {n_merges} merges": (own, len(pieces) + 1, -1),
    "GPT-2": (own_gpt2, len(own_gpt2.pieces) + 1, -1),
}
rows = []
for name, (one, size, unknown) in kinds.items():
    cut_up = one.encode(held_out)
    rows.append(
        {"tokenizer": name, "vocabulary": size, "tokens": len(cut_up), "characters_per_token": len(held_out) / len(cut_up)}
        | {"unknown": cut_up.count(unknown) / len(cut_up), "exact": one.decode(cut_up) == held_out}
    )
by_name = {row["tokenizer"]: row for row in rows}
vocabularies = Table(rows, title="The held-out tenth, by tokenizer", units={"unknown": "ratio"})
display(vocabularies)
bars(
    list(by_name), [row["characters_per_token"] for row in rows], title="How much text one token holds", axis="characters per token",
    notes=[f"vocabularies of {', '.join(format(row['vocabulary'], ',') for row in rows)}"],
).save("figures/characters-per-token.svg")  # fmt: skip

# %%
strips = {
    "words": ([words.words[id] for id in words.encode(sample)], words.encode(sample)),
    f"our {n_merges} merges": ([own.pieces[id] for id in own.encode(sample)], own.encode(sample)),
    "GPT-2": ([own_gpt2.pieces[id] for id in own_gpt2.encode(sample)], own_gpt2.encode(sample)),
    "characters": (list(sample), characters.encode(sample)),
}
cuts = compared(strips, title="One sentence, four ways to cut it")
cuts.save("figures/tokens.svg")
display(cuts)

# %% [markdown]
# ## 3. Windows
#
# The model is to predict each next token, so the target of a window is the window, shifted by one. Windows may overlap: `stride` says how
# far one begins behind the other.


# %%
class NextTokens(Dataset[tuple[Tensor, Tensor]]):
    """Windows of `length` ids, `stride` apart: (what is read, what is to be predicted). A rest shorter than a window is left out."""

    def __init__(self, ids: Sequence[int], length: int, stride: int) -> None:
        # a view: no id is copied, however much the windows overlap
        self.windows = torch.tensor(ids).unfold(0, length + 1, stride)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        return self.windows[number, :-1], self.windows[number, 1:]


length, batch_size = 32, 8
dataset = NextTokens(ids, length, stride=length)
loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(seed))
inputs, targets = next(iter(loader))
assert inputs.shape == targets.shape == (batch_size, length) and torch.equal(inputs[:, 1:], targets[:, :-1])
print(inputs.shape, "->", targets.shape)
for end in range(1, 6):
    print(repr(own_gpt2.decode(inputs[0, :end].tolist())), "->", repr(own_gpt2.decode([int(targets[0, end - 1])])))

# %% [markdown]
# The same windows in Isinglass. It keeps the rest: one last window reaches back, so that every token but the first is predicted.

# %%
theirs = Windows(torch.tensor(ids).numpy(), length, length)
assert all(theirs[number].tolist() == dataset.windows[number].tolist() for number in range(len(dataset)))
print(f"{len(dataset):,} equal windows; ours leave out {len(ids) - 1 - len(dataset) * length} targets, Isinglass's {len(theirs):,} none")

rows = []
for stride in (1, length // 4, length // 2, length, 2 * length):
    windows = NextTokens(ids, length, stride)
    seen = torch.zeros(len(ids), dtype=torch.long)
    ends = torch.arange(len(windows)) * stride
    for offset in range(1, length + 1):
        seen[ends + offset] += 1
    rows.append(
        {"stride": stride, "windows": len(windows), "targets": len(windows) * length, "predicted_at_all": float((seen > 0).float().mean())}
        | {"times_each": float(seen[seen > 0].float().mean())}
    )
by_stride = {row["stride"]: row for row in rows}
strides = Table(rows, title=f"Windows of {length} tokens", units={"predicted_at_all": "ratio"})
display(strides)

# %% [markdown]
# ### Efficient batches
#
# The plain way builds a Python list per window. The view above costs nothing; a batch is then one indexing.

# %%
few = ids[: 20_000 if quick else 200_000]
began = time.perf_counter()
listed = [(torch.tensor(few[at : at + length]), torch.tensor(few[at + 1 : at + length + 1])) for at in range(len(few) - length)]
list_seconds, list_bytes = time.perf_counter() - began, sum(x.nbytes + y.nbytes for x, y in listed)
began = time.perf_counter()
viewed = NextTokens(few, length, stride=1)
view_seconds, view_bytes = time.perf_counter() - began, viewed.windows.untyped_storage().nbytes()
assert len(listed) == len(viewed) and all(torch.equal(a, b) for a, b in zip(listed[-1], viewed[len(viewed) - 1], strict=True))
batching = Table(
    [
        {"windows": "a tensor for each", "build_seconds": list_seconds, "ids_bytes": list_bytes},
        {"windows": "a view of one tensor", "build_seconds": view_seconds, "ids_bytes": view_bytes},
    ],
    title=f"{len(listed):,} windows of {length} tokens, stride 1",
)
display(batching)

# %% [markdown]
# ## 4. Ready for a model
#
# A model begins with two tables: what a token is, and where it stands. Looking a row up is the same as multiplying with a one-hot vector,
# which is why such a table can be trained like any linear layer; only it does not multiply by all the zeros.

# %%
torch.manual_seed(seed)
d_model = 16
embed_tokens, embed_positions = torch.nn.Embedding(gpt2.vocab_size, d_model), torch.nn.Embedding(length, d_model)
x = embed_tokens(inputs) + embed_positions(torch.arange(length))
one_hot = F.one_hot(inputs[0], gpt2.vocab_size).float()
torch.testing.assert_close(one_hot @ embed_tokens.weight, embed_tokens(inputs[0]))
x.sum().backward()
touched = int((embed_tokens.weight.grad.abs().sum(dim=1) > 0).sum()) if embed_tokens.weight.grad is not None else 0
assert touched == len(inputs.unique())
print(f"{tuple(inputs.shape)} ids -> {tuple(x.shape)}; the batch trains {touched} of {gpt2.vocab_size:,} rows of the table")

# %% [markdown]
# ## Exercise 2.2: texts of different lengths
#
# Sentences are not all equally long, and a tensor is a rectangle. Short rows are padded; a mask says what is padding, and the loss leaves
# it out (target -100). Which texts share a batch decides how much is padded.

# %%
documents = [own_gpt2.encode(line) for line in text.split("\n") if len(line.split()) > 1]
documents = [document[: length * 4] for document in documents][: 200 if quick else 2_000]
IGNORED = -100


def collate(batch: Sequence[Sequence[int]], pad: int = gpt2.special[END]) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and mask of texts of different lengths: (batch, longest - 1) each."""
    longest = max(map(len, batch)) - 1
    inputs = torch.tensor([[*row[:-1], *[pad] * (longest + 1 - len(row))] for row in batch])
    targets = torch.tensor([[*row[1:], *[IGNORED] * (longest + 1 - len(row))] for row in batch])
    return inputs, targets, targets != IGNORED


def padding(batches: DataLoader[Sequence[int]]) -> float:
    """The share of padding in all batches."""
    masks = [mask for _, _, mask in batches]
    return 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)


by_chance = DataLoader(documents, batch_size, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed))  # type: ignore
by_length = DataLoader(sorted(documents, key=len), batch_size, collate_fn=collate)  # type: ignore
chance, sorted_share = padding(by_chance), padding(by_length)

batch = documents[:batch_size]
padded_inputs, padded_targets, mask = collate(batch)
slots = padded([row[:-1] for row in batch])[1]
assert slots.valid is None or torch.equal(mask, slots.valid)  # Isinglass's rows, and its record of what is text
torch.manual_seed(seed)
head = torch.nn.Sequential(torch.nn.Embedding(gpt2.vocab_size, d_model), torch.nn.Linear(d_model, gpt2.vocab_size))
with torch.no_grad():
    together = F.cross_entropy(head(padded_inputs).transpose(1, 2), padded_targets, ignore_index=IGNORED, reduction="sum")
    alone = sum(F.cross_entropy(head(torch.tensor(row[:-1])), torch.tensor(row[1:]), reduction="sum") for row in batch)
    blind = F.cross_entropy(head(padded_inputs).transpose(1, 2), padded_targets.clamp(min=0))
    masked = F.cross_entropy(head(padded_inputs).transpose(1, 2), padded_targets, ignore_index=IGNORED)
torch.testing.assert_close(together, torch.as_tensor(alone))  # padding changes nothing
print(f"padding: {chance:.0%} of a batch by chance, {sorted_share:.0%} when texts of like length share one")
print(f"loss {float(masked):.4f} without padding, {float(blind):.4f} if it were counted")

# %% [markdown]
# ## Exercise 2.3: how often does each token occur?
#
# Zipf's law says: the token of rank r occurs about 1/r times as often as the first. On two logarithmic axes that is a straight line.

# %%
counts = Counter(ids)
ranked = [count for _, count in counts.most_common()]
kept = [count for count in ranked if count >= 2]  # the long tail of tokens that occur once is no law
log_rank, log_count = (torch.tensor([math.log(value) for value in values]) for values in (range(1, len(kept) + 1), kept))
slope = float(((log_rank - log_rank.mean()) * (log_count - log_count.mean())).sum() / ((log_rank - log_rank.mean()) ** 2).sum())
fit = zipf(ranked)
assert abs(-slope - fit.exponent) < 1e-3
top_share, once = sum(ranked[:10]) / len(ids), ranked.count(1) / len(ranked)
display(
    Table(
        [
            {"rank": rank, "token": repr(own_gpt2.decode([id])), "count": count, "share": count / len(ids)}
            for rank, (id, count) in enumerate(counts.most_common(10), 1)
        ],
        title="The ten most frequent tokens", units={"share": "ratio"},
    )
)  # fmt: skip
places = sorted({round(math.exp(math.log(len(ranked)) * step / 59)) for step in range(60)})
frequencies = lines(
    {"counted": ([float(place) for place in places], [float(ranked[place - 1]) for place in places])},
    theory={"fitted": ([1.0, float(fit.ranks)], [fit.first, fit.first / fit.ranks**fit.exponent])},
    title="How often tokens occur, by rank", x="rank", y="count", x_scale="log", y_scale="log",
)  # fmt: skip
frequencies.save("figures/frequencies.svg")
display(frequencies)

# %% [markdown]
# ## What the book prints
#
# The book uses a short story of 20,479 characters (`the-verdict.txt`). Run with that file (`--data the-verdict.txt`), its figures stand
# beside ours; any other text has none to compare with.

# %%
whole = WordTokenizer(text)
found = {"word tokens": len(whole.split(text)), "different words": len(whole.vocabulary) - 2, "GPT-2 tokens": len(ids)}
book = {"word tokens": 4_690, "different words": 1_130, "GPT-2 tokens": 5_145} if len(text) == 20_479 else {}
beside_the_book = Table(
    [{"what": what, "here": value, **({"book": book[what]} if book else {})} for what, value in found.items()], title="Counts"
)
display(beside_the_book)

# %% [markdown]
# ## The README
#
# Every figure in it is one that was measured above.

# %%
character, word, merged, gpt = (by_name[name] for name in kinds)
fewest = min(by_name.values(), key=lambda row: row["tokens"])["tokenizer"]
lossy = " and ".join(row["tokenizer"] for row in by_name.values() if not row["exact"])
left_out = len(ids) - 1 - len(dataset) * length
work = by_stride[1]["windows"] / by_stride[length]["windows"]
parts = [
    f"""The text is `{data}`: {len(text):,} characters, of which the last {len(held_out):,} were held out. What follows was measured in
`assignment1.ipynb`.""",
    Heading("How BPE differs from simpler tokenization"),
    f"""Words are {word["vocabulary"]:,} tokens here, and still {word["unknown"]:.2%} of the tokens of the held-out text are unknown to
them. Characters are {character["vocabulary"]}, but each is a token, so the same text is {character["tokens"] / merged["tokens"]:.1f} times
as long as with our {n_merges} merges, and {character["tokens"] / gpt["tokens"]:.1f} times as long as with GPT-2's {gpt["vocabulary"]:,}
tokens. Byte pair encoding stands between the two: it begins with the 256 bytes, so that nothing is ever unknown, and joins what often
stands together, so that frequent words become one token. With {n_merges} merges a token holds {merged["characters_per_token"]:.1f}
characters, with GPT-2's vocabulary {gpt["characters_per_token"]:.1f}. The fewest tokens were those of {fewest}.
{f"Decoding does not give the text back exactly for {lossy}." if lossy else "Each gives this text back exactly."} Byte pairs always do.""",
    vocabularies,
    "![One sentence, four ways to cut it](figures/tokens.svg)",
    "![How much text one token holds](figures/characters-per-token.svg)",
    f"""Equal ids, from our encoder with GPT-2's ranks and from {" and ".join(agreed)}: on {len(probes)} texts, the whole corpus
({len(ids):,} tokens) among them. Our {n_merges} merges are those that Isinglass learns, in the same order. The special token `{END}` is
one id ({gpt2.special[END]}) where we wrote it ourselves, and {len(own_gpt2.encode(END))} ordinary tokens where a user typed it.""",
    Heading("Why sliding windows"),
    f"""A model reads {length} tokens at once here, and the text has {len(ids):,}. A window beside itself, shifted by one token, gives
{length} predictions, with contexts of 1 to {length} tokens. The stride says how often a token is predicted: at stride {length} once, with
{by_stride[length]["windows"]:,} windows; at stride 1 up to {length} times, each time with another context, for {work:.0f} times the work;
at stride {2 * length} only {by_stride[2 * length]["predicted_at_all"]:.0%} of the tokens are predicted at all.""",
    strides,
    Heading("Challenges with batching"),
    f"""**Memory and time.** Tensors for each of {len(listed):,} overlapping windows took {list_seconds:.2f} s and
{list_bytes / 1e6:.1f} MB; a view of one tensor took {view_seconds * 1e3:.1f} ms and {view_bytes / 1e6:.1f} MB, with the same ids.""",
    batching,
    f"""**Different lengths.** Of batches of {batch_size} texts drawn by chance {chance:.0%} is padding; when texts of like length share a
batch it is {sorted_share:.1%}. Padding must not be learned: with the target {IGNORED} the summed loss equals that of the texts one by one.
Counted as text, it would have made the mean loss of the first batch {float(blind):.4f} in place of {float(masked):.4f}.""",
    f"""**The rest.** Windows of {length} tokens leave out {left_out} targets at the end of this text. In Isinglass the last window reaches
back instead.""",
    Heading("Token frequencies"),
    f"""{len(ranked):,} of GPT-2's {gpt2.vocab_size:,} tokens occur ({len(ranked) / gpt2.vocab_size:.1%}). The ten most frequent are
{top_share:.0%} of the text, and {once:.0%} of those that occur do so only once. Counts fall as 1 / rank^{fit.exponent:.2f}
(R² {fit.r_squared:.3f}).""",
    "![How often tokens occur, by rank](figures/frequencies.svg)",
    Heading("Beside the book"),
    "The book's figures stand beside ours." if book else "This is not the book's text, so there is nothing to compare these with.",
    beside_the_book,
]
Document("Assignment 1: text and tokens", parts).save("README.md")
