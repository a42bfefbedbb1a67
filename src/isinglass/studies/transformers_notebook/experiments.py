"""Small experiments of the notebook: each gives numbers, the notebook says what they mean."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

import isinglass as ig
from isinglass.core.errors import EngineError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.generation.rewriting import rewrite
from isinglass.inspection.reading import token_text
from isinglass.inspection.trace import Recorder
from isinglass.nn.attention import masks
from isinglass.nn.attention.dims import Dims
from isinglass.nn.attention.slots import Slots
from isinglass.nn.block import Block, PostNormBlock
from isinglass.show.figure import Figure
from isinglass.show.marks.heatmap import heatmap
from isinglass.studies.transformers_notebook import notes
from isinglass.studies.transformers_notebook.older import Surprise
from isinglass.studies.transformers_notebook.pairs import reversals

# books of the Bible by kind, for the classifier of exercise 1: three classes as in the notes
KINDS = {
    "law": ("Genesis", "Exodus", "Leviticus", "Numbers", "Deuteronomy"),
    "poetry": ("Job", "Psalms", "Proverbs", "Ecclesiastes", "Song of Solomon"),
    "gospel": ("Matthew", "Mark", "Luke", "John"),
}


def bits_per_byte(surprise: Surprise, rows: Tensor, n_bytes: int) -> float:
    """Of all tokens but the first of each row, which hold `n_bytes`."""
    return float(surprise(rows).double().sum()) / math.log(2) / n_bytes


def by_kind(records: Sequence[Record]) -> list[Record]:
    """The verses of the books of `KINDS`, with the kind as their label."""
    kind = {book: name for name, books in KINDS.items() for book in books}
    books = [(str(record["reference"]).rpartition(" ")[0], record) for record in records]
    return [Record({"text": record.text, "label": kind[book]}, record.place) for book, record in books if book in kind]


def order_noticed(positions: Sequence[str]) -> dict[str, float]:
    """The largest change of the last token's scores when "dog" and "man" change places, for each position scheme, all tokens visible."""
    found = {}
    for position in positions:
        lm = ig.create("tiny", attention={"position": position, "mask": "full"})
        generator = torch.Generator().manual_seed(0)
        for weight in lm.model.parameters():
            nn.init.normal_(weight, std=0.2, generator=generator)  # fresh weights are so small that little matters
        one, other = (ig.trace(lm, text).logits[0, -1] for text in ("dog bites man.", "man bites dog."))
        found[position] = float((one - other).abs().max())
    return found


def last_gradient(kind: type[Block | PostNormBlock], depth: int, seed: int, width: int = 64, draws: int = 3) -> float:
    """The norm of the loss's gradient at the feed-forward layer of the last of `depth` untrained blocks, the mean of some draws."""
    found = []
    for draw in range(draws):
        torch.manual_seed(seed * draws + draw)
        blocks = [notes.block(width, 4, 4 * width, kind=kind) for _ in range(depth)]
        norm, out = nn.LayerNorm(width), nn.Linear(width, 50)
        x, slots = torch.randn(8, 16, width), Slots(torch.arange(16)[None].expand(8, -1))
        for layer, block in enumerate(blocks):
            x = block(x, layer=layer, slots=slots, k_slots=slots)
        logits = out(norm(x) if kind is Block else x)  # a pre-norm stack ends with a norm
        last = blocks[-1].mlp.down_proj.weight
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), torch.randint(50, (8 * 16,)))
        found.append(float(torch.autograd.grad(loss, last)[0].norm()))  # type: ignore[arg-type]
    return sum(found) / draws


def seen(mask: str, n_tokens: int = 8, prefix: int = 0) -> Tensor:
    """Who may read whom: 1 where row reads column."""
    place = torch.arange(n_tokens)[None]
    slots = Slots(place, prefix_length=torch.tensor([prefix]))
    rule = masks.family.resolve(mask, Dims(d_model=64, n_heads=4, n_kv_heads=4, d_head=16, context_length=512))
    return rule.allow(slots, slots).expand(1, n_tokens, n_tokens)[0].float()


@torch.inference_mode()
def noticed(lm: LM, text: str, other: str) -> list[bool]:
    """Which tokens have another vector after the last layer when the text ends otherwise."""
    name, kept = f"layers.{lm.config.n_layers - 1}.resid_post", []
    for one in (text, other):
        recorder = Recorder([f"*{name}"])
        lm.model(torch.tensor([lm.encode(one)]), tap=recorder)
        kept.append(next(iter(recorder.kept.values()))[0])
    return [bool(apart > 1e-3) for apart in (kept[0] - kept[1]).norm(dim=-1)]


def tiny_t5(lengths: range, *, per_length: int, steps: int, seed: int) -> LM:
    """An encoder-decoder that learned to write rows of letters from their end."""
    made = []
    for length in lengths:
        source, target = reversals(per_length, length, seed + length)
        made += [{"source": _spelled(a), "target": _spelled(b)} for a, b in zip(source.tolist(), target.tolist(), strict=True)]
    tokenizer = ig.train_tokenizer("unigram(special=['<pad>', '</s>', '<unk>'])", [row["source"] for row in made[:400]], vocab_size=40)
    shape = "n_layers=2, d_model=64, n_heads=4, d_head=16, d_ff=128, embeddings='tied', context_length=48"
    lm = ig.create(f"t5(size='v1.1-small', {shape})", tokenizer=tokenizer, seed=seed)
    config = {"batch_size": 64, "optimizer": "muon(lr=0.01)", "validation": 0.0}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        path.write_text("\n".join(map(json.dumps, made)), encoding="utf-8")
        return ig.train(lm, path, objective="text_to_text", steps=steps, seed=seed, config=config).lm


def letters_right(lm: LM, length: int, count: int = 50, seed: int = 10**6) -> float:
    """The share of letters that an encoder-decoder of ours writes rightly."""
    source, target = reversals(count, length, seed + length)
    written = [found.text.split() for found in rewrite(lm, [_spelled(row) for row in source.tolist()], max_tokens=2 * length + 4)]
    hits = [a == b for row, want in zip(written, target.tolist(), strict=True) for a, b in zip(row, _spelled(want).split(), strict=False)]
    return sum(hits) / (count * length)


def _spelled(ids: Sequence[int]) -> str:
    return " ".join(string.ascii_lowercase[id - 1] for id in ids)


@torch.inference_mode()
def gaps_filled(encoder: LM, decoder: LM, rows: Tensor, seed: int) -> dict[str, float]:
    """How often the encoder names the one hidden token of a row, reading both sides, and the decoder, reading what stands before it.

    The third is one that always names the most frequent token.
    """
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(1, rows.shape[1], (len(rows),), generator=generator)
    each = torch.arange(len(rows))
    hidden = rows.clone()
    hidden[each, places] = encoder.tokenizer.special["[MASK]"]
    both = encoder.model(hidden)["masked_lm"][each, places]  # type: ignore[index]
    left = decoder.model(rows)[each, places - 1]  # type: ignore[index]
    truth = rows[each, places]
    named = {"both sides": both.argmax(-1), "left side": left.argmax(-1), "most frequent": rows.flatten().mode().values.expand_as(truth)}
    return {name: float((guess == truth).float().mean()) for name, guess in named.items()}


def evenness(weights: Tensor) -> float:
    """Entropy of each row beside that of an even spread over the tokens in sight: the mean of all rows with a choice."""
    sight = (weights > 0).sum(-1).clamp(min=2)
    entropy = -(weights * weights.clamp(min=1e-12).log()).sum(-1)
    return float((entropy / sight.log())[..., 1:].mean())


def overlap(weights: Tensor) -> list[float]:
    """For each layer how much weight two of its heads put in the same place, the mean of all pairs: 1 for equal heads."""
    common = torch.minimum(weights[:, :, None], weights[:, None, :]).sum(-1)[..., 1:].mean(-1)
    others = ~torch.eye(weights.shape[1], dtype=torch.bool)
    return common[:, others].mean(-1).tolist()


def goes(weights: Tensor, *, both_ends: bool) -> dict[str, list[float]]:
    """For each layer the share of the weight for the first token (`both_ends`: and the last), the token itself, the one before."""
    ends = [0, weights.shape[-1] - 1] if both_ends else [0]
    return {
        "special tokens" if both_ends else "first token": weights[..., 1:, ends].sum(-1).mean((1, 2)).tolist(),
        "itself": weights.diagonal(dim1=-2, dim2=-1)[..., 1:].mean((1, 2)).tolist(),
        "the token before": weights.diagonal(offset=-1, dim1=-2, dim2=-1).mean((1, 2)).tolist(),
    }


def abilities(models: Mapping[str, LM]) -> tuple[list[dict[str, str]], list[str]]:
    """What each kind of model does as it stands, task by task, and what the others say instead."""
    tasks: dict[str, Callable[[LM], object]] = {
        "continue a text": lambda lm: ig.generate(lm, "The king", max_tokens=2),
        "a vector of a text": lambda lm: ig.embed(lm, ["The king"]),
        "write a text anew": lambda lm: rewrite(lm, ["a b c"], max_tokens=2),
    }
    rows, refusals = [], []
    for task, tried in tasks.items():
        rows.append({"task": task})
        for kind, lm in models.items():
            try:
                tried(lm)
            except EngineError as refused:
                refusals.append(f"{kind}, {task}: {refused.message}")
            rows[-1][kind] = "no" if refusals and refusals[-1].startswith(f"{kind}, {task}:") else "yes"
    return rows, refusals


def cross_attention(lm: LM, letters: Sequence[str], command: str) -> Figure:
    """Where an encoder-decoder looks in the text it read while it writes that text from its end: the head that looks most sharply."""
    read, written = " ".join(letters), " ".join(reversed(letters))
    trace = ig.trace(lm, read, target=written)
    weights = trace.attention_weights(which="cross")
    layer, head = divmod(int(weights.amax(-1).mean(-1).argmax()), weights.shape[1])
    site = trace.reading.attention("cross")
    rows, columns = ([token_text(lm, id).strip() for id in side.ids[0]] for side in (site.queries, site.keys))
    return heatmap(
        weights[layer, head], title=f"Cross-attention of the tiny T5, layer {layer}, head {head}", rows=rows, columns=columns,
        row_axis="written", column_axis="read", value="attention weight", limits=(0, 1), command=command,
    )  # fmt: skip
