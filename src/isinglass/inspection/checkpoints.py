"""The models that a run saved on its way, from the first checkpoint to the last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from isinglass.core.errors import CheckpointError
from isinglass.generation.lm import LM
from isinglass.models.adapted import adapt
from isinglass.models.checkpoint import assemble, check_weights, read_safetensors
from isinglass.models.config import model_config
from isinglass.models.transformer import on_meta
from isinglass.text.load import tokenizer as load_tokenizer
from isinglass.training import checkpoint
from isinglass.training.run import settings


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run; `lm()` reads its weights."""

    step: int
    path: Path
    run: RunFolder

    def lm(self) -> LM:
        """The model as it was after this step, ready to be looked into."""
        return self.run.lm(self.path, self.step)


@dataclass(frozen=True)
class RunFolder:
    """What a run left on disk, finished or not. `base` is the model that it began with, needed where not all weights were trained.

    Weights that were frozen are in no checkpoint: they come from `base`, or from the model that the run exported.
    """

    folder: Path
    values: Mapping[str, Any]
    base: LM | None = None

    @classmethod
    def of(cls, folder: str | Path, base: LM | None = None) -> RunFolder:
        """CheckpointError for a folder without `run.toml`."""
        path = Path(folder)
        if not (path / "run.toml").is_file():
            raise CheckpointError(f"{str(path)!r} holds no run", details=["expected a run.toml, which training with out = ... writes"])
        return cls(path, settings(path), base)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The oldest first. CheckpointError when there is none."""
        found = checkpoint.all_of(self.folder / "checkpoints")
        if not found:
            raise CheckpointError(f"the run in {str(self.folder)!r} has no checkpoint yet", hint="wait for the first one: train.save_every")
        return [Checkpoint(int(path.name.removeprefix("step-")), path, self) for path in found]

    def lm(self, path: Path, step: int) -> LM:
        """A checkpoint as a model. CheckpointError: a damaged file, or frozen weights that are not to be had."""
        trained, source = _weights(path), self._tokenizer_folder()
        tokenizer = self.base.tokenizer if self.base is not None else load_tokenizer(source)
        model = self._adapted(trained, path) if "adapter" in self.values else self._assembled(trained, path)
        card = {"source": str(path), "trained_steps": step}
        if self.base is not None:
            return replace(self.base, model=model, card=card, file=None, _made={})
        return LM(model, tokenizer, card, frozenset() if tokenizer.eos_id is None else frozenset({tokenizer.eos_id}))

    def _assembled(self, trained: dict[str, Tensor], path: Path) -> Any:
        config = model_config(self.values["model"])
        names = on_meta(config).state_dict().keys()
        tied = {"lm_head.weight"} if getattr(config, "embeddings", "tied") == "tied" else set[str]()
        if names - tied - trained.keys():
            frozen = self._frozen(body=any(name.startswith("body.") for name in names))
            trained = {name: tensor for name, tensor in {**frozen, **trained}.items() if name in names}
        return assemble(config, trained, torch.float32, source=str(path))

    def _frozen(self, *, body: bool) -> dict[str, Tensor]:
        """All weights of the model the run began with, or of one that it exported, in which the frozen ones are the same."""
        if self.base is not None:
            weights: Mapping[str, Tensor] = self.base.model.state_dict()
        else:
            weights = read_safetensors(self._exported())
        plain = {name.removeprefix("body."): tensor for name, tensor in weights.items()}
        return {name if name.startswith(("heads.", "lm_head.")) or not body else f"body.{name}": tensor for name, tensor in plain.items()}

    def _adapted(self, trained: dict[str, Tensor], path: Path) -> Any:
        expression = self.values["adapter"]
        if self.base is None:
            raise CheckpointError(
                f"the run in {str(self.folder)!r} trained an adapter, {expression}; what it stands beside is in no checkpoint",
                hint="give the model that the run began with: base=ig.load(...), or --base MODEL",
            )
        config = model_config(self.values["model"])
        body = any(name.startswith("body.") for name in on_meta(config).state_dict())
        plain = self._frozen(body=body) | {name: tensor for name, tensor in trained.items() if ".adapter." not in name}
        names = on_meta(config).state_dict().keys()
        model = assemble(config, {name: plain[name] for name in names & plain.keys()}, torch.float32, source=str(path))
        adapted = adapt(model, expression)
        own = {name: tensor for name, tensor in trained.items() if ".adapter." in name}
        expected = {name: tensor.shape for name, tensor in adapted.state_dict().items() if ".adapter." in name}
        check_weights(expected, {name: tensor.shape for name, tensor in own.items()}, str(path))
        adapted.load_state_dict(own, strict=False)
        return adapted.requires_grad_(False).eval()

    def _tokenizer_folder(self) -> Path:
        """Where the run exported a model with its tokenizer: at its end, and at its best evaluation so far."""
        return self.folder if self.base is not None else self._exported()

    def _exported(self) -> Path:
        for place in (self.folder, self.folder / "best"):
            if (place / "tokenizer.json").is_file() and (place / "model.safetensors").is_file():
                return place
        raise CheckpointError(
            f"the run in {str(self.folder)!r} has exported no model yet, so its tokenizer is not known",
            hint="give the model that the run began with: base=ig.load(...), or --base MODEL",
        )


def _weights(path: Path) -> dict[str, Tensor]:
    """The model's weights of a checkpoint, without those of the optimizer."""
    try:
        with safe_open(path / "state.safetensors", framework="pt") as opened:
            names = [name for name in opened.keys() if name.startswith("model.")]  # noqa: SIM118 - not a mapping
            return {name.removeprefix("model."): opened.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as fault:
        raise CheckpointError(
            f"cannot read the checkpoint {str(path)!r}: {fault}", hint=f"remove it to look at the others: {path}"
        ) from None


def models(folder: str | Path, base: LM | None = None) -> Iterator[tuple[int, LM]]:
    """Step and model of every checkpoint of a run, read one at a time."""
    for one in RunFolder.of(folder, base).checkpoints:
        yield one.step, one.lm()
