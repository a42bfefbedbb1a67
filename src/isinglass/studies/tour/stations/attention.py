"""Where every head of every layer looks, on one sentence."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core import units
from isinglass.generation.lm import LM
from isinglass.inspection.trace import trace
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command, source

ORDER = 60
SENTENCE = "The cat sat by the stove because it was cold, and when the fire went out, the cat walked away to find another stove."
_LONGEST = 48  # tokens: a vocabulary of bytes would make a long grid


def station(lm: LM) -> Station:
    seen = trace(lm, lm.encode(SENTENCE)[:_LONGEST])
    weights = seen.attention_weights()
    looks = shares(weights)
    strongest = {what: divmod(int(share.argmax()), share.shape[1]) for what, share in looks.items()}
    rows = [{"looks_at": what, "layer": at[0], "head": at[1], "share": float(looks[what][at])} for what, at in strongest.items()]
    sinks, heads = int((looks["the first token"] > 0.5).sum()), looks["the first token"].numel()
    (first, previous), (rest, before) = (strongest[what] for what in ("the first token", "the token before")), (rows[0]["share"], rows[1]["share"])
    grid = seen.attention(*previous)
    grid.command = command("inspect", source(lm), SENTENCE)
    text = (
        f"Each small square is one of {heads} heads: a row for each token that looks, a column for each it looks at. In this sentence head "
        f"{first[1]} of layer {first[0]} puts {units.share(rest)} of its attention on the very first token, and {units.share(sinks / heads)} of "
        f"all heads put more than half there: it is where a head looks that has nothing to do. Head {previous[1]} of layer {previous[0]} "
        f"looks at the token before with {units.share(before)}."
    )
    facts = {
        "n_heads": heads, "n_tokens": len(seen.ids[0]), "first_token_sink_share": sinks / heads,
        "strongest": {row["looks_at"]: {"layer": row["layer"], "head": row["head"], "share": row["share"]} for row in rows},
    }  # fmt: skip
    table = Table(rows, title="The heads that look most at one place", units={"share": "ratio"}, command=grid.command)
    return Station("Where it looks", text, (grid, table), facts)


def shares(weights: Float[Tensor, "layers heads query key"]) -> dict[str, Float[Tensor, "layers heads"]]:
    """Mean share of attention on the first token, the token before, and the token itself, over queries where these are three tokens."""
    queries = weights[..., 2:, :]
    before = torch.diagonal(queries, offset=1, dim1=-2, dim2=-1)
    itself = torch.diagonal(queries, offset=2, dim1=-2, dim2=-1)
    return {"the first token": queries[..., 0].mean(-1), "the token before": before.mean(-1), "itself": itself.mean(-1)}
