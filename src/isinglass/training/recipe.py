"""A recipe: one TOML file from data to trained model, with any setting replaced on the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from isinglass.core.config import Config, Key, build, line_of, parse_override, read_toml, with_overrides
from isinglass.core.errors import ConfigError, VariantError, unknown
from isinglass.core.variants import Call, parse
from isinglass.generation.lm import LM, create, load
from isinglass.nn.attention.config import AttentionConfig
from isinglass.text.tokenizer import Tokenizer
from isinglass.text.trainers import family as trainers
from isinglass.text.training import train_tokenizer
from isinglass.training.config import TrainConfig
from isinglass.training.dataset import check_options, records_of
from isinglass.training.events import TrainEvent
from isinglass.training.loop import training


class ModelChoice(Config):
    """A fresh model from a preset, or one that is loaded."""

    preset: str | None = None
    load: str | None = None
    attention: dict[str, Any] = Field(default_factory=dict)  # settings of attention in place of the preset's

    @field_validator("attention")
    @classmethod
    def _known(cls, values: dict[str, Any]) -> dict[str, Any]:
        for name in values:
            if name not in AttentionConfig.model_fields:
                raise ValueError(str(unknown("setting", name, AttentionConfig.model_fields)))
        return values

    @model_validator(mode="after")
    def _one_of_two(self) -> ModelChoice:
        if (self.preset is None) == (self.load is None):
            raise ValueError("give either preset (a fresh model) or load (a model with weights)")
        if self.load is not None and self.attention:
            raise ValueError("attention belongs to a fresh model: a loaded one has its own")
        return self


class TokenizerChoice(Config):
    """A tokenizer that is learned from the data."""

    algorithm: str
    vocab_size: int | None = Field(default=None, gt=0)


class Recipe(Config):
    """All that `training` needs, as values."""

    model: ModelChoice
    data: str | dict[str, Any]
    tokenizer: TokenizerChoice | str | None = None  # a vocabulary's name, or what to learn; None: the loaded model's, or bytes
    objective: str = "causal_lm"
    strategy: str = "all"
    adapter: str | None = None
    seed: int = 0
    out: str | None = None
    train: TrainConfig = TrainConfig()

    @model_validator(mode="before")
    @classmethod
    def _short_forms_too(cls, values: dict[str, Any]) -> dict[str, Any]:
        return _long_form(values)

    @field_validator("data")
    @classmethod
    def _known(cls, data: str | dict[str, Any]) -> str | dict[str, Any]:
        if isinstance(data, dict):
            try:
                check_options(data)
            except ConfigError as fault:
                raise ValueError(str(fault)) from None
        return data

    @model_validator(mode="after")
    def _vocabulary(self) -> Recipe:
        if self.model.load is not None and self.tokenizer is not None:
            raise ValueError(
                "tokenizer belongs to a fresh model (preset): one that is loaded keeps the vocabulary its weights were made for"
            )
        return self

    def lm(self) -> LM:
        """The model to begin with. The tokenizer is learned from the data if that is asked for."""
        if self.model.load is not None:
            return load(self.model.load)
        assert self.model.preset is not None  # one of the two is given
        return create(self.model.preset, tokenizer=self._tokenizer(), attention=self.model.attention, seed=self.seed)

    def _tokenizer(self) -> Tokenizer | str | None:
        if not isinstance(self.tokenizer, TokenizerChoice):
            return self.tokenizer
        texts = (text for record in records_of(self.data) for text in record.fields.values() if isinstance(text, str))
        return train_tokenizer(self.tokenizer.algorithm, texts, vocab_size=self.tokenizer.vocab_size)


def _long_form(values: Mapping[str, Any]) -> dict[str, Any]:
    """`model = "tiny"` stands for a preset, `tokenizer = "character"` for what is learned when it names an algorithm."""
    values = dict(values)
    if isinstance(values.get("model"), str):
        values["model"] = {"preset": values["model"]}
    if isinstance(values.get("tokenizer"), str) and _is_trainer(values["tokenizer"]):
        values["tokenizer"] = {"algorithm": values["tokenizer"]}
    return values


def _is_trainer(text: str) -> bool:
    try:
        call = parse(text)
    except VariantError:
        return False
    return isinstance(call, Call) and call.name in trainers.names()


def read_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and replace settings (`train.steps=200`). ConfigError names file and key.

    Paths inside are taken from the folder one works in.
    """
    values = with_overrides(_long_form(read_toml(path)), overrides)
    return build(Recipe, values, place=lambda key: _place(Path(path), overrides, key))


def _place(path: Path, overrides: Sequence[str], key: Key) -> str:
    """Where a setting was given: the last override that gives it or a table it stands in, else the line of the file."""
    for text in reversed(overrides):
        given = tuple(parse_override(text)[0])
        if given == tuple(map(str, key[: len(given)])):
            return f"--set {text}"
    line = line_of(path, key)
    return str(path) if line is None else f"{path}:{line}"


def cook(recipe: Recipe, lm: LM, *, resume: bool = False) -> Iterator[TrainEvent]:
    """Train as the recipe says: the events of `training`."""
    return training(
        lm, recipe.data, objective=recipe.objective, strategy=recipe.strategy, adapter=recipe.adapter, out=recipe.out, resume=resume,
        seed=recipe.seed, config=recipe.train,
    )  # fmt: skip
