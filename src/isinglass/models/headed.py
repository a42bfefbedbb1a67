"""A model with heads: the hidden states of an encoder or a decoder turned into answers, one for each head."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from jaxtyping import Float, Int
from torch import Tensor, nn

from isinglass.core.errors import ConfigError
from isinglass.core.variants import Call, parse
from isinglass.models import heads
from isinglass.models.assembly import slots_for
from isinglass.models.config import DecoderConfig, EncoderConfig
from isinglass.models.head import Head, HeadDims
from isinglass.nn.attention.slots import Slots
from isinglass.nn.tap import Tap, tapped


class Body(Protocol):
    """What heads stand on: a Decoder or an Encoder."""

    config: DecoderConfig | EncoderConfig
    embed_tokens: nn.Embedding

    def hidden(self, ids: Int[Tensor, "batch time"], *, slots: Slots, tap: Tap | None = None) -> Float[Tensor, "batch time d_model"]: ...


class HeadedModel(nn.Module):
    """A body and its heads; each head is a tap `heads.NAME`.

    >>> import torch
    >>> from isinglass.models.encoder import Encoder
    >>> from isinglass.models.presets import bert
    >>> config = bert.build(n_layers=1, d_model=64, n_heads=4, vocab_size=100, heads=["masked_lm", "classification(n_labels=3)"])
    >>> model = HeadedModel(Encoder(config), make_heads(config))
    >>> {name: list(answer.shape) for name, answer in model(torch.tensor([[1, 2, 3]])).items()}
    {'masked_lm': [1, 3, 100], 'classification': [1, 3]}
    """

    def __init__(self, body: nn.Module, heads: Mapping[str, Head]) -> None:
        super().__init__()
        self.body = body
        self.config = cast(Body, body).config
        self.heads = nn.ModuleDict(heads)

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        *,
        slots: Slots | None = None,
        segments: Int[Tensor, "batch time"] | None = None,
        tap: Tap | None = None,
    ) -> dict[str, Tensor]:
        """The answer of each head by its name; arguments as `Encoder.forward` (a decoder knows no segments)."""
        slots, body = slots_for(ids, slots, 0, self.config.context_length), cast(Body, self.body)
        segmented = {} if segments is None else {"segments": segments}
        hidden = body.hidden(ids, slots=slots, tap=tap, **segmented)
        embedding = body.embed_tokens.weight
        return {name: tapped(tap, f"heads.{name}", cast(Head, head)(hidden, slots, embedding)) for name, head in self.heads.items()}


def make_heads(config: DecoderConfig | EncoderConfig) -> dict[str, Head]:
    """The heads of a config by name. ConfigError when one stands there twice, VariantError for an unknown one."""
    dims = HeadDims(config.d_model, config.vocab_size, config.norm_eps, config.dropout)
    made: dict[str, Head] = {}
    for text in config.heads:
        head = heads.family.resolve(text, dims, where="heads")
        name = Path(cast(Call, parse(text)).name).stem  # a head may come from a file of the user's
        if name in made:
            raise ConfigError(f"heads = {config.heads!r}: {name!r} stands there twice, expected each kind of head once")
        made[name] = head
    return made
