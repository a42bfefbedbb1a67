"""Who answers: the best sentence itself, a model of this machine, or an endpoint that speaks OpenAI's protocol."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isinglass.core.errors import ConfigError, EngineError, ExtraMissing
from isinglass.embedding.contextual import embed
from isinglass.generation.chat import reply
from isinglass.generation.lm import LM
from isinglass.retrieval.chunk import Chunk
from isinglass.retrieval.prompt import messages
from isinglass.text.sentences import statements

KEY = "OPENAI_API_KEY"
_ADDRESS = "is this an address of OpenAI's protocol? most end in /v1"


class Answerer(ABC):
    """Answers a question from passages; without passages, from what it knows."""

    @abstractmethod
    def answer(self, question: str, passages: Sequence[Chunk]) -> str:
        """The answer with its marks of citation."""


@dataclass(frozen=True, eq=False)
class Extract(Answerer):
    """The sentence of the best passage that is nearest to the question, word for word. It cannot say what nobody wrote."""

    lm: LM

    def answer(self, question: str, passages: Sequence[Chunk]) -> str:
        best = passages[0].text if passages else ""
        found = [best[start:end] for start, end in statements(best)]
        if not found:
            return ""
        vectors = embed(self.lm, [question, *found]).vectors
        return f"{found[int(np.argmax(vectors[1:] @ vectors[0]))]} [1]"


@dataclass(frozen=True, eq=False)
class Local(Answerer):
    """A chat model of this machine."""

    lm: LM
    max_tokens: int = 96

    def answer(self, question: str, passages: Sequence[Chunk]) -> str:
        return reply(self.lm, messages(question, passages), max_tokens=self.max_tokens).text.strip()


@dataclass(frozen=True)
class Endpoint(Answerer):
    """A chat model behind a URL. The key is read from the environment when it is asked, and stands nowhere else."""

    url: str
    model: str
    key: str = KEY  # the name of the variable
    timeout_seconds: float = 30.0

    def answer(self, question: str, passages: Sequence[Chunk]) -> str:
        """Raises ConfigError without a key, EngineError for an endpoint that is down, slow, or refuses."""
        try:
            import openai
        except ImportError:
            raise ExtraMissing("openai", "remote") from None
        secret = os.environ.get(self.key)
        if not secret:
            raise ConfigError(
                f"no key in the variable {self.key}", hint=f"export {self.key}=...   (any text, for an endpoint that asks for none)"
            )
        client = openai.OpenAI(base_url=self.url, api_key=secret, timeout=self.timeout_seconds, max_retries=0)
        asked = [{"role": message.role, "content": message.content} for message in messages(question, passages)]
        try:
            found = client.chat.completions.create(model=self.model, messages=asked, temperature=0)  # type: ignore[arg-type]
        except openai.APITimeoutError:
            raise EngineError(
                f"{self.url} gave no answer within {self.timeout_seconds:g} s", hint="--timeout, or another endpoint"
            ) from None
        except openai.APIConnectionError:
            raise EngineError(f"{self.url} cannot be reached", hint="is the endpoint running?") from None
        except openai.APIStatusError as fault:
            raise EngineError(f"{self.url} refused with status {fault.status_code}: {_told(fault.message, secret)}") from None
        except ValueError:
            raise EngineError(f"{self.url} gave an answer that is no JSON", hint=_ADDRESS) from None
        finally:
            client.close()
        if not (text := _text(found)):
            raise EngineError(f"{self.url} gave an answer without text", hint=_ADDRESS)
        return text


def _text(found: Any) -> str:
    """The first choice's text; nothing where an answer has another form, such as the page of a web server."""
    try:
        return found.choices[0].message.content.strip()
    except (AttributeError, IndexError, TypeError):
        return ""


def _told(message: str, secret: str) -> str:
    """An endpoint's words without the key, which some repeat."""
    return message.replace(secret, "***")[:300]
