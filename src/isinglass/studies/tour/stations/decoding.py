"""The same prompt continued greedily and by sampling, with how surprising each token was to the model."""

from __future__ import annotations

from typing import Any

from isinglass.generation.lm import LM
from isinglass.generation.loop import generate
from isinglass.generation.results import Generation
from isinglass.metrics.diversity import distinct
from isinglass.show.marks.tokens import Strip, TokenStrips
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command, source
from isinglass.studies.tour.stations.vocabularies import pieces

ORDER = 50
PROMPT = "It was a cold night and"
STRATEGY, TEMPERATURE, SEEDS = "sample(top_p=0.9)", 0.8, (0, 1, 2)
_MAX_TOKENS = 40


def station(lm: LM) -> Station:
    texts = {"greedy": _continued(lm)}
    texts |= {f"sampled, seed {seed}": _continued(lm, strategy=STRATEGY, temperature=TEMPERATURE, seed=seed) for seed in SEEDS}
    rows = [_row(name, made) for name, made in texts.items()]
    greedy, sampled = rows[0], rows[1:]
    how = ("--strategy", STRATEGY, "--temperature", f"{TEMPERATURE:g}", "--seed", str(SEEDS[0]), "--max-tokens", str(_MAX_TOKENS))
    again = command("generate", source(lm), PROMPT, *how)
    strips = TokenStrips(
        [_strip(lm, name, made) for name, made in texts.items()],
        title=f"“{PROMPT} …”: the higher its bar, the more surprising the token", value="surprisal (nats)", command=again,
        notes=(f"greedy: --strategy greedy without a temperature; the others: --seed {' and '.join(map(str, SEEDS[1:]))}",),
    )  # fmt: skip
    table = Table(rows, title="How surprising, and how varied", units={"mean_surprisal": "nats", "distinct_2": "ratio"}, command=again)
    mean = sum(row["mean_surprisal"] for row in sampled) / len(sampled)
    text = (
        f"Greedy takes the likeliest token each time: {greedy['mean_surprisal']:.2f} nats of surprise per token, and "
        f"{greedy['distinct_2']:.0%} of its pairs of tokens are different. Sampling with `{STRATEGY}` at temperature {TEMPERATURE:g} takes "
        f"less likely ones now and then: {mean:.2f} nats, and {min(row['distinct_2'] for row in sampled):.0%} to "
        f"{max(row['distinct_2'] for row in sampled):.0%} different pairs; another seed gives another text."
    )
    facts = {"prompt": PROMPT, "texts": {name: made.text for name, made in texts.items()}, "measures": {row["how"]: row for row in rows}}
    return Station("How one token is chosen", text, (strips,), facts, more=(table,))


def _continued(lm: LM, **options: Any) -> Generation:
    made = generate(lm, PROMPT, max_tokens=_MAX_TOKENS, **options)
    assert isinstance(made, Generation)  # one prompt gives one result
    return made


def _strip(lm: LM, name: str, made: Generation) -> Strip:
    return Strip(name, tuple(pieces(lm.tokenizer, made.ids)), tuple(made.ids), tuple(max(0.0, -one) for one in made.log_probs))


def _row(name: str, made: Generation) -> dict[str, Any]:
    return {
        "how": name,
        "tokens": len(made.ids),
        "mean_surprisal": -sum(made.log_probs) / max(len(made.log_probs), 1),
        "distinct_2": distinct(made.ids, 2),
        "finish": made.finish,
    }
