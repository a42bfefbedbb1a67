"""Instruction tuning: which reply a conversation asks for.

What: a conversation is read whole and only its replies are learned: every token of a reply, its end included, is predicted from what
stands before it.
Why: a base model continues a question with more questions; after some thousand examples it answers, and knows when it is done.
Math: loss = -1/N sum_{t in replies} log p(x_t | x_<t)
Cost: one pass over the conversations; "packed" fills rows that padding would leave empty, and nothing attends across conversations
Used by: InstructGPT, Alpaca, every chat model
Paper: Ouyang et al. 2022, Training language models to follow instructions with human feedback; Krell et al. 2021 (packing)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import torch
from torch import nn

from isinglass.core.errors import DataError, VariantError
from isinglass.data.records import Record
from isinglass.data.windows import packed
from isinglass.generation.lm import LM
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.slots import Slots
from isinglass.nn.loss import IGNORED
from isinglass.text.template import Template, detect_template
from isinglass.text.templates import family as templates
from isinglass.text.templates.plain import Plain
from isinglass.text.tokenizer import Tokenizer
from isinglass.training.conversations import Conversation, Conversations
from isinglass.training.dialogue import Dialogue, Trained, dialogue
from isinglass.training.heads import decoder_of
from isinglass.training.objective import Batch, Loss, Objective
from isinglass.training.objectives.causal_lm import hide_documents, next_token_loss

EXAMPLE = dict(template="alpaca", trained="response")
OWN = "own"
Row = tuple[Dialogue, ...]  # the dialogues that share a row of a batch


@dataclass(frozen=True)
class Instruction(Objective):
    """`template` is a chat template, or "own" for the model's; `conversations` says where records hold what."""

    template: str
    trained: Trained
    packing: Literal["none", "packed"]
    too_long: Literal["error", "dropped"]
    conversations: Conversations
    rows: ClassVar[Literal["drawn", "repeated"]] = "repeated"

    def fitted(self, records: Sequence[Record]) -> Instruction:
        """What is held out has to be in the form of what is learned."""
        return replace(self, conversations=self.conversations.like(records[0])) if records else self

    def trainee(self, lm: LM, seed: int) -> Decoder:
        model = copy.deepcopy(decoder_of(lm, "instruction"))
        model.config = model.config.model_copy(update={"heads": []})
        if self.packing == "packed":
            hide_documents(model)
        return model

    def examples(self, lm: LM, records: Iterable[Record], context_length: int) -> list[Row]:
        dialogues = self._fitting(self.dialogues(lm.tokenizer, records), context_length)
        if self.packing == "none":
            return [(one,) for one in dialogues]
        return [tuple(dialogues[number] for number in row) for row in packed([len(one) for one in dialogues], context_length)]

    def dialogues(self, tokenizer: Tokenizer, records: Iterable[Record]) -> list[Dialogue]:
        """The conversations as ids, whatever their length. Raises DataError, with file and line."""
        template = self.template_of(tokenizer)
        return [dialogue(tokenizer, template, one, self.trained) for one in self.read(records)]

    def read(self, records: Iterable[Record]) -> list[Conversation]:
        """The conversations of some records."""
        return self.conversations.read(records)

    def template_of(self, tokenizer: Tokenizer) -> Template:
        """The template that is put around conversations."""
        if self.template == OWN:
            found = detect_template(tokenizer.chat_template, tokenizer.special)
        else:
            found = templates.resolve(self.template, where="template")
        # a prompt that one wrote oneself holds its own line ends
        return replace(found, between="") if isinstance(found, Plain) and self.conversations.prompt is not None else found

    def _fitting(self, dialogues: list[Dialogue], context_length: int) -> list[Dialogue]:
        """Those that fit. A reply that is cut would teach to break off, so a long one is an error, or is left out if one says so."""
        long = [one for one in dialogues if len(one) > context_length]
        if not long:
            return dialogues
        longest, count = max(map(len, long)), f"{len(long):,} of {len(dialogues):,}"
        told = f"{long[0].place}: {len(long[0]):,} tokens, beyond the context of {context_length:,}; {count} are"
        if self.too_long == "error":
            raise DataError(told, hint=f"context_length = {longest} takes all; too_long='dropped' leaves these {len(long):,} out")
        if len(long) == len(dialogues):
            raise DataError(f"{told}, so that nothing is left", hint=f"context_length = {longest} takes all")
        return [one for one in dialogues if len(one) <= context_length]

    def collate(self, examples: Sequence[Row], seeds: Sequence[int]) -> Batch:
        shape = len(examples), max(sum(map(len, row)) for row in examples)
        ids, position, document = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
        targets, valid = torch.full(shape, IGNORED), torch.zeros(shape, dtype=torch.bool)
        for number, row in enumerate(examples):
            start = 0
            for place, one in enumerate(row):
                part = number, slice(start, start + len(one))
                ids[part], position[part] = torch.tensor(one.ids[:-1]), torch.arange(len(one))
                said = torch.tensor(one.ids[1:])
                targets[part] = said.where(torch.tensor(one.trained[1:]), IGNORED)
                document[part], valid[part] = place, True
                start += len(one)
        padding = None if bool(valid.all()) else valid
        return Batch(ids, Slots(position, padding, document if self.packing == "packed" else None), targets)

    def ends(self, lm: LM) -> frozenset[int]:
        special = lm.tokenizer.special
        return lm.end_ids | {special[stop] for stop in self.template_of(lm.tokenizer).stops if stop in special}

    def tokenizer(self, lm: LM) -> Tokenizer:
        template = self.template_of(lm.tokenizer).jinja
        return lm.tokenizer if self.template == OWN or template is None else replace(lm.tokenizer, chat_template=template)

    def loss(self, model: nn.Module, batch: Batch) -> Loss:
        decoder = cast(Decoder, model)
        return Loss(next_token_loss(decoder, decoder.hidden(batch.ids, slots=batch.slots), batch.targets))

    def figures(self, total: float, n_targets: float, sums: Mapping[str, float]) -> dict[str, float]:
        loss = total / n_targets
        return {"loss": loss, "perplexity": math.exp(min(loss, 700))}


def build(
    template: str = "alpaca",
    trained: Literal["response", "all"] = "response",
    packing: Literal["none", "packed"] = "none",
    too_long: Literal["error", "dropped"] = "error",
    prompt: str | None = None,
    response: str | None = None,
) -> Objective:
    """`template` names a chat template, or is own (the model's); `trained` is response or all; `packing` is none or packed (several
    conversations to a row); `too_long` is what becomes of one that exceeds the context; `prompt` and `response` name fields.
    """
    if template != OWN:
        templates.resolve(template, where="template")
    if (prompt is None) != (response is None):
        given, missing = ("prompt", "response") if response is None else ("response", "prompt")
        raise VariantError(f"instruction: {given} without {missing}", hint="instruction(prompt='Rewrite: {kjv}', response='web')")
    return Instruction(template, trained, packing, too_long, Conversations(prompt, response))
