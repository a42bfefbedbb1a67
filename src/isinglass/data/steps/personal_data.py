"""Personal data: e-mail, IBAN, card, social security and phone numbers and IP addresses are masked, or their texts dropped.

What: Patterns find what looks like personal data; a card number must pass the Luhn check, an IBAN leave 1 modulo 97, a social security
number be one that can be issued, an IP address be one. Masked places read `[EMAIL]`, `[PHONE]` and so on; the names of kinds are in the
changes of the record, or in the reason when it is dropped.

Why: A model repeats rare strings of its training data word for word, and people did not agree to that.

Math: Luhn: double every second digit from the right; the digit sum is 0 modulo 10. IBAN: letters as 10 .. 35, the first four at the end,
1 modulo 97

Cost: six patterns over the text

Used by: the ROOTS, Dolma and StarCoder corpora

Paper: Carlini et al. 2021, Extracting Training Data from Large Language Models
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from isinglass.data.privacy import find, mask
from isinglass.data.step import Passed, Refused, TextStep, Verdict

EXAMPLE = dict(action="mask")


@dataclass(frozen=True)
class PersonalData(TextStep):
    """`action`: mask the places, or drop the text."""

    action: str

    def judge(self, text: str) -> Verdict:
        found = find(text)
        if not found:
            return Passed(text)
        kinds = list(dict.fromkeys(one.kind for one in found))
        if self.action == "drop":
            # what was found is not repeated: the list of dropped texts must not become a list of addresses
            return Refused(f"personal_data.{kinds[0]}", f"{len(found)} places: {', '.join(kinds)}")
        return Passed(mask(text, found), tuple(f"personal_data.{kind}" for kind in kinds))


def build(action: Literal["mask", "drop"] = "mask") -> PersonalData:
    """The step; `action` is mask or drop."""
    return PersonalData(action)
