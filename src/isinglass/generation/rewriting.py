"""What an encoder-decoder writes: each text is read once, then the answer is written token by token."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from isinglass.core.errors import ConfigError, EngineError
from isinglass.generation.decoding import Job
from isinglass.generation.lm import LM
from isinglass.generation.prompts import decoder_start, pad_left
from isinglass.generation.results import Generation, TokenOut
from isinglass.generation.sampling import Chooser, Strategy, choose_strategy
from isinglass.generation.writer import Writer
from isinglass.models.cache import new_cache
from isinglass.models.encoder_decoder import EncoderDecoder
from isinglass.nn.attention.slots import Slots


def rewrite(
    lm: LM, texts: Sequence[str], *, strategy: str | Strategy = "greedy", max_tokens: int | None = None, seed: int = 0
) -> list[Generation]:
    """What the model writes after reading each text, at most `max_tokens` (None: as many as its context holds).

    `strategy` chooses one token after the other, such as greedy or sample(...). Texts of different lengths are read together, padding
    changes nothing. Raises EngineError for a model that is no encoder-decoder, ConfigError for an empty text and one beyond the context.
    """
    model, chooser = lm.model, choose_strategy(strategy, None)
    if not isinstance(model, EncoderDecoder):
        raise EngineError(
            f"{lm.card.get('source', lm.config.family)} does not read one text and write another",
            hint="train an encoder-decoder: isinglass train examples/translate.toml --out runs/translate",
        )
    if not isinstance(chooser, Chooser):
        raise EngineError(f"strategy {str(strategy)!r} serves decoders alone", hint="greedy or sample(...)")
    read = [_read(lm, number, text) for number, text in enumerate(texts, start=1)]
    limit = min(max_tokens or model.config.context_length, model.config.context_length)
    writers = [Writer(lm, row, limit, [], lm.end_ids) for row in range(len(read))]
    job = Job(lm, [[decoder_start(lm.tokenizer)] for _ in read], writers, seed)
    return _written(job, model, chooser, read, limit)


def _read(lm: LM, number: int, text: str) -> list[int]:
    """A text as the model was trained to read it: with the token that ends it."""
    ids = [*lm.tokenizer.encode(text), *([] if lm.tokenizer.eos_id is None else [lm.tokenizer.eos_id])]
    if not text.strip():
        raise ConfigError(f"text {number} is empty")
    if len(ids) > lm.config.context_length:
        raise ConfigError(
            f"text {number} has {len(ids):,} tokens, the model reads at most {lm.config.context_length:,}",
            hint="give it sentence by sentence",
        )
    return ids


@torch.inference_mode()
def _written(job: Job, model: EncoderDecoder, chooser: Chooser, read: Sequence[Sequence[int]], limit: int) -> list[Generation]:
    ids, slots = pad_left(read, job.lm.device)
    memory, cache = model.memory(ids, slots=slots), new_cache(model, batch=len(read), capacity=limit)
    rows, events = job.rows(), [list[TokenOut]() for _ in read]
    new = torch.tensor(job.prompt_ids, device=job.lm.device)
    for place in range(limit):
        here = Slots(torch.full_like(new, place))
        logits = model.logits(model.hidden(new, memory, slots=here, cache=cache)[:, -1]).float().cpu()
        log_total = logits.logsumexp(dim=-1).tolist()
        chosen = chooser.choose(logits, rows)
        for row, (writer, id) in enumerate(zip(job.writers, chosen, strict=True)):
            rows[row].ids.append(id)
            if writer.finish is None:
                events[row].append(writer.write(id, float(logits[row, id]) - log_total[row], job.seconds(), full=False))
        if all(writer.finish for writer in job.writers):
            break
        new = torch.tensor(chosen, device=job.lm.device)[:, None]
    return [Generation.of(list(ids), each) for each, ids in zip(events, read, strict=True)]
