"""What the model expects next, at three temperatures."""

from __future__ import annotations

from isinglass.core import units
from isinglass.generation.lm import LM
from isinglass.inspection.trace import trace
from isinglass.show.format import token
from isinglass.studies.tour.station import Station, command, source

ORDER = 30
PROMPT = "The capital of France is"
TEMPERATURES = (0.1, 1.0, 2.0)
TOP = 6


def station(lm: LM) -> Station:
    expected = trace(lm, PROMPT).next_tokens(top=TOP, temperatures=TEMPERATURES)
    by_temperature = {t: {row["token"]: row["probability"] for row in expected.table.rows if row["temperature"] == t} for t in TEMPERATURES}
    first, *_ = by_temperature[1.0]
    chances = {t: shown[first] for t, shown in by_temperature.items()}
    again = command("predict", source(lm), PROMPT, "--top", str(TOP), "--temperatures", ",".join(f"{t:g}" for t in TEMPERATURES))
    figure = expected.figure
    figure.command = again
    text = (
        f"After “{PROMPT}” each of the {lm.config.vocab_size:,} tokens gets a probability; “{token(first)}” comes first with "
        f"{units.share(chances[1.0])}. Temperature divides the logits before the softmax: at {TEMPERATURES[0]:g} that token has "
        f"{units.share(chances[0.1])}, at {TEMPERATURES[-1]:g} it has {units.share(chances[2.0])}, and the entropy goes from "
        f"{expected.entropy[0.1]:.2f} over {expected.entropy[1.0]:.2f} to {expected.entropy[2.0]:.2f} nats."
    )
    facts = {
        "prompt": PROMPT, "first_token": first, "probability": {f"{t:g}": p for t, p in chances.items()},
        "entropy_nats": {f"{t:g}": h for t, h in expected.entropy.items()},
    }  # fmt: skip
    return Station("What comes next", text, (figure,), facts)
