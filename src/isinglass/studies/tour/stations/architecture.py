"""What the model is made of, and where its parameters are."""

from __future__ import annotations

from isinglass.core import units
from isinglass.generation.lm import LM
from isinglass.models.summary import kv_bytes_per_token, parameters_by_part, summarise
from isinglass.studies.tour.station import Station, command, source

ORDER = 10


def station(lm: LM) -> Station:
    config, width = lm.config, lm.decoder.embed_tokens.weight.element_size()
    summary = summarise(config, bytes_per_number=width, command=command("model show", source(lm)))
    parts = parameters_by_part(lm.decoder)
    largest = max(parts, key=lambda part: parts[part])
    kv = kv_bytes_per_token(config, width)
    text = (
        f"{summary.n_parameters:,} numbers make up the whole model: a table that turns tokens into vectors of {config.d_model}, and "
        f"{config.n_layers} layers of the same shape. Most of them, {units.share(parts[largest] / summary.n_parameters)}, are in its "
        f"{largest} part. Each token of a text adds {kv:,} bytes to the KV cache, because {config.n_kv_heads} key and value heads serve "
        f"{config.attention.n_heads} query heads in every layer."
    )
    facts = {
        "n_parameters": summary.n_parameters, "parameters_by_part": parts, "n_layers": config.n_layers, "d_model": config.d_model,
        "weights_bytes": summary.n_parameters * width, "kv_bytes_per_token": kv,
    }  # fmt: skip
    return Station("What it is made of", text, (summary.figure,), facts, more=(summary.tree, summary.costs))
