"""Where every head of every layer looks, on one sentence."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from isinglass.core import units
from isinglass.generation.lm import LM
from isinglass.inspection.trace import trace
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, python_command, source

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
    first, (layer, head) = strongest["the first token"], strongest["the token before"]
    rest, before = float(looks["the first token"][first]), float(looks["the token before"][layer, head])
    grid = seen.attention(layer, head)
    grid.command = python_command(f'ig.trace(ig.load("{source(lm)}"), "{SENTENCE}").attention({layer}, {head}).save("attention.html")')
    text = (
        f"Each small square is one of {heads} heads: a row for each token that looks, a column for each it looks at. Head {first[1]} of "
        f"layer {first[0]} puts {units.share(rest)} of its attention on the very first token, and {units.share(sinks / heads)} of all "
        f"heads put more than half there: a place to look when there is nothing to fetch. Head {head} of layer {layer} puts "
        f"{units.share(before)} on the token before."
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
