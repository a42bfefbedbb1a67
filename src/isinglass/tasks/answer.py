"""Answer: the words of a passage that answer a question, from a head that was trained for it or from a model of language.

A decoder can be asked as well: every run of words of the passage is a possible answer, and the model says how probable each is after
the question. Nothing can be answered that does not stand in the passage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from isinglass.core.errors import ConfigError, EngineError
from isinglass.embedding.contextual import embed
from isinglass.embedding.hidden import fits
from isinglass.generation.chat import template_of
from isinglass.generation.lm import LM
from isinglass.models.cache import new_cache
from isinglass.models.headed import HeadedModel
from isinglass.models.transformer import Decoder
from isinglass.nn.attention.caches.contiguous import Contiguous
from isinglass.nn.attention.slots import Slots
from isinglass.show.finding import Finding
from isinglass.show.showable import Showable
from isinglass.show.table import Table
from isinglass.text.sentences import statements
from isinglass.text.template import Message, encode_chat

HEAD = "span"
_TOGETHER = 16  # beginnings that go through the model at once
_OPENING = 'The answer is: "'  # so that the model goes on with words of the passage and says with a quotation mark where they end
# A decoder likes short answers, so a span is scored by log p / words^0.75; what stands in a sentence near to the question gains 5 for each
# unit of cosine. On half of the project's questions: F1 0.46, by log p alone 0.36.
_LENGTH, _NEAR = 0.75, 5.0
_EDGE = ".,;:!?\"'()[]*#"  # what does not belong to an answer at its ends


@dataclass(frozen=True)
class Span:
    """`text` is `passage[start:end]`; `log_prob` in nats; `score` is what answers to one question are compared by."""

    text: str
    start: int
    end: int
    log_prob: float
    score: float


@dataclass(frozen=True)
class Answered(Finding):
    """The best spans, the most probable first."""

    question: str
    passage: str
    spans: tuple[Span, ...]
    command: str | None = None

    @property
    def text(self) -> str:
        """The best answer; empty where there is none."""
        return self.spans[0].text if self.spans else ""

    @property
    def table(self) -> Table:
        """A row for each answer with the words around it."""
        rows = [
            {"answer": one.text, "score": one.score, "log_prob": one.log_prob, "where": _around(self.passage, one)} for one in self.spans
        ]
        return Table(rows, title=self.question, notes=["score: for the order among these answers; log_prob: in nats"], command=self.command)

    @property
    def parts(self) -> Sequence[Showable]:
        return [self.table]

    @property
    def data(self) -> Any:
        return {"question": self.question, "answers": [asdict(one) for one in self.spans]}


def answer(
    lm: LM, question: str, passage: str, *, finder: LM | None = None, top: int = 3, max_words: int = 8, command: str | None = None
) -> Answered:
    """The `top` most probable spans of at most `max_words` words that answer the question.

    `lm` is a BERT with a span head, or a chat model. For a chat model `finder` (a model that makes vectors, such as minilm) first takes
    the three sentences that lie nearest to the question: without it, all are read, which takes longer.

    Raises ConfigError for an empty question or passage and for one that does not fit, EngineError for any other kind of model.

    Source: the span head, Devlin et al. 2018, section 4.2.
    """
    if not question.strip() or not passage.strip():
        raise ConfigError(f"the {'passage' if question.strip() else 'question'} is empty")
    if top < 1 or max_words < 1:
        raise ConfigError(f"top = {top!r}, max_words = {max_words!r}: expected at least 1")
    if isinstance(lm.model, HeadedModel) and HEAD in lm.model.heads:
        spans = _of_head(lm, question, passage, max_words)
    elif isinstance(lm.model, Decoder) and lm.tokenizer.chat_template:
        spans = _of_decoder(lm, question, passage, _read(finder, question, passage), max_words)
    else:
        raise EngineError(
            f"{lm.card.get('source', lm.config.family)} cannot answer questions about a text",
            hint="take a chat model such as smollm2, or a BERT that was trained on questions (BertForQuestionAnswering)",
        )
    return Answered(question, passage, tuple(_apart(sorted(spans, key=lambda one: -one.score), top)), command)


def _apart(spans: Sequence[Span], top: int) -> list[Span]:
    """The best that do not overlap with better ones; `spans` in order."""
    kept: list[Span] = []
    for one in spans:
        if len(kept) == top:
            break
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    return kept


def _around(passage: str, span: Span, reach: int = 30) -> str:
    begin, end = max(span.start - reach, 0), min(span.end + reach, len(passage))
    return ("... " if begin else "") + " ".join(passage[begin:end].split()) + (" ..." if end < len(passage) else "")


@dataclass(frozen=True)
class _Sentence:
    """A sentence in which an answer may stand, and its cosine with the question (0 where nobody looked)."""

    start: int
    end: int
    cosine: float = 0.0


def _read(finder: LM | None, question: str, passage: str, n: int = 3) -> list[_Sentence]:
    """The `n` sentences nearest to the question in their order; all, without a finder."""
    places = statements(passage)
    if finder is None:
        return [_Sentence(start, end) for start, end in places]
    places = [(start, end) for start, end in places if fits(finder, passage[start:end])] or places
    vectors = embed(finder, [question, *(passage[start:end] for start, end in places)]).vectors
    cosines = vectors[1:] @ vectors[0]
    return [_Sentence(*places[int(place)], float(cosines[place])) for place in sorted(cosines.argsort()[::-1][:n])]


def _of_head(lm: LM, question: str, passage: str, max_words: int) -> list[Span]:
    """log p(start) + log p(end) for every span of the passage, both over its tokens."""
    tokens = lm.tokenizer.tokens(question, pair=passage, add_special=True)
    if len(tokens) > lm.config.context_length:
        raise ConfigError(
            f"question and passage have {len(tokens):,} tokens, the model reads at most {lm.config.context_length:,}",
            hint="a shorter passage: isinglass rag ask finds the right one",
        )
    after = 1 + list(lm.tokenizer.surround.slots(two=True)).index("B")  # slots up to the passage, the question being one of them
    first = after - 2 + len(lm.tokenizer.encode(question))
    second = list(range(first, first + len(lm.tokenizer.encode(passage))))
    ids = torch.tensor([[token.id for token in tokens]], device=lm.device)
    segments = torch.tensor([[int(place >= second[0] if second else False) for place in range(len(tokens))]], device=lm.device)
    with torch.inference_mode():
        logits = lm.model(ids, segments=segments)[HEAD][0].float()  # type: ignore[index]
    inside = torch.full((len(tokens), 1), float("-inf"))
    inside[second] = 0
    start, end = (logits + inside.to(logits)).log_softmax(dim=0).T.tolist()
    return [
        Span(passage[tokens[i].start : tokens[j].end], tokens[i].start, tokens[j].end, start[i] + end[j], start[i] + end[j])
        for i in second
        for j in second
        if i <= j and len(passage[tokens[i].start : tokens[j].end].split()) <= max_words
    ]


@dataclass(frozen=True)
class _Beginning:
    """A place where an answer may begin: the ids of the longest one, and where shorter ones end: (ids, end in the passage)."""

    start: int
    ids: list[int]
    ends: list[tuple[int, int]]
    cosine: float


def _beginnings(lm: LM, passage: str, read: Sequence[_Sentence], max_words: int) -> Iterator[_Beginning]:
    """Each word of the sentences, with the runs of words that begin there."""
    for sentence in read:
        first, last = sentence.start, sentence.end
        words = [(first + word.start(), first + word.end()) for word in re.finditer(r"\S+", passage[first:last])]
        for number, (start, _) in enumerate(words):
            start += len(passage[start:last]) - len(passage[start:last].lstrip(_EDGE))
            ends = [_trimmed(passage, start, end) for _, end in words[number : number + max_words]]
            texts = {end: lm.tokenizer.encode(passage[start:end]) for end in ends if end > start}
            if texts:
                longest = texts[max(texts)]
                fitting = [(len(ids), end) for end, ids in texts.items() if longest[: len(ids)] == ids]
                yield _Beginning(start, longest, fitting, sentence.cosine)


def _trimmed(passage: str, start: int, end: int) -> int:
    return start + len(passage[start:end].rstrip(_EDGE))


@torch.inference_mode()
def _of_decoder(lm: LM, question: str, passage: str, read: Sequence[_Sentence], max_words: int) -> list[Span]:
    """log p(span, then a quotation mark | passage, question) of every run of words of the sentences that are read.

    The prompt goes through the model once; all beginnings go on from there, and each end of a run takes what was computed on the way.
    """
    text = " ".join(passage[one.start : one.end] for one in read)
    asked = f"{text}\n\nAnswer with words copied from the text above. {question}"
    prompt = [*encode_chat(lm.tokenizer, template_of(lm), [Message("user", asked)]), *lm.tokenizer.encode(_OPENING)]
    found = list(_beginnings(lm, passage, read, max_words))
    longest = max(len(one.ids) for one in found)
    if len(prompt) + longest > lm.config.context_length:
        raise ConfigError(
            f"question and passage have {len(prompt):,} tokens, the model reads at most {lm.config.context_length - longest:,}",
            hint="a shorter passage",
        )
    model, quotes = lm.packed(), _closing(lm)
    cache = new_cache(model, batch=1, capacity=len(prompt) + longest, kind="contiguous")
    assert isinstance(cache, Contiguous)
    first = model(torch.tensor([prompt], device=lm.device), cache=cache, rows="last")[0, -1].float().log_softmax(dim=-1)
    cache.select(torch.zeros(_TOGETHER, dtype=torch.long, device=lm.device))
    spans: list[Span] = []
    for at in range(0, len(found), _TOGETHER):
        some = found[at : at + _TOGETHER]
        rows = torch.zeros(_TOGETHER, longest, dtype=torch.long, device=lm.device)
        for row, one in zip(rows, some, strict=False):
            row[: len(one.ids)] = torch.tensor(one.ids)
        after = model(rows, slots=Slots.first(rows, len(prompt)), cache=cache).float().log_softmax(dim=-1)
        cache.keep(torch.full((_TOGETHER,), len(prompt), device=lm.device))
        for row, one in zip(after, some, strict=False):
            spans += _scored(passage, one, first, row, quotes)
    return spans


def _scored(passage: str, one: _Beginning, first: Tensor, after: Tensor, quotes: Tensor) -> Iterator[Span]:
    ids = torch.tensor(one.ids)
    steps = torch.cat([first[ids[:1]], after[: len(ids) - 1].gather(1, ids[1:, None])[:, 0]]).cumsum(dim=0)
    closed = after[: len(ids), quotes].logsumexp(dim=-1)
    for n, end in one.ends:
        text, log_prob = passage[one.start : end], float(steps[n - 1] + closed[n - 1])
        yield Span(text, one.start, end, log_prob, log_prob / len(text.split()) ** _LENGTH + _NEAR * one.cosine)


def _closing(lm: LM) -> Tensor:
    """The tokens that begin with what ends a quotation."""
    ends = [id for id in range(lm.tokenizer.vocab_size) if lm.tokenizer.token_bytes(id).lstrip(b".,").startswith(b'"')]
    return torch.tensor(ends)
