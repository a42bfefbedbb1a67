# %% [markdown]
# # Assignment 5, option B: fine-tuning to follow instructions
#
# After chapter 7 of *Build a Large Language Model (From Scratch)*. Questions and answers are put into one format, the loss looks at the
# answers alone, and a pretrained model learns to answer in that way. Format, mask, batches and loop are written out here in plain PyTorch
# and held beside Isinglass's. `README.md` is written by the last cell, from the values this run measured.
#
# With the book's data: `data = "instruction-data.json"` (a list of objects with `instruction`, `input` and `output`). Without a file the
# instructions are made from two translations of the Bible: a verse of 1611 is to be rewritten in modern English, and the reference is the
# verse of 2000. Whether an answer is modern can be counted: words such as "thou" and "hath".

# %%
import json
import math
import statistics
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from IPython.display import display
from torch import Tensor, nn

import isinglass as ig
from isinglass.data.records import Record
from isinglass.data.sources import is_corpus, read
from isinglass.evaluation.responses import responses
from isinglass.report.document import Document, Heading
from isinglass.show.marks.bars import bars
from isinglass.show.marks.lines import lines
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.studies.alignment import archaic_words, short_verses
from isinglass.text.template import Message
from isinglass.text.templates import alpaca
from isinglass.training.dialogue import question
from isinglass.training.freeze import trainable
from isinglass.training.objectives import instruction
from isinglass.training.objectives.dpo import dpo_loss
from isinglass.training.reuse import Reused, states
from isinglass.training.shown import shown

# %% tags=["parameters"]
quick = False  # True: the same cells, with a tiny model that has read nothing and few examples
data = "kjv-web"  # or a json file: a list of objects with instruction, input (may be empty) and output
model = "smollm2"  # or a folder with GPT-2's weights in Hugging Face's form
seed = 0

# %%
began = time.perf_counter()
N_TRAIN, N_COMPARED, N_HELD, N_ANSWERED = (12, 8, 4, 2) if quick else (160, 64, 16, 12)
LONGEST = 40 if quick else 80  # characters of a verse
CONTEXT = 512 if quick else 192  # tokens of a conversation; longer ones are left out
MAX_TOKENS = 8 if quick else 48  # of a response

lm = ig.create("tiny(context_length=640)", seed=seed) if quick and model == "smollm2" else ig.load(model)
tokenizer, n_layers = lm.tokenizer, lm.config.n_layers
pretrained = "a tiny model that has read nothing" if quick and model == "smollm2" else f"`{model}`"


def kept(figure: Showable, name: str) -> Showable:
    """The figure, which is also saved for the report."""
    Path("figures").mkdir(exist_ok=True)
    figure.save(f"figures/{name}.svg")
    return figure


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# %% [markdown]
# ## 1. Instructions, inputs, outputs


# %%
def verses() -> list[Record]:
    ask = "Rewrite this verse in modern English."
    return [Record({"instruction": ask, "input": one["kjv"], "output": one["web"]}, one.place) for one in short_verses(LONGEST)]


everything = verses() if is_corpus(data) else list(read(data))
goal = instruction.build(template="alpaca")
fitting = [record for record in everything if len(record.string("output")) and
           sum(len(str(part)) for part in record.fields.values()) < CONTEXT * (0.6 if quick else 2)]  # fmt: skip
order = torch.randperm(len(fitting), generator=torch.Generator().manual_seed(seed)).tolist()
chosen = [fitting[number] for number in order[: N_TRAIN + 2 * N_HELD + N_ANSWERED]]
lengths = [len(one) for one in goal.dialogues(tokenizer, chosen)]
chosen = [record for record, length in zip(chosen, lengths, strict=True) if length <= CONTEXT]
test, validation, train = chosen[:N_ANSWERED], chosen[N_ANSWERED : N_ANSWERED + N_HELD], chosen[N_ANSWERED + N_HELD :][:N_TRAIN]
print(f"{len(everything):,} examples; {len(train)} to learn from, {len(validation)} held out, {len(test)} to be answered")
Table([record.fields for record in train[:4]], title="Some examples")

# %% [markdown]
# ## 2. One format
#
# Alpaca's: a sentence that says what follows, the instruction and the input under headings, and a heading for the response. What the model
# is asked with ends where the response begins; what it learns from goes on with the response and ends with the token that ends a text.

# %%
PREAMBLE = "Below is an instruction that describes a task. Write a response that appropriately completes the request."


def prompt_of(record: Record) -> str:
    given = f"\n\n### Input:\n{record['input']}" if record.fields.get("input") else ""
    return f"{PREAMBLE}\n\n### Instruction:\n{record['instruction']}{given}\n\n### Response:\n"


end = [tokenizer.eos_id] if tokenizer.eos_id is not None else []


def conversation(record: Record) -> tuple[list[int], int]:
    """All ids, and how many of them are the prompt's."""
    asked = tokenizer.encode(prompt_of(record))
    return asked + tokenizer.encode(record["output"]) + end, len(asked)


def messages_of(record: Record) -> list[Message]:
    given = [Message("input", record["input"])] if record.fields.get("input") else []
    return [Message("user", record["instruction"]), *given]


rendered = [alpaca.build().render(messages_of(record)) for record in train]
same_text = sum(prompt_of(one) == text for one, text in zip(train, rendered, strict=True))
theirs = goal.dialogues(tokenizer, train)
same_ids = sum(tuple(conversation(one)[0]) == other.ids for one, other in zip(train, theirs, strict=True))
print(prompt_of(train[0]) + train[0]["output"])
print(f"the same text as Isinglass's template in {same_text}, the same ids in {same_ids} of {len(train)}")

# %% [markdown]
# ## 3. Batches and the mask
#
# Rows of different lengths are padded on the right. The targets are the ids moved by one; -100 wherever nothing is to be learned: in the
# padding, and (the mask of this chapter) in the prompt. `cross_entropy` leaves such places out of its mean.


# %%
def collate(rows: list[tuple[list[int], int]], pad: int = 0, masked: bool = True) -> tuple[Tensor, Tensor]:
    """Inputs and targets; `rows` are ids, their end among them, with the length of the prompt."""
    width = max(len(ids) for ids, _ in rows) - 1
    inputs, targets = torch.full((len(rows), width), pad), torch.full((len(rows), width), -100)
    for number, (ids, n_prompt) in enumerate(rows):
        inputs[number, : len(ids) - 1] = torch.tensor(ids[:-1])
        targets[number, : len(ids) - 1] = torch.tensor(ids[1:])
        if masked:
            targets[number, : n_prompt - 1] = -100
    return inputs, targets


book_inputs, book_targets = collate([([0, 1, 2, 3, 4, 50256], 0), ([5, 6, 50256], 0), ([7, 8, 9, 50256], 0)], pad=50256, masked=False)
book_logits = torch.tensor([[-1.0, 1.0], [-0.5, 1.5], [-0.5, 1.5]])
BOOK = [  # what, the book's, here
    ("inputs of the book's batch", [[0, 1, 2, 3, 4], [5, 6, 50256, 50256, 50256], [7, 8, 9, 50256, 50256]], book_inputs.tolist()),
    ("its targets", [[1, 2, 3, 4, 50256], [6, 50256, -100, -100, -100], [8, 9, 50256, -100, -100]], book_targets.tolist()),
    ("loss of two tokens", 1.1269, round(float(F.cross_entropy(book_logits[:2], torch.tensor([0, 1]))), 4)),
    ("of three", 0.7936, round(float(F.cross_entropy(book_logits, torch.tensor([0, 1, 1]))), 4)),
    ("of three, one of them -100", 1.1269, round(float(F.cross_entropy(book_logits, torch.tensor([0, 1, -100]))), 4)),
]
agree = sum(theirs == ours for _, theirs, ours in BOOK)
display(Table([{"what": what, "book": str(theirs), "here": str(ours)} for what, theirs, ours in BOOK], title="Beside the book"))

some = [([*one.ids], one.trained.index(True)) for one in theirs[:4]]
inputs, targets = collate(some)
batch = goal.collate(goal.examples(lm, train[:4], CONTEXT), [0] * 4)
same_batch = bool((batch.ids == inputs).all() and (batch.targets == targets).all())
all_tokens, learned = sum(map(len, theirs)), sum(sum(one.trained) for one in theirs)
print(f"inputs and targets {'are' if same_batch else 'are not'} Isinglass's; {learned:,} of {all_tokens:,} tokens are learned")
strips = shown(tokenizer, train[:2], goal)
display(kept(strips, "trained_tokens"))

# %% [markdown]
# ## 4. The training loop, written out
#
# A few steps of the last block, with the batches made above and with Isinglass's objective on the same batches: the losses are to be equal.

# %%
STEPS = 3


def a_few_steps(loss_of) -> list[float]:
    trained = goal.trainee(lm, seed)
    names = trainable(trained, "last_block")
    for name, weight in trained.named_parameters():
        weight.requires_grad_(name in names)
    optimizer = torch.optim.AdamW([weight for weight in trained.parameters() if weight.requires_grad], lr=1e-3)
    losses = []
    for step in range(STEPS):
        loss = loss_of(trained, train[2 * step : 2 * step + 2], theirs[2 * step : 2 * step + 2])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def own_loss(trained: nn.Module, records: list[Record], dialogues) -> Tensor:
    inputs, targets = collate([([*one.ids], one.trained.index(True)) for one in dialogues])
    return F.cross_entropy(trained(inputs).flatten(0, 1), targets.flatten())  # a mean over what is learned


def their_loss(trained: nn.Module, records: list[Record], dialogues) -> Tensor:
    batch = goal.collate(goal.examples(lm, records, CONTEXT), [0] * len(records))
    return goal.loss(trained, batch).total / batch.n_targets


own_losses, their_losses = a_few_steps(own_loss), a_few_steps(their_loss)
loops_apart = max(abs(one - other) for one, other in zip(own_losses, their_losses, strict=True))
print([f"{loss:.4f}" for loss in own_losses], f"{loops_apart:.1e} apart")

# %% [markdown]
# ## 5. Instruction tuning
#
# All of the examples once, with LoRA of rank 8 beside every linear layer.

# %%
held_out = "\n".join(json.dumps(dict(record.fields)) for record in validation)
Path("validation.jsonl").write_text(held_out + "\n", encoding="utf-8")  # held-out examples in a file of their own, as the loop takes them


def config(rate: float, batch_size: int = 4, **more) -> dict:
    return {"batch_size": batch_size, "context_length": CONTEXT, "optimizer": f"adamw(lr={rate}, weight_decay=0.0)",
            "validation": "validation.jsonl", **more}  # fmt: skip


every = max(1, len(train) // 4 // 5)
run = ig.train(lm, train, objective=goal, adapter="lora(rank=8)", epochs=1, seed=seed, config=config(5e-4, evaluate_every=every))


@torch.no_grad()
def response_loss(trained, records: list[Record], judge=goal) -> float:
    """Nats per token of the responses alone, whatever a model was trained on."""
    total, count = 0.0, 0
    for record in records:
        batch = judge.collate(judge.examples(lm, [record], lm.config.context_length), [0])
        total, count = total + float(judge.loss(trained.model, batch).total), count + int(batch.n_targets)
    return total / count


loss_before, loss_after = response_loss(lm, validation), response_loss(run.lm, validation)
print(f"held-out responses: {loss_before:.3f} nats a token before, {loss_after:.3f} after")
kept(run.figure, "loss")

# %% [markdown]
# ## 6. With the mask and without
#
# The same examples, the last two blocks, once learning responses alone and once everything. Both are judged by the responses of the
# held-out examples. What the frozen blocks say is computed once, for both.

# %%
from_block = n_layers - 2
compared = train[:N_COMPARED]
EPOCHS = 1 if quick else 2


def short_run(objective, known):
    return ig.train(lm, compared, objective=Reused(objective, from_block, known), strategy="last_two_blocks", epochs=EPOCHS, seed=seed,
                    config={**config(1e-3 if quick else 3e-4), "validation": 0})  # fmt: skip


known = states(lm.model, goal, goal.examples(lm, compared, CONTEXT), from_block)
masks = {}
for name, what in {"responses alone": "response", "everything": "all"}.items():
    found = short_run(instruction.build(template="alpaca", trained=what), known)
    masks[name] = {"loss": response_loss(found.lm, validation), "last training loss": found.rows[-1]["loss"]}
mask_table = Table(
    [{"learned": name, "loss of held-out responses": one["loss"], "last training loss": one["last training loss"]}
     for name, one in {"nothing yet": {"loss": loss_before, "last training loss": None}, **masks}.items()],
    title="With the mask and without", notes=["nats per token; the training losses are over different tokens and cannot be compared"],
)  # fmt: skip
display(mask_table)
kept(bars(["nothing yet", *masks], [loss_before, *(one["loss"] for one in masks.values())],
          title="Loss of held-out responses by what is learned", axis="nats per token"), "masks")  # fmt: skip

# %% [markdown]
# ## 7. Which format?
#
# The same examples in three templates: Alpaca's headings, ChatML's control tokens, and none at all.

# %%
formats = {}
for template in ("alpaca", "chatml", "plain"):
    other = instruction.build(template=template)
    dialogues = other.dialogues(tokenizer, compared)
    width = max(map(len, dialogues))
    kept_states = known if template == "alpaca" else states(lm.model, other, other.examples(lm, compared, max(width, CONTEXT)), from_block)
    found = short_run(other, kept_states)
    n_tokens, n_learned = sum(map(len, dialogues)), sum(sum(one.trained) for one in dialogues)
    formats[template] = {"tokens": n_tokens / len(dialogues), "learned": n_learned / n_tokens,
                         "before": response_loss(lm, validation, other), "after": response_loss(found.lm, validation, other)}  # fmt: skip
format_table = Table(
    [{"template": name, **row} for name, row in formats.items()], title="Three formats", units={"learned": "ratio"},
    notes=["tokens: of an example on average; learned: the share of them; before and after: nats per token of held-out responses"],
)  # fmt: skip
display(format_table)
kept(bars(list(formats), {side: [row[side] for row in formats.values()] for side in ("before", "after")},
          title="Loss of held-out responses by format", axis="nats per token"), "formats")  # fmt: skip

# %% [markdown]
# ## 8. Responses, before and after
#
# Greedy answers to instructions that were not learned, with checks that need no judge: is it empty, does it repeat itself, does it copy
# the question, does it end? chrF is its overlap with the reference in runs of characters.

# %%
answers = responses({"before": lm, "after": run.lm}, test, n=len(test), objective=goal, max_tokens=MAX_TOKENS)
display(answers.summary)
display(answers.table)
quality = {row["model"]: row for row in answers.summary.rows}
checks = ["chrF", "ends by itself", "empty", "repeats itself", "copies the prompt"]
display(kept(bars(checks, {name: [row[check] for check in checks] for name, row in quality.items()}, title="Responses before and after",
                  axis="share (chrF: overlap)", unit="ratio", limit=1.0), "responses"))  # fmt: skip
archaic = {name: statistics.mean(archaic_words(one.text) for one in answers.responses if one.model == name) for name in quality}
archaic_asked = statistics.mean(archaic_words(str(record.fields.get("input", ""))) for record in test)
archaic_reference = statistics.mean(archaic_words(record["output"]) for record in test)
print({name: f"{count:.2f} archaic words a response" for name, count in archaic.items()})

# %% [markdown]
# How tokens are chosen matters as well: the most probable one each time, or a draw, from all or from the most probable few.

# %%
template = goal.template_of(tokenizer)
asked = question(tokenizer, template, goal.read(test[:1])[0])
strategies = {
    "greedy": {},
    "sample at 0.7": {"temperature": 0.7},
    "sample at 1.3": {"temperature": 1.3},
    "top 90 % at 1.0": {"temperature": 1.0},
}
written = []
for name, options in strategies.items():
    way = "greedy" if name == "greedy" else "sample(top_p=0.9)" if "top" in name else "sample"
    one = ig.generate(run.lm, asked, strategy=way, max_tokens=MAX_TOKENS, stop=template.stops, seed=seed, **options)
    written.append({"how": name, "response": one.text.strip(), "ends": one.finish in ("end", "stop")})
sampled_table = Table(written, title=f"Ways to choose tokens; the reference: {test[0]['output']}")
display(sampled_table)

# %% [markdown]
# ## 9. Optional: preferences (DPO)
#
# A preference is two responses to one prompt, one of them better. DPO makes the chosen one likelier than the rejected one, measured against
# the model as it was: `-log sigmoid(beta (log p(c)/ref(c) - log p(r)/ref(r)))`, log-probabilities summed over a response. It needs no model
# of rewards and writes nothing while it learns, which is what RLHF does: there a model of rewards is learned from the preferences, and the
# policy writes, is judged, and is changed (PPO).

# %%
is_bible = is_corpus(data)
pairs = [{"prompt": f"{record['instruction']}\n\n{record.fields.get('input') or ''}".strip(), "chosen": record["output"],
          "rejected": record["input"] if is_bible else other["output"]}
         for record, other in zip(train, train[1:] + train[:1], strict=True)]  # fmt: skip
pairs = [pair for pair in pairs if pair["chosen"] != pair["rejected"]][: 4 * (2 if quick else 10)]


def own_dpo(margin: Tensor) -> Tensor:
    return -torch.log(torch.sigmoid(margin))


margins = torch.linspace(-3, 3, 7)
dpo_apart = float((own_dpo(margins) - dpo_loss(margins)).abs().max())
preferred = ig.train(
    run.lm, pairs, objective="dpo(beta=0.1, template='alpaca')", adapter="lora(rank=8)", epochs=1, seed=seed,
    config={**config(5e-4), "validation": 0},
)  # fmt: skip
first_row, last_row = preferred.rows[0], preferred.rows[-1]
print(f"loss {first_row['loss']:.4f} (ln 2 = {math.log(2):.4f}) to {last_row['loss']:.4f}, margin {last_row['margin']:.2f}")
kept(lines({name: ([row["step"] for row in preferred.rows], [row[name] for row in preferred.rows])
            for name in ("chosen_reward", "rejected_reward", "margin")}, title="DPO: rewards of both responses", x="step",
           y="beta x log(policy / reference), nats"), "dpo")  # fmt: skip

# %% [markdown]
# ## 10. The report

# %%
minutes = (time.perf_counter() - began) / 60
with_mask, without = masks["responses alone"]["loss"], masks["everything"]["loss"]
best_format = min(formats, key=lambda name: formats[name]["after"])
best_before = min(formats, key=lambda name: formats[name]["before"])
before, after = quality["before"], quality["after"]
already = " SmolLM2 is already tuned to instructions in ChatML, so “before” is no raw base model: new to it are this format and this task."
already = already if model == "smollm2" and not quick else ""
mask_gain = without - with_mask
mask_says = "makes no difference" if abs(mask_gain) < 5e-4 else f"{'saves' if mask_gain > 0 else 'costs'} {abs(mask_gain):.3f} nats"
what_reference = "the verse of 1611 itself" if is_bible else "the answer to another question"


def moved(name: str) -> str:
    """A share before and after."""
    return f"{percent(before[name])} before and {percent(after[name])} after"


Document(
    "Assignment 5, option B: instruction fine-tuning",
    [
        f"Written by `assignment_5_instruction.py` from what it measured{' (quick mode: too small to say anything)' if quick else ''}; "
        f"data: `{Path(data).name}` ({len(train)} examples to learn from, {len(validation)} held out, {len(test)} answered), model: "
        f"{pretrained}, seed {seed}. The run took {minutes:.1f} minutes on {torch.get_num_threads()} threads.{already}",
        Heading("Does it do what it should?"),
        f"The format written out gives the same text as Isinglass's template for {same_text} of {len(train)} examples, and the same ids "
        f"for {same_ids}. Its batches {'are' if same_batch else 'are not'} the same, targets included; {STEPS} steps of the loop written "
        f"out differ by {loops_apart:.0e} in their losses. Of {len(BOOK)} values that the book prints, {agree} are met exactly; the DPO "
        f"loss by its formula is {dpo_apart:.0e} from Isinglass's.",
        Heading("How instruction formatting affects training"),
        format_table,
        f"An example takes {min(row['tokens'] for row in formats.values()):.0f} to {max(row['tokens'] for row in formats.values()):.0f} "
        f"tokens, depending on the format, and only {min(row['learned'] for row in formats.values()):.0%} to "
        f"{max(row['learned'] for row in formats.values()):.0%} of them are learned: a long preamble is read in every step and teaches "
        f"nothing new. Before training the responses are likeliest in “{best_before}”, after it in “{best_format}” "
        f"({formats[best_format]['after']:.3f} nats a token). The widest gap between formats is "
        f"{max(row['before'] for row in formats.values()) - min(row['before'] for row in formats.values()):.3f} nats before and "
        f"{max(row['after'] for row in formats.values()) - min(row['after'] for row in formats.values()):.3f} after. A format has to be "
        "the same in training and in use: the model has learned that a response follows these headings and nothing else.",
        "![Loss by format](figures/formats.svg)",
        Heading("Why masking is crucial"),
        mask_table,
        f"Of {all_tokens:,} tokens {learned:,} ({learned / all_tokens:.0%}) belong to responses. Without the mask the other "
        f"{1 - learned / all_tokens:.0%} of the tokens are targets as well, and what they teach is to write questions, which nobody will "
        f"ask the model for. Judged by held-out responses, learning responses alone gives {with_mask:.3f} nats a token, learning "
        f"everything {without:.3f}: here the mask "
        + mask_says
        + ". The end token of a response is learned in both; without it a model never stops.",
        "![Trained tokens](figures/trained_tokens.svg)\n\n![Loss by what is learned](figures/masks.svg)",
        Heading("Quality of the instruction-following"),
        f"Training with LoRA of rank 8 for one epoch took {sum(row['seconds'] for row in run.rows):.0f} s and brought the loss of held-out "
        f"responses from {loss_before:.3f} to {loss_after:.3f} nats a token (perplexity {math.exp(min(loss_before, 20)):.1f} to "
        f"{math.exp(min(loss_after, 20)):.1f}).",
        "![Loss](figures/loss.svg)",
        answers.summary,
        f"The overlap with the reference (chrF) is {moved('chrF')}. A response ends by itself in {moved('ends by itself')}, repeats itself "
        f"in {moved('repeats itself')}, and copies the prompt in {moved('copies the prompt')} of the cases."
        + (f" Archaic words in a response: {archaic['before']:.2f} before, {archaic['after']:.2f} after; the verses to be rewritten have "
           f"{archaic_asked:.2f}, the references {archaic_reference:.2f}." if is_bible else ""),
        "![Responses before and after](figures/responses.svg)",
        Table(answers.table.rows[:6], title="Some responses"),
        sampled_table,
        Heading("Differences from classification fine-tuning"),
        "A classifier reads a text and says one of a few labels, once; its head is new and its answer can be counted right or wrong. Here "
        f"the head stays as it was, each of the {learned / len(train):.0f} tokens of a response is one of {lm.config.vocab_size:,} "
        "answers, and the loss looks at the responses alone. What comes out is a text, for which there are many good forms: accuracy says "
        "nothing, so the checks above count what anybody can see, and the overlap with one reference says more about a set of responses "
        "than about one. One model serves any task that can be asked for; a classifier serves one.",
        Heading("Optional: preferences (DPO)"),
        f"With {len(pairs)} pairs, the reference chosen and {what_reference} rejected, DPO began at a loss of {first_row['loss']:.4f} (ln "
        f"2 is {math.log(2):.4f}, as it must be while policy and reference are the same) and ended its {len(preferred.rows)} steps at "
        f"{last_row['loss']:.4f}, with a margin of {last_row['margin']:.2f} and {percent(last_row['accuracy'])} of the last batch's pairs "
        f"in the right order. The reward of the chosen responses is {last_row['chosen_reward']:+.2f} there, that of the rejected ones "
        f"{last_row['rejected_reward']:+.2f}. RLHF goes the longer way: a model of rewards from the same pairs, then PPO on what the "
        "policy writes.",
        "![DPO](figures/dpo.svg)",
    ],
).save("README.md")  # fmt: skip
print(f"README.md and {len(list(Path('figures').glob('*.svg')))} figures after {minutes:.1f} minutes")
