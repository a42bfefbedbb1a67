"""A small run, followed while it trains: what it has reached is on the disk, so it can be stopped, gone on with and looked into."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from isinglass.core.errors import CheckpointError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Working
from isinglass.web.expressions import named
from isinglass.web.verb import Verb

if TYPE_CHECKING:
    from isinglass.generation.lm import LM

_TURN_SECONDS = 0.1  # of steps, until other jobs have a turn; a small model makes a hundred steps in a second
_CURVE_SECONDS = 1.0  # between two pictures of the curve
EVALUATIONS = 10
TUNED_CONTEXT = 64  # tokens; with the whole context of a pretrained model a step takes minutes on two cores


class Request(Verb):
    """The run in `folder`: `look` shows it, `settle` also waits until it is written, `start` begins one there, `resume` goes on with it.

    It begins with a fresh `preset`, or, where that is empty, with `model`, beside whose weights a LoRA is trained; `text` is what it
    continues as a sample.
    """

    closes: ClassVar[bool] = True

    text: str
    model: str
    action: Literal["look", "settle", "start", "resume"] = "look"
    folder: str = "runs/lab"
    data: str = "kjv"
    preset: str = "gpt2(n_layers=2, n_heads=4, d_model=64, context_length=64)"
    tokenizer: str = "character"
    rank: int = Field(default=8, gt=0)
    steps: int = Field(default=400, gt=0)
    batch_size: int = Field(default=16, gt=0)
    learning_rate: float = Field(default=0.002, gt=0)
    seed: int = 0

    @property
    def python(self) -> str:
        if self.action in ("look", "settle"):
            return (
                "from pathlib import Path\nfrom isinglass.training.run import loss_curves, read_runs\n\n"
                f"loss_curves(read_runs([Path({self.folder!r})]), title='Loss while training')"
            )
        return (
            "from isinglass.training.recipe import cook, read_recipe\n\n"
            f"recipe = read_recipe({str(self._recipe)!r}, [{f'out={self._again!r}'!r}])\n"
            "for event in cook(recipe, recipe.lm()):\n    print(event)"
        )

    @property
    def command(self) -> str:
        if self.action in ("look", "settle"):
            return f"isinglass train compare {shlex.quote(self.folder)}"
        return f"isinglass train {shlex.quote(str(self._recipe))} --out {shlex.quote(self._again)}"

    @property
    def _recipe(self) -> Path:
        """The recipe as a file, which stands beside what was made with it."""
        return self._place / "recipe.toml"

    @property
    def _place(self) -> Path:
        return Path(self.folder).expanduser()

    @property
    def _again(self) -> str:
        """A folder for the same run a second time."""
        return f"{self._place}-again"

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.web.following import Following

        yield Working(f"looking at {self.folder}")
        while self.action != "look" and self.folder in bench.training:
            yield Working(f"waiting for the run in {self.folder}, which is just being written or which another tab trains")
            time.sleep(_TURN_SECONDS)
        if self.action in ("look", "settle"):
            yield from Following(self._place).shown()
            return
        bench.training.add(self.folder)
        try:
            yield from self._trained()
        finally:
            bench.training.discard(self.folder)

    def _trained(self) -> Iterator[Event]:
        from isinglass.core.config import build, write_toml
        from isinglass.training.events import Evaluated, Finished, Started
        from isinglass.training.recipe import Recipe, cook, read_recipe
        from isinglass.web.following import Following

        resume = self.action == "resume"
        values = self._values
        recipe = read_recipe(self._begun(), [f"out={str(self._place)!r}"]) if resume else build(Recipe, values, where="the run")
        yield Working("loading the model" if recipe.model.load else "learning the vocabulary")
        lm = recipe.lm()
        if not resume:
            values["train"]["samples"] = [_end(lm, self.text)]
            recipe = build(Recipe, values, where="the run")
        yield Working("reading the text")
        events = cook(recipe, lm, resume=resume)  # all is checked here, before anything is written
        following = Following(self._place)
        with closing(events):  # type: ignore[type-var] # a generator: to close it writes a checkpoint
            pictured = turn = time.perf_counter()
            for event in events:
                following.see(event)
                if isinstance(event, Started) and not resume:
                    write_toml(self._recipe, values)
                if isinstance(event, Started | Evaluated | Finished) or time.perf_counter() - pictured > _CURVE_SECONDS:
                    yield from following.shown()
                    pictured = time.perf_counter()
                if time.perf_counter() - turn > _TURN_SECONDS:
                    yield following.working()
                    turn = time.perf_counter()

    @property
    def _values(self) -> dict[str, Any]:
        """What is to be trained, as the values of a recipe."""
        preset = named(self.preset, "model", command="isinglass train")
        tokenizer = named(self.tokenizer, "tokenizer", command="isinglass train")
        fresh: dict[str, Any] = {"model": preset, "tokenizer": tokenizer}
        tuned: dict[str, Any] = {"model": {"load": self.model}, "adapter": f"lora(rank={self.rank})"}
        return {
            **(fresh if self.preset else tuned),
            "data": self.data,
            "seed": self.seed,
            "out": str(self._place),
            "train": {
                "steps": self.steps,
                "batch_size": self.batch_size,
                **({} if self.preset else {"context_length": TUNED_CONTEXT}),
                "optimizer": f"adamw(lr={self.learning_rate})",
                "evaluate_every": max(1, self.steps // EVALUATIONS),
                "evaluation_batches": 8,
            },
        }

    def _begun(self) -> Path:
        """The recipe that the run was begun with, whatever the page says now."""
        if not self._recipe.is_file():
            raise CheckpointError(
                f"no {str(self._recipe)!r}: the run in {self.folder!r} was not begun here",
                hint="one that was begun on the command line goes on there: isinglass train RECIPE --out FOLDER --resume",
            )
        return self._recipe


def _end(lm: LM, text: str) -> str:
    """The end of a text that leaves half of the model's context for what follows."""
    most = max(1, lm.config.context_length // 2)
    while (n_tokens := len(lm.encode(text))) > most and len(text) > 1:
        text = text[-max(1, len(text) * most // n_tokens) :]
    return text
