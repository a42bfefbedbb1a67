"""The settings of a training run: values only, saved with it as part of `run.toml`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from isinglass.core.config import Config


class TrainConfig(Config):
    """How long, how fast and how watched. Counts are in steps of the optimizer unless their name says otherwise."""

    steps: int | None = Field(default=None, gt=0)
    epochs: float | None = Field(default=None, gt=0)  # passes over the data; without steps and epochs: one
    batch_size: int = Field(default=16, gt=0)  # examples per step, over all processes
    batching: Literal["by_length"] | None = None  # by_length: rows of like length together, so that less is padded; None: at random
    accumulation: int = Field(default=1, gt=0)  # in how many parts a batch is computed, to save memory
    context_length: int | None = Field(default=None, gt=0)  # of the examples; None: the model's
    optimizer: str = "adamw"
    schedule: str = "cosine(warmup=0.05)"
    clip: float | None = Field(default=1.0, gt=0)  # the largest norm of the gradient
    precision: Literal["float32", "bfloat16"] = "float32"  # bfloat16: autocast, weights stay fp32
    activations: Literal["kept", "recomputed"] = "kept"  # recomputed: a third more work, a fraction of the memory
    reuse: Literal["auto", "never"] = "auto"  # auto: what blocks below the lowest trained one make of an example is computed once
    engine: Literal["eager", "native", "compiled"] = "eager"  # native: our C++ for feed-forward layers and short attention
    parallel: Literal["ddp", "fsdp"] = "ddp"  # under torchrun: the model copied to every process, or divided among them
    validation: float | str = 0.1  # a share held out, or a source of its own; 0: none
    evaluate_every: int | None = Field(default=None, gt=0)  # None: ten times in a run
    evaluation_batches: int | None = Field(default=None, gt=0)  # None: all of the validation set
    patience: int | None = Field(default=None, gt=0)  # stop after so many evaluations without a better one
    samples: list[str] = Field(default_factory=list)  # prompts continued at every evaluation
    sample_tokens: int = Field(default=60, gt=0)
    save_every: int | None = Field(default=None, gt=0)  # None: at every evaluation
    keep: Literal["newest", "all"] = "newest"  # checkpoints: the newest two, from which a run is resumed, or all, to look back at them

    @model_validator(mode="after")
    def _sensible(self) -> TrainConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError(f"steps = {self.steps} beside epochs = {self.epochs:g}: give one of them")
        if isinstance(self.validation, float) and not 0 <= self.validation < 1:
            raise ValueError(f"validation = {self.validation}: expected a share from 0 to below 1, or a source")
        if self.batch_size % self.accumulation:
            raise ValueError(f"batch_size = {self.batch_size} does not divide into accumulation = {self.accumulation} equal parts")
        return self

    def with_given(self, **given: Any) -> TrainConfig:
        """A copy with the values that are not None in the place of these; `steps` and `epochs` replace each other."""
        values = {name: value for name, value in given.items() if value is not None}
        cleared = {"steps": None, "epochs": None} if {"steps", "epochs"} & values.keys() else {}
        return TrainConfig.model_validate({**self.model_dump(), **cleared, **values})
