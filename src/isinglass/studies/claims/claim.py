"""Claim: a sentence of the notes, and how to find out whether it is so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isinglass.studies.topics import chosen
from isinglass.studies.topics import topics as topics_of

Verdict = Literal["true", "false", "partly"]
_TOPICS = "isinglass.studies.claims.topics"


@dataclass(frozen=True)
class Finding:
    """What is true, from this run, and what that makes of the claim."""

    truth: str
    verdict: Verdict


@dataclass(frozen=True)
class Claim:
    """`says` is the notes' statement in short; `check` computes the truth; `command` shows it."""

    says: str
    check: Callable[[], Finding]
    command: str


@dataclass(frozen=True)
class Checked:
    """A claim with its finding."""

    topic: str
    claim: Claim
    finding: Finding

    def row(self) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "claim": self.claim.says,
            "truth": self.finding.truth,
            "verdict": self.finding.verdict,
            "command": self.claim.command,
        }


def equal(claimed: object, truth: object) -> Verdict:
    """Whether the notes' value is the one that was found."""
    return "true" if claimed == truth else "false"


def topics() -> list[str]:
    """The names of the topics, which are the files of the folder."""
    return topics_of(_TOPICS)


def checking(only: Sequence[str] = ()) -> Iterator[Checked]:
    """Check every claim, or those of the named topics. Raises ConfigError for an unknown topic, AssetError for a missing vocabulary."""
    for topic, module in chosen(_TOPICS, only):
        for claim in module.claims():
            yield Checked(topic, claim, claim.check())
