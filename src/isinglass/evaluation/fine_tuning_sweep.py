"""Ways to fine-tune side by side, for every objective: what trains, how long it takes, what memory a step needs, how good it gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from isinglass.core.errors import ConfigError
from isinglass.evaluation.attention_costs import peak_bytes
from isinglass.generation.lm import LM
from isinglass.show.table import Table
from isinglass.training.config import TrainConfig
from isinglass.training.dataset import Data, records_of
from isinglass.training.events import Started
from isinglass.training.loop import train, training
from isinglass.training.run import Run


@dataclass(frozen=True)
class Tried:
    """One run. Losses are in nats per target, of what is held out; `peak_bytes` is the most that tensors of a first step hold at once."""

    choice: Mapping[str, Any]
    n_trained: int
    seconds: float  # of all steps
    peak_bytes: int
    run: Run

    def row(self) -> dict[str, Any]:
        """As a row of a table."""
        drift = None if self.run.drift is None else self.run.drift.rows[0]["largest difference"]
        return {
            **_shown(self.choice), "parameters": self.n_trained, "seconds": self.seconds, "peak MB": self.peak_bytes / 1e6,
            "loss": self.run.evaluations[-1]["validation_loss"], "best loss": self.run.best_loss, "at step": self.run.best_step,
            "merge drift": drift,
        }  # fmt: skip


def sweep(lm: LM, data: Data, choices: Sequence[Mapping[str, Any]], **common: Any) -> Table:
    """Train once for each choice and lay the runs side by side: `sweeping`, to its end.

    >>> import isinglass as ig
    >>> data = [{"instruction": f"Spell {word}", "output": "-".join(word)} for word in ("one", "two", "six", "ten")]
    >>> choices = [{"strategy": "last_block"}, {"adapter": "lora(rank=2)"}, {"adapter": "lora(rank=4)"}]
    >>> settings = {"steps": 1, "context_length": 160, "batch_size": 2, "validation": 0.25}
    >>> [row["parameters"] for row in sweep(ig.create("tiny"), data, choices, objective="instruction", config=settings).rows]
    [46272, 4672, 9344]
    """
    return table(list(sweeping(lm, data, choices, **common)))


def sweeping(lm: LM, data: Data, choices: Sequence[Mapping[str, Any]], **common: Any) -> Iterator[Tried]:
    """Each run when it is done. A choice holds arguments of `training` that differ, such as {"adapter": "lora(rank=8)"}; `common` those
    that all share. `config` may be in both: its settings are joined, the choice's first.

    Every run begins from `lm`, on the same records. Raises ConfigError without a choice, and what `training` raises.
    """
    if not choices:
        raise ConfigError("there is no choice to try", hint='sweep(lm, data, [{"adapter": "lora(rank=4)"}, {"adapter": "lora(rank=8)"}])')
    records = records_of(data)
    for choice in choices:
        asked = {**common, **choice, "config": {**_values(common.get("config")), **_values(choice.get("config"))}}
        yield _tried(lm, records, choice, asked)


def table(tried: Sequence[Tried]) -> Table:
    """One row per run."""
    rows = [one.row() for one in tried]
    shown = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    notes = [
        "loss: nats per target of what is held out, after the last step; seconds: of all steps, evaluation not counted",
        "peak: the most that tensors made in a first step hold at once (activations, gradients, optimizer); the weights are not counted",
    ]
    return Table(rows, title="Ways to fine-tune", columns=shown, units={"parameters": "count"}, notes=notes)


def _tried(lm: LM, records: Any, choice: Mapping[str, Any], asked: Mapping[str, Any]) -> Tried:
    # a step that is watched operator by operator is slow: it is made apart from the run that is timed
    watched = training(lm, records, **{**asked, "steps": 1, "epochs": None, "out": None, "resume": False})
    started = cast(Started, next(watched))
    if not started.n_validation_examples:
        raise ConfigError("nothing is held out, so the runs cannot be compared", hint='config={"validation": 0.1}')
    peak = peak_bytes(lambda: next(watched))
    watched.close()  # type: ignore[attr-defined] # a generator
    run = train(lm, records, **asked)
    return Tried(choice, started.n_trained, sum(row["seconds"] for row in run.rows), peak, run)


def _values(config: TrainConfig | Mapping[str, Any] | None) -> dict[str, Any]:
    return config.model_dump(exclude_unset=True) if isinstance(config, TrainConfig) else dict(config or {})


def _shown(choice: Mapping[str, Any]) -> dict[str, Any]:
    """What a choice changes, as columns; settings by their dotted names."""
    settings = {f"train.{name}": value for name, value in _values(choice.get("config")).items()}
    given = {name: value for name, value in choice.items() if name != "config"}
    return {"strategy": "all", "adapter": None, **given, **settings}
