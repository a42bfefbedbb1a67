"""One request: several variations are asked for in one request, so that the prompt is billed once.

What: sets `n` of the request to the number of variations.
Why: as separate requests, each variation pays for the prompt again.
Math: one prompt in place of n
Cost: nothing where the provider offers it; some answer one only
Used by: several drafts or variations of one answer
Source: OpenAI's interface takes n; Groq's documents that only n = 1 is supported
"""

from collections.abc import Sequence
from dataclasses import dataclass

from isinglass.economics.saving import Branch, Risk, Saving, Share, Verdict
from isinglass.economics.traffic import Part
from isinglass.economics.workload import Situation


@dataclass(frozen=True)
class OneRequest(Saving):
    @property
    def risk(self) -> Risk:
        return Risk.NONE

    @property
    def loss(self) -> str:
        return "nothing: the same model draws the same number of answers to the same prompt"

    @property
    def steps(self) -> Sequence[str]:
        return ("Set n to the number of variations in one request, in place of sending it n times.",)

    @property
    def shares(self) -> Sequence[Share]:
        return ()

    def verdict(self, part: Part, situation: Situation) -> Verdict:
        if part.prompts == 1:
            return Verdict(False, "the prompt is billed once already")
        if part.price.most_answers is not None and part.price.most_answers < part.prompts:
            return Verdict(False, f"{part.price.provider} gives {part.price.most_answers} answer to a request")
        return Verdict(True, f"the prompt is billed once in place of {part.prompts} times")

    def branches(self, part: Part, situation: Situation) -> Sequence[Branch]:
        return (Branch(prompts=1),)


def build() -> Saving:
    """Nothing to set: the workload says how many variations there are."""
    return OneRequest()
