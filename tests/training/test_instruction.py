"""Instruction tuning: the arrays of the book, masks from roles, packing that changes nothing, and records that cannot be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import isinglass as ig
from isinglass.core.errors import ConfigError, DataError, IsinglassError, TrainingError, VariantError
from isinglass.data.records import Record
from isinglass.generation.lm import LM
from isinglass.models.transformer import Decoder
from isinglass.nn.loss import IGNORED, cross_entropy
from isinglass.text.byte_vocabulary import byte_tokenizer
from isinglass.training.dialogue import Dialogue, question
from isinglass.training.loop import train
from isinglass.training.objectives import instruction
from isinglass.training.objectives.instruction import Instruction
from isinglass.training.recipe import read_recipe
from isinglass.training.shown import shown

ALPACA = {"instruction": "Add.", "input": "1+1", "output": "2"}
CHAT = {
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yo"},
        {"role": "user", "content": "bye"},
        {"role": "assistant", "content": "so long"},
        {"role": "user", "content": "?"},
    ]
}
SPELL = [{"instruction": f"Spell {word}", "output": "-".join(word)} for word in ("one", "two", "three", "seven", "eleven", "nine")]
CONFIG: dict[str, Any] = dict(context_length=192, batch_size=3, validation=0)


def goal(**options: Any) -> Instruction:
    made = instruction.build(**options)
    assert isinstance(made, Instruction)
    return made


def trained_text(name: str, fields: dict[str, Any], **options: Any) -> tuple[str, str]:
    """The whole conversation, and the trained tokens of it."""
    tok = ig.tokenizer(name)
    (one,) = goal(**options).dialogues(tok, [Record(fields, "here:1")])
    return tok.decode(one.ids), tok.decode([id for id, flag in zip(one.ids, one.trained, strict=True) if flag])


def test_the_arrays_of_the_book() -> None:
    """Build a Large Language Model (From Scratch), chapter 7: rows 0-4, 5-6 and 7-9, ended and padded with 50256, all tokens trained."""
    texts = [[0, 1, 2, 3, 4], [5, 6], [7, 8, 9]]
    rows = [(Dialogue((*text, 50256), (True,) * (len(text) + 1), ""),) for text in texts]
    batch = goal(trained="all").collate(rows, [0, 0, 0])
    assert batch.slots.valid is not None
    ids = batch.ids.where(batch.slots.valid, 50256)  # ours are padded with 0, and the slots say where
    assert ids.tolist() == [[0, 1, 2, 3, 4], [5, 6, 50256, 50256, 50256], [7, 8, 9, 50256, 50256]]
    assert batch.targets.tolist() == [[1, 2, 3, 4, 50256], [6, 50256, -100, -100, -100], [8, 9, 50256, -100, -100]]
    assert (batch.n_targets, batch.n_tokens) == (10, 10)


def test_the_losses_of_the_book() -> None:
    two, three = torch.tensor([[-1.0, 1.0], [-0.5, 1.5]]), torch.tensor([[-1.0, 1.0], [-0.5, 1.5], [-0.5, 1.5]])
    assert float(cross_entropy(two, torch.tensor([0, 1])) / 2) == pytest.approx(1.1269, abs=5e-5)
    assert float(cross_entropy(three, torch.tensor([0, 1, 1])) / 3) == pytest.approx(0.7936, abs=5e-5)
    assert float(cross_entropy(three, torch.tensor([0, 1, IGNORED])) / 2) == pytest.approx(1.1269, abs=5e-5)


@pytest.mark.parametrize(
    ("template", "whole"),
    [
        ("alpaca(preamble='Do.')", "Do.\n\n### Instruction:\nAdd.\n\n### Input:\n1+1\n\n### Response:\n2<|im_end|>"),
        ("chatml", "<|im_start|>user\nAdd.\n\n1+1<|im_end|>\n<|im_start|>assistant\n2<|im_end|>"),
        ("plain", "Add.\n\n1+1\n2<|im_end|>"),
    ],
)
def test_only_the_reply_and_its_end_are_trained(template: str, whole: str) -> None:
    assert trained_text("smollm2", ALPACA, template=template) == (whole, "2<|im_end|>")


def test_every_reply_of_a_conversation_is_trained_and_nothing_after_the_last() -> None:
    whole, trained = trained_text("smollm2", CHAT, template="chatml")
    assert trained == "yo<|im_end|>so long<|im_end|>"
    assert whole.endswith("<|im_start|>assistant\nso long<|im_end|>")
    assert whole.startswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n<|im_start|>user\nbye")


def test_the_ids_are_those_of_transformers_template(smollm2: LM) -> None:
    """The oracle is the template language of transformers, with the model's own template."""
    jinja2 = pytest.importorskip("jinja2")
    source = smollm2.tokenizer.chat_template
    assert source is not None
    messages = CHAT["messages"][:-1]
    text = jinja2.Template(source).render(messages=messages, add_generation_prompt=False)
    whole, _ = trained_text("smollm2", CHAT, template="own")
    assert text == whole + "\n"
    (one,) = goal(template="own").dialogues(smollm2.tokenizer, [Record(CHAT, "1")])
    assert smollm2.tokenizer.encode(text, special="parse")[: len(one.ids)] == list(one.ids)


def test_own_falls_back_on_no_template() -> None:
    assert trained_text("gpt2", ALPACA, template="own") == ("Add.\n\n1+1\n2<|endoftext|>", "2<|endoftext|>")


def test_fields_by_name_are_written_as_in_the_other_objectives() -> None:
    """What is learned here is what dpo and ppo score: the prompt as it is written, and the response behind it."""
    fields = {"kjv": "Thou art", "web": "You are"}
    named = dict(prompt="Rewrite: {kjv}\n", response="web")
    assert trained_text("gpt2", fields, template="plain", **named) == ("Rewrite: Thou art\nYou are<|endoftext|>", "You are<|endoftext|>")


def test_markers_that_somebody_says_stay_text(smollm2: LM) -> None:
    tok = smollm2.tokenizer
    fields = {"instruction": "what does <|im_end|> do?", "output": "<|im_end|> ends"}
    (one,) = goal(template="own").dialogues(tok, [Record(fields, "1")])
    assert one.ids.count(tok.special["<|im_end|>"]) == 3  # of the system text, the user and the reply


def test_the_question_is_what_stands_before_the_reply() -> None:
    tok, objective = byte_tokenizer(), goal(template="alpaca(preamble='Do.')")
    (asked,) = objective.read([Record(ALPACA, "1")])
    ids = question(tok, objective.template_of(tok), asked)
    assert tok.decode(ids) == "Do.\n\n### Instruction:\nAdd.\n\n### Input:\n1+1\n\n### Response:\n"
    assert list(objective.dialogues(tok, [Record(ALPACA, "1")])[0].ids) == [*ids, *tok.encode("2")]


def totals(lm: LM, objective: Instruction, rows: Sequence[tuple[Dialogue, ...]]) -> float:
    model = objective.trainee(lm, 0).eval()
    with torch.no_grad():
        return float(objective.loss(model, objective.collate(rows, [0] * len(rows))).total)


@pytest.mark.parametrize("position", ["rotary", "learned", "alibi"])
def test_packed_conversations_do_not_see_each_other(make_lm: Callable[..., LM], position: str) -> None:
    lm = make_lm("tiny(n_layers=2, context_length=400)", attention={"position": position})
    records = [Record(fields, str(n)) for n, fields in enumerate(SPELL)]
    packing, alone = goal(packing="packed"), goal()
    rows = packing.examples(lm, records, 400)
    assert len(rows) < len(records) and sum(map(len, rows)) == len(records)
    each = [totals(lm, alone, [row]) for row in alone.examples(lm, records, 400)]
    assert totals(lm, packing, rows) == pytest.approx(sum(each), rel=1e-5)
    # and one row by itself: its loss is that of its members, whatever the other rows hold
    members = [totals(lm, alone, [(one,)]) for one in rows[0]]
    assert totals(lm, packing, rows[:1]) == pytest.approx(sum(members), rel=1e-5)


def test_no_gradient_crosses_from_one_conversation_to_another(make_lm: Callable[..., LM]) -> None:
    lm, objective = make_lm("tiny(context_length=400)"), goal(packing="packed")
    (row, *_) = objective.examples(lm, [Record(fields, str(n)) for n, fields in enumerate(SPELL)], 400)
    model = objective.trainee(lm, 0)
    batch = objective.collate([row], [0])
    seen: list[torch.Tensor] = []
    model.embed_tokens.register_forward_hook(lambda _, __, out: seen.append(out.requires_grad_()) or None)
    hidden = model.hidden(batch.ids, slots=batch.slots)
    first = len(row[0])
    (gradient,) = torch.autograd.grad(hidden[0, first:].sum(), seen[0])
    assert float(gradient[0, :first].abs().max()) == 0.0
    assert float(gradient[0, first:].abs().min()) > 0.0


def test_positions_restart(tiny_lm: LM) -> None:
    rows = [(Dialogue((1, 2, 3), (True,) * 3, ""), Dialogue((4, 5), (False, True), "")), (Dialogue((6, 7), (True, True), ""),)]
    batch = goal(packing="packed").collate(rows, [0, 0])
    assert batch.slots.document is not None and batch.slots.valid is not None
    assert batch.slots.position.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert batch.slots.document.tolist()[0] == [0, 0, 1]
    assert batch.slots.valid.tolist() == [[True] * 3, [True, False, False]]
    assert batch.targets.tolist() == [[2, 3, 5], [7, IGNORED, IGNORED]]


@given(
    st.lists(st.tuples(st.text("ab \n", min_size=1, max_size=8).filter(str.strip), st.text("ab<|>\n", max_size=8)), min_size=1, max_size=4)
)
def test_what_is_trained_is_what_was_replied(smollm2: LM, turns: list[tuple[str, str]]) -> None:
    """Any conversation, any template: the trained tokens are the replies with their ends, the whole is the template's own text."""
    tok = smollm2.tokenizer
    said = [m for ask, reply in turns for m in ({"role": "user", "content": ask}, {"role": "assistant", "content": reply})]
    record = Record({"messages": said}, "1")
    for template in ("chatml", "alpaca", "plain"):
        objective = goal(template=template)
        (one,) = objective.dialogues(tok, [record])
        end = tok.special["<|im_end|>"]
        trained = [id for id, flag in zip(one.ids, one.trained, strict=True) if flag]
        assert trained == [id for _, reply in turns for id in (*tok.encode(reply), end)]
        if template == "chatml":
            (asked,) = objective.read([record])
            assert tok.decode(one.ids) + "\n" == objective.template_of(tok).render(asked.messages, reply=False)


@pytest.mark.parametrize("packing", ["none", "packed"])
def test_it_learns(packing: str) -> None:
    config = {**CONFIG, "optimizer": "adamw(lr=0.01)", "context_length": 256}
    run = train(ig.create("tiny(context_length=256)"), SPELL, objective=f"instruction(packing='{packing}')", steps=12, config=config)
    assert run.rows[-1]["loss"] < 0.6 * run.rows[0]["loss"]
    assert set(run.rows[0]) >= {"loss", "perplexity"}


def test_both_packings_have_the_same_loss_of_all_records(make_lm: Callable[..., LM]) -> None:
    """A batch that holds everything: packed or not, the first loss is the same number."""
    lm = make_lm("tiny(context_length=1000)")
    losses = []
    for packing, size in (("none", len(SPELL)), ("packed", 1)):
        config = {"context_length": 1000, "batch_size": size, "validation": 0}
        run = train(lm, SPELL, objective=f"instruction(packing='{packing}')", steps=1, config=config)
        losses.append(run.rows[0]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_kept_activations_change_nothing() -> None:
    lm = ig.create("tiny(n_layers=3)")
    options: dict[str, Any] = dict(objective="instruction(packing='packed')", strategy="last_block", steps=4)
    config = {**CONFIG, "context_length": 256}
    with_them, without = (train(lm, SPELL, config={**config, "reuse": reuse}, **options) for reuse in ("auto", "never"))
    for one, other in zip(with_them.rows, without.rows, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)


def test_a_lora_run_says_what_merging_changes() -> None:
    config = {**CONFIG, "optimizer": "adamw(lr=0.01)"}
    run = train(ig.create("tiny"), SPELL, objective="instruction", adapter="lora(rank=4)", steps=4, config=config)
    assert run.drift is not None
    merged, unmerged, changed = (row["largest difference"] for row in run.drift.rows)
    assert merged < 1e-4 and unmerged < 1e-4 < 0.01 < changed
    assert "merged beside adapted" in run.drift.to_markdown()
    for adapter in (None, "prefix(length=2)"):
        assert train(ig.create("tiny"), SPELL, objective="instruction", adapter=adapter, steps=1, config=config).drift is None


def test_shown_marks_what_is_trained() -> None:
    seen = shown(ig.tokenizer("smollm2"), [Record(ALPACA, "a.json[0]")], "instruction(template='own')")
    assert [row["token"] for row in seen.data.rows if row["trained"]] == ["2", "<|im_end|>"]
    assert f"2 of {len(seen.data.rows)} tokens are trained" in seen.to_terminal(100, color=False)
    assert 'data-id="' in seen.to_html()


def test_shown_wants_conversations() -> None:
    with pytest.raises(ConfigError, match="objective = 'causal_lm' has no conversations to show"):
        shown(byte_tokenizer(), [Record(ALPACA, "1")], "causal_lm")


def test_the_trained_model_ends_where_its_replies_do(tmp_path: Path) -> None:
    """The control token of the template may be another than the vocabulary's end token; the model says it, so generation must know it."""
    tok = ig.train_tokenizer("bpe", ["one two"], vocab_size=262, special=["<|im_start|>", "<|im_end|>"])
    lm = ig.create("tiny", tokenizer=tok)
    assert lm.end_ids == frozenset()
    for strategy in ("all", "last_block"):  # the second with activations that are kept
        options: dict[str, Any] = dict(strategy=strategy, steps=1, config=CONFIG, out=tmp_path / strategy)
        run = train(lm, SPELL, objective="instruction(template='chatml')", **options)
        assert run.lm.end_ids == ig.load(tmp_path / strategy).end_ids == {tok.special["<|im_end|>"]}


# Bad input -------------------------------------------------------------------------------------------------------------


def refused(records: Sequence[dict[str, Any]], tmp_path: Path, **options: Any) -> IsinglassError:
    """The error of reading records from a file, where the second line is the bad one."""
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        train(ig.create("tiny"), file, objective=goal(**options), steps=1, config=CONFIG)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"instruction": "Add."}, "data.jsonl:2: no field 'output'"),
        ({"instruction": 3, "output": "x"}, "data.jsonl:2: field 'instruction' is 3, expected text"),
        ({"text": "x"}, "data.jsonl:2: no field 'messages', and no field 'instruction'"),
        (CHAT, "data.jsonl:2: this record holds 'messages', those before hold 'instruction' and 'output' ("),
        ({"instruction": " ", "output": "x"}, "data.jsonl:2: the text of the user is empty, so there is nothing to reply to"),
        (
            {"instruction": "### Instruction:\nAdd.", "output": "x"},
            "data.jsonl:2: the text of the user begins with '### Instruction:': it is in a template already",
        ),
        ({"instruction": "Add.", "output": ""}, "data.jsonl:2: not one token is trained: the reply is empty"),
        # bytes: a preamble of 105, headings of 19 and 16, and 240
        ({"instruction": "Add." * 60, "output": "x"}, "data.jsonl:2: 380 tokens, beyond the context of 192; 1 of 2 are"),
    ],
)
def test_records_that_cannot_be_used(fields: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert told in refused([SPELL[0], fields], tmp_path).message


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ("hi", "data.jsonl:2: field 'messages' is 'hi', expected a list"),
        ([{"role": "user"}], "data.jsonl:2: messages[0] is {'role': 'user'}, expected an object with role and content, both text"),
        ([{"role": "user", "content": "hi"}], "data.jsonl:2: no message of the assistant, so there is nothing to learn"),
        ([{"role": "assistant", "content": "hi"}], "data.jsonl:2: the first message is the assistant's"),
        (
            [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "hi"}],
            "data.jsonl:2: message 0 has the role 'tool'; the alpaca template knows system, user, input, assistant",
        ),
    ],
)
def test_messages_that_cannot_be_used(messages: Any, told: str, tmp_path: Path) -> None:
    assert told in refused([CHAT, {"messages": messages}], tmp_path).message


def test_a_missing_field_of_ones_own(tmp_path: Path) -> None:
    error = refused([{"q": "a", "a": "b"}, {"q": "c"}], tmp_path, template="plain", prompt="q", response="a")
    assert "data.jsonl:2: no field 'a'" in error.message


def test_long_conversations_are_left_out_when_one_says_so(tmp_path: Path) -> None:
    lm, long = ig.create("tiny"), Record({"instruction": "x" * 200, "output": "y"}, "f:2")
    short = Record(SPELL[0], "f:1")
    assert len(goal(too_long="dropped").examples(lm, [short, long], 192)) == 1
    with pytest.raises(DataError, match=r"f:2: .* beyond the context of 192; 1 of 1 are, so that nothing is left") as caught:
        goal(too_long="dropped").examples(lm, [long], 192)
    assert caught.value.hint is not None and "takes all" in caught.value.hint
    with pytest.raises(DataError) as caught:
        goal().examples(lm, [short, long], 192)
    (needed,) = [int(word) for word in (caught.value.hint or "").split() if word.isdigit()][:1]
    assert len(goal().examples(lm, [short, long], needed)) == 2  # the hint can be carried out


def test_a_batch_without_a_trained_token_is_refused() -> None:
    """No record makes one; a batch that somebody else makes is refused by the step."""
    objective = goal()
    lm = ig.create("tiny")
    rows = [(Dialogue((1, 2, 3), (False, False, False), ""),)]
    assert totals(lm, objective, rows) == 0.0

    class Empty(Instruction):
        def examples(self, lm: LM, records: Any, context_length: int) -> Any:
            return rows

    empty = Empty(objective.template, objective.trained, objective.packing, objective.too_long, objective.conversations)
    with pytest.raises(TrainingError, match="step 1: no token of the batch is trained, so there is nothing to learn from"):
        train(lm, SPELL, objective=empty, steps=1, config=CONFIG)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("instruction(template='alpacca')", "unknown template 'alpacca'"),
        ("instruction(prompt='q')", "instruction: prompt without response"),
        ("instruction(response='a')", "instruction: response without prompt"),
        ("instruction(trained='replies')", "trained"),
        ("instruction(packing='tight')", "packing"),
        ("instruction(too_long='cut')", "too_long"),
    ],
)
def test_bad_arguments(expression: str, told: str) -> None:
    with pytest.raises(VariantError) as caught:
        train(ig.create("tiny"), SPELL, objective=expression, steps=1, config=CONFIG)
    assert told in str(caught.value)


def test_encoders_are_refused() -> None:
    lm = ig.create("bert(n_layers=1, d_model=32, n_heads=4)")
    with pytest.raises(ConfigError, match="instruction: a model that is an encoder cannot learn this"):
        train(lm, SPELL, objective="instruction", steps=1, config=CONFIG)


def test_the_recipe() -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "examples" / "instruct.toml")
    made = instruction.build(template="own", packing="packed")
    from isinglass.training import objectives

    assert objectives.family.resolve(recipe.objective) == made
    assert recipe.adapter == "lora(rank=8)" and recipe.train.context_length == 512


def test_the_books_file() -> None:
    """1,100 instructions, as the book counts them; every one fits into 256 tokens of GPT-2 in the Alpaca format."""
    file = next((p / "shared/facts/data/instruction-data.json" for p in Path(__file__).parents if (p / "shared/facts").is_dir()), None)
    if file is None:
        pytest.skip("the book's instruction-data.json is not beside the repository")
    from isinglass.data.sources import read

    found = goal().dialogues(ig.tokenizer("gpt2"), read(file))
    assert len(found) == 1100
    assert max(map(len, found)) < 256
    assert all(one.ids[-1] == 50256 and one.trained[-1] and not one.trained[0] for one in found)


def test_the_model_is_a_copy(tiny_lm: LM) -> None:
    made = goal(packing="packed").trainee(tiny_lm, 0)
    assert isinstance(made, Decoder) and made is not tiny_lm.model
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(made.eval()(ids), tiny_lm.decoder(ids))
