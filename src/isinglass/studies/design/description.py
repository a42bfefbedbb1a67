"""`Description`: an application that uses language models, as a file tells it; five stand beside this module as TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from isinglass.core.config import Config, build, line_of, read_toml
from isinglass.core.errors import ConfigError, unknown
from isinglass.economics.workload import Workload

Kind = Literal["user", "service", "model", "store", "check", "outside"]
Role = Literal["main", "small", "fallback"]
_FOLDER = Path(__file__).parent


class Component(Config):
    """A box of the diagram."""

    name: str
    kind: Kind
    does: str


class Flow(Config):
    """An arrow of the diagram: what goes from one component to another. The number of a flow is its place in the file."""

    source: str
    target: str
    carries: str


class Candidate(Config):
    """A model with its role. `preset` names the architecture whose memory is computed, for a model on a machine of one's own."""

    model: str
    role: Role
    why: str
    preset: str | None = None


class Phase(Config):
    """A part of the plan; phases follow one another."""

    name: str
    weeks: int = Field(ge=1)
    roles: tuple[str, ...]
    result: str


class Risk(Config):
    """What may go wrong and what is done about it."""

    risk: str
    mitigation: str


class Needs(Config):
    """What the application has to reach. `peak` is the busiest hour's load over the average one."""

    latency_seconds: float = Field(gt=0)
    availability: Annotated[float, Field(gt=0, lt=1)]
    quality: str
    peak: float = Field(default=3, ge=1)


class Description(Config):
    """Everything that the study computes from."""

    title: str
    purpose: str
    users: str
    data: str
    sensitivity: str
    components: tuple[Component, ...] = Field(min_length=2)
    flows: tuple[Flow, ...] = Field(min_length=1)
    stack: tuple[str, ...]
    models: tuple[Candidate, ...] = Field(min_length=1)
    fine_tuning: str
    phases: tuple[Phase, ...] = Field(min_length=1)
    needs: Needs
    risks: tuple[Risk, ...] = Field(min_length=1)
    workload: Workload

    def candidate(self, role: Role) -> Candidate | None:
        """The first model with this role."""
        return next((one for one in self.models if one.role == role), None)

    @property
    def weeks(self) -> int:
        """From the first phase's start to the last one's end."""
        return sum(phase.weeks for phase in self.phases)


def scenarios() -> list[str]:
    """The applications that are described beside this module."""
    return sorted(file.stem for file in _FOLDER.glob("*.toml"))


def scenario(name: str) -> Description:
    """One of the five. Raises ConfigError.

    >>> scenario("legal").title
    'Legal document analyzer'
    """
    if name not in scenarios():
        raise unknown("scenario", name, scenarios())
    return read_description(_FOLDER / f"{name}.toml")


def read_description(path: str | Path) -> Description:
    """Read a description. Raises ConfigError with file and line for a key or a value that is wrong, and for a flow without its ends."""
    file = Path(path)
    found = build(Description, read_toml(file), place=lambda key: f"{file}:{line_of(file, key) or 1}")
    names = [one.name for one in found.components]
    for number, flow in enumerate(found.flows, start=1):
        for end in (flow.source, flow.target):
            if end not in names:
                raise ConfigError(f"{file}: flow {number} names {end!r}, which is no component", hint=f"components: {', '.join(names)}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{file}: two components have the same name")
    return found
