"""What a response is worth: judged by a reward model, or by a Python function of the user's."""

from __future__ import annotations

import hashlib
import importlib.util
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from isinglass.core.errors import ConfigError, TrainingError, VariantError
from isinglass.generation.lm import LM, load
from isinglass.models.fingerprint import fingerprint
from isinglass.models.headed import HeadedModel
from isinglass.training.padding import padded
from isinglass.training.prompting import Prompting, response_ids

Function = Callable[[str, str], float]


class Judge(ABC):
    """Gives each response a number: the better the response, the higher."""

    @abstractmethod
    def identity(self) -> str:
        """What a run remembers it by, and has to find again when it is resumed."""

    @abstractmethod
    def scores(self, prompts: Sequence[str], responses: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True)
class FunctionJudge(Judge):
    """`name` is how it is known in errors and in the record of a run; `text` is that of the file it stands in, if any."""

    function: Function
    name: str
    text: bytes = b""

    def identity(self) -> str:
        return f"{self.name} {hashlib.blake2b(self.text, digest_size=8).hexdigest()}" if self.text else self.name

    def __repr__(self) -> str:
        return self.name

    def scores(self, prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        return [self._score(prompt, response) for prompt, response in zip(prompts, responses, strict=True)]

    def _score(self, prompt: str, response: str) -> float:
        value: Any = self.function(prompt, response)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise TrainingError(
                f"the reward function {self.name} gave {value!r}, expected a finite number",
                details=[f"prompt {prompt[:60]!r}", f"response {response[:60]!r}"],
            )
        return float(value)


@dataclass(frozen=True, repr=False)
class ModelJudge(Judge):
    """A reward model; prompt and response are written as they were when it was trained, the end token included."""

    lm: LM
    prompting: Prompting

    def identity(self) -> str:
        return fingerprint(self.lm.model)

    def __repr__(self) -> str:
        return f"reward model {self.lm.card.get('source', self.lm.config.family)}"

    @torch.no_grad()
    def scores(self, prompts: Sequence[str], responses: Sequence[str]) -> list[float]:
        ids, slots = padded([self._ids(prompt, response) for prompt, response in zip(prompts, responses, strict=True)])
        return self.lm.model(ids, slots=slots)["reward"].float().tolist()  # type: ignore[operator]

    def _ids(self, prompt: str, response: str) -> list[int]:
        tokenizer, length = self.lm.tokenizer, self.lm.config.context_length
        return [*self.prompting.ids(tokenizer, prompt), *response_ids(tokenizer, response)][:length]


def model_judge(lm: LM, prompting: Prompting) -> ModelJudge:
    """A reward model as a judge. ConfigError for a model without a reward head."""
    if not (isinstance(lm.model, HeadedModel) and "reward" in lm.model.heads):
        raise ConfigError(
            f"{lm.card.get('source', lm.config.family)} has no reward head, so it cannot judge a response",
            hint="train one first: objective='reward'",
        )
    return ModelJudge(lm, prompting)


def judge(reward: str | Function | LM | Judge, prompting: Prompting) -> Judge:
    """A judge from what a user names: the folder of a reward model, a file `./my_reward.py` that defines `reward(prompt, response)`,
    such a function, a loaded reward model, or a judge. Raises VariantError for a file without that function, ConfigError, CheckpointError.

    >>> judge(lambda prompt, response: -len(response), Prompting()).scores(["a", "b"], ["no", "never"])
    [-2.0, -5.0]
    """
    if isinstance(reward, Judge):
        return reward
    if isinstance(reward, LM):
        return model_judge(reward, prompting)
    if not isinstance(reward, str):
        return FunctionJudge(reward, getattr(reward, "__qualname__", type(reward).__name__))
    if not reward.endswith(".py"):
        return model_judge(load(reward), prompting)
    path = Path(reward).expanduser()
    return FunctionJudge(_function_of(path), reward, path.read_bytes())


def _function_of(path: Path) -> Function:
    """The function `reward` of a Python file."""
    spec = importlib.util.spec_from_file_location(f"isinglass_reward_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise VariantError(f"no file {str(path)!r}", hint="give the path of a Python file that defines reward(prompt, response)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, "reward", None)
    if not callable(function):
        raise VariantError(f"{str(path)!r} defines no function reward(prompt, response)", hint="it takes two texts and returns a number")
    return function  # type: ignore[no-any-return]
