"""Span corruption: the paper's example and numbers, text that can be put together again, transformers' loss."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.adapted import adapt
from isinglass.training.events import StepDone
from isinglass.training.loop import train, training
from isinglass.training.objectives import family
from isinglass.training.objectives.masked_lm import stream
from isinglass.training.objectives.span_corruption import Counts, Frame, SpanCorruption, Whole, build
from models.theirs import make, save

THANKS = "Thank you for inviting me to your party last week ."
SENTINELS = [f"<extra_id_{n}>" for n in range(12)]
TEXTS = [f"the {animal} sees a {colour} house by the {place}" for animal in ("dog", "cat", "hen", "fox") for colour in ("red", "blue", "green")
         for place in ("sea", "lake", "hill")]  # fmt: skip
CONFIG = dict(context_length=24, batch_size=4, optimizer="adamw(lr=0.01)", schedule="constant(warmup=0)")


def fresh(**settings: Any) -> LM:
    special = ["<pad>", "</s>", *SENTINELS]
    tok = ig.train_tokenizer("word", TEXTS, special=special)
    values = ", ".join(
        f"{name}={value!r}" for name, value in {"n_layers": 1, "d_model": 32, "n_heads": 4, "d_head": 8, "d_ff": 48, **settings}.items()
    )
    return ig.create(f"t5({values})", tokenizer=tok, seed=3)


def records() -> list[Record]:
    return [Record({"text": text}, "t") for text in TEXTS]


def restored(source: list[int], target: list[int], frame: Frame) -> list[int]:
    """Each sentinel of the source replaced by what follows it in the target, up to the next sentinel."""
    ends = len(frame.end)
    source, target = source[: len(source) - ends], target[: len(target) - ends]
    meant: dict[int, list[int]] = {}
    for id in target:
        if id in frame.sentinels:
            meant[id] = []
            last = id
        else:
            meant[last].append(id)
    return [each for id in source for each in (meant[id] if id in frame.sentinels else [id])]


def test_the_example_of_the_paper() -> None:
    """Raffel et al. 2020, figure 2."""
    tok = ig.train_tokenizer("word", [THANKS], special=["<pad>", *SENTINELS[:3]])
    ids = np.array(tok.encode(THANKS))
    source, target = Frame.of(tok).corrupted(ids, [(2, 4), (8, 9)])
    x, y, z = SENTINELS[:3]
    assert [tok.piece(id) for id in source] == f"Thank you {x} me to your party {y} week .".split()
    assert [tok.piece(id) for id in target] == f"{x} for inviting {y} last {z}".split()


def test_the_decoder_begins_with_padding_and_reads_what_it_wrote() -> None:
    tok = ig.train_tokenizer("word", [THANKS], special=["<pad>", "</s>", *SENTINELS[:3]])
    goal, frame = build(), Frame.of(tok)
    batch = goal.collate([Whole(np.array(tok.encode(THANKS)), Counts(11, 3, 2), frame)], [0])
    assert batch.targets[0, -1] == batch.ids[0, -1] == tok.eos_id
    assert batch.decoder_ids.tolist() == [[tok.special["<pad>"], *batch.targets[0, :-1].tolist()]]
    assert (batch.n_targets, batch.n_tokens) == (3 + 2 + 1 + 1, (8 + 2 + 1) + 7)


@given(length=st.integers(2, 300), share=st.floats(0.01, 0.99), mean_span=st.floats(1, 10), seed=st.integers(0, 2**63 - 1))
def test_numbers_are_exact_and_the_text_comes_back(length: int, share: float, mean_span: float, seed: int) -> None:
    counts = Counts.of(length, share, mean_span)
    spans = counts.drawn(stream(seed))
    assert counts.cut == min(max(round(length * share), 1), length - 1)
    assert len(spans) == counts.spans == min(max(round(counts.cut / mean_span), 1), counts.cut, length - counts.cut)
    assert sum(end - begin for begin, end in spans) == counts.cut
    edges = [0, *(place for span in spans for place in span)]
    assert all(left < right for left, right in pairwise(edges)) and edges[-1] <= length
    frame = Frame(tuple(range(1000, 1301)), 0, (1,) if seed % 2 else ())
    ids = np.arange(2, length + 2)
    source, target = frame.corrupted(ids, spans)
    assert restored(source, target, frame) == ids.tolist()
    assert (len(source), len(target)) == (counts.read + len(frame.end), counts.written + len(frame.end))


def test_every_division_is_as_likely() -> None:
    """6 tokens cut of 12 in 3 spans: 10 ways to divide what is cut, 20 to divide what stays, the last part of which may be nothing."""
    counts = Counts(12, 6, 3)
    drawn = [counts.drawn(stream(seed)) for seed in range(4000)]
    lengths = Counter(tuple(end - begin for begin, end in spans) for spans in drawn)
    assert len(lengths) == 10
    assert sum((n - 400) ** 2 / 400 for n in lengths.values()) < 27.9  # chi square, 9 degrees of freedom, p = 0.001
    gaps = Counter((a, c - b, e - d) for (a, b), (c, d), (e, _) in drawn)
    assert len(gaps) == 20
    assert sum((n - 200) ** 2 / 200 for n in gaps.values()) < 43.8  # 19 degrees of freedom


def test_lengths_of_the_published_model() -> None:
    """T5 reads 568 tokens of text to fill 512, and writes 114 with the end token; the final sentinel of figure 2 is one more."""
    counts = build().filling(511)  # type: ignore[attr-defined]
    assert (counts.length, counts.read + 1, counts.written + 1) == (568, 512, 115)


@given(room=st.integers(3, 200), share=st.floats(0.05, 0.95), mean_span=st.floats(1, 6))
def test_a_piece_fills_the_room_and_never_more(room: int, share: float, mean_span: float) -> None:
    goal = SpanCorruption(share, mean_span)
    counts = goal.filling(room)
    assert max(counts.read, counts.written) <= room
    longer = Counts.of(counts.length + 1, share, mean_span)
    assert max(longer.read, longer.written) > room


def test_pieces_hold_all_text() -> None:
    lm, goal = fresh(), build()
    tok = lm.tokenizer
    examples = goal.examples(lm, records(), 24)
    text = [id for one in TEXTS for id in [*tok.encode(one), tok.eos_id]]
    batch = goal.collate([examples[n] for n in range(len(examples))], list(range(len(examples))))
    assert batch.ids.shape[1] <= 24 and batch.targets.shape[1] <= 24
    frame = Frame.of(tok)
    rows = [restored(source, target, frame) for source, target in zip(batch.ids.tolist(), batch.targets.tolist(), strict=True)]
    joined = [id for row in rows[:-1] for id in row]
    assert joined == text[: len(joined)] and rows[-1] == text[-len(rows[-1]) :] and len(joined) + len(rows[-1]) >= len(text)
    again = goal.collate([examples[3]], [3])
    assert torch.equal(again.ids[0], batch.ids[3]) and torch.equal(again.targets[0], batch.targets[3])
    assert not torch.equal(goal.collate([examples[3]], [4]).targets, again.targets)


@pytest.mark.parametrize("settings", [{}, {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}], ids=["first", "untied"])
def test_the_loss_is_that_of_transformers(settings: dict[str, Any], tmp_path: Path) -> None:
    theirs = make("T5ForConditionalGeneration", decoder_start_token_id=0, **settings)
    lm, goal = ig.load(save(theirs, tmp_path)), build()
    frame, counts = Frame((250, 249, 248, 247), 0, (1,)), Counts.of(40, 0.15, 3.0)
    wholes = [Whole(np.random.RandomState(n).randint(2, 240, 40), counts, frame) for n in range(3)]
    batch = goal.collate(wholes, [5, 6, 7])
    answers = theirs(input_ids=batch.ids, labels=batch.targets)  # shifts right from token 0 by itself
    model = goal.trainee(lm, 0).requires_grad_(True)
    loss = goal.loss(model, batch).total / batch.n_targets
    assert loss.item() == pytest.approx(answers.loss.item(), abs=1e-5)
    loss.backward()
    answers.loss.backward()
    torch.testing.assert_close(model.embed_tokens.weight.grad, theirs.shared.weight.grad, atol=1e-5, rtol=1e-3)


def test_an_adapter_on_the_head_is_part_of_the_loss() -> None:
    lm, goal = fresh(embeddings="untied"), build()
    model = adapt(goal.trainee(lm, 0), "lora(rank=2, targets=['head'])")
    batch = goal.collate([goal.examples(lm, records(), 24)[0]], [0])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("adapter.b"):
                weight.normal_(generator=torch.Generator().manual_seed(0))
        expected = torch.nn.functional.cross_entropy(
            model(batch.ids, batch.decoder_ids).flatten(0, 1), batch.targets.flatten(), reduction="sum"
        )
        assert goal.loss(model, batch).total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_loss_falls_and_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    options = dict(
        objective="span_corruption", steps=24, seed=5, config={**CONFIG, "accumulation": 2, "save_every": 8, "evaluate_every": 24}
    )
    whole = train(fresh(dropout=0.1), TEXTS, out=tmp_path / "whole", **options)
    losses = [row["loss"] for row in whole.rows]
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])
    assert whole.rows[-1]["perplexity"] == pytest.approx(np.exp(losses[-1]))
    events = training(fresh(dropout=0.1), TEXTS, out=tmp_path / "part", **options)
    next(event for event in events if isinstance(event, StepDone) and event.step == 11)
    events.close()  # type: ignore[attr-defined]
    resumed = train(fresh(dropout=0.1), TEXTS, out=tmp_path / "part", resume=True, **options)
    ours, theirs = resumed.lm.model.state_dict(), whole.lm.model.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [row["loss"] for row in resumed.rows] == losses
    again = ig.load(tmp_path / "whole")
    assert all(torch.equal(again.model.state_dict()[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    ("special", "text"),
    [
        (["<pad>"], r"the tokenizer 'word' has no sentinels, which stand for what is cut out\n  looked for the special tokens <extra_id_0>, "
                    r"<extra_id_1>, \.\.\.; found 0, expected 2 or more\nhint: take 't5', or train one"),
        (SENTINELS[:2], r"the tokenizer 'word' has no token for the decoder to begin with\n  looked for <pad>, \[PAD\] and a begin-of-text token\nhint"),
        (["<pad>", *SENTINELS[:2]], r"context_length = 64 makes 4 spans, which need 5 sentinels; the tokenizer 'word' has 2\nhint: a shorter context"),
    ],
)  # fmt: skip
def test_vocabularies_that_lack_what_it_needs(special: list[str], text: str) -> None:
    tok = ig.train_tokenizer("word", TEXTS, special=special)
    lm = ig.create("t5(n_layers=1, d_model=32, n_heads=4, d_head=8, d_ff=48)", tokenizer=tok)
    with pytest.raises(ConfigError, match=text):
        build().examples(lm, records(), 64)


def test_models_and_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"span_corruption trains an encoder-decoder.*of the kind decoder\nhint: model = \"t5"):
        build().trainee(ig.create("tiny"), 0)
    with pytest.raises(ConfigError, match=r"context_length leaves room for 2 tokens, expected 3 at least\nhint: set context_length"):
        build().examples(fresh(), records(), 3)
    with pytest.raises(VariantError, match=r"share = 0\.0, expected more than 0 and less than 1"):
        family.resolve("span_corruption(share=0.0)")
    with pytest.raises(VariantError, match=r"mean_span = 0\.5, expected at least 1 token"):
        family.resolve("span_corruption(mean_span=0.5)")
