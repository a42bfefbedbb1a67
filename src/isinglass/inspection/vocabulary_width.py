"""Vocabulary size against hidden size: which share of a model's weights its embeddings take."""

from __future__ import annotations

from dataclasses import dataclass

from isinglass.models import presets
from isinglass.models.config import DecoderConfig, EncoderDecoderConfig, HierarchicalConfig, ModelConfig
from isinglass.models.summary import parameters_by_part
from isinglass.models.transformer import on_meta
from isinglass.show.figure import Figure
from isinglass.show.format import percent
from isinglass.show.marks.bars import bars
from isinglass.show.marks.heatmap import heatmap
from isinglass.show.table import Table

VOCABULARIES = (1_000, 4_000, 16_000, 32_000, 64_000, 128_000, 256_000)
WIDTHS = (128, 256, 512, 1_024, 2_048, 4_096, 8_192)


@dataclass(frozen=True)
class Embeddings:
    """Rows of the embedding of tokens (twice where the output head has its own), and the weights of all the rest."""

    vocab_size: int
    d_model: int
    copies: int
    others: int

    @classmethod
    def of(cls, config: ModelConfig) -> Embeddings:
        """Counted from the model itself."""
        untied = isinstance(config, DecoderConfig | EncoderDecoderConfig) and config.embeddings == "untied"
        copies = 2 if untied else 1
        return cls(config.vocab_size, config.d_model, copies, n_parameters(config) - copies * config.vocab_size * config.d_model)

    @property
    def parameters(self) -> int:
        return self.copies * self.vocab_size * self.d_model

    @property
    def share(self) -> float:
        return self.parameters / (self.parameters + self.others)

    def share_at(self, vocab_size: int, d_model: int) -> float:
        """The share with another vocabulary and width: embeddings grow with the width, all other matrices with its square."""
        own = self.copies * vocab_size * d_model
        return own / (own + self.others * (d_model / self.d_model) ** 2)


def n_parameters(config: ModelConfig) -> int:
    """Weights of a config's model. Of equal layers the second is counted and taken as often as it comes: building 56 of them takes long."""
    depth = config.n_layers
    apart = isinstance(config, HierarchicalConfig) or (isinstance(config, EncoderDecoderConfig) and config.n_decoder_layers is not None)
    if depth <= 2 or apart or any(isinstance(getattr(config.attention, part), list) for part in ("position", "mask", "kernel")):
        return sum(parameters_by_part(on_meta(config)).values())
    one, two = (sum(parameters_by_part(on_meta(config.model_copy(update={"n_layers": n}))).values()) for n in (1, 2))
    return one + (depth - 1) * (two - one)


def known() -> list[tuple[str, ModelConfig]]:
    """Every family and size that can be built by name."""
    found: list[tuple[str, ModelConfig]] = []
    for name in presets.family.names():
        sizes = getattr(presets.family.module(name), "SIZES", None)
        for expression in [f"{name}(size={size!r})" for size in sizes] if sizes else [name]:
            found.append((expression, presets.family.resolve(expression)))
    return found


def compared(config: ModelConfig, name: str, *, command: str | None = None) -> Figure:
    """This model (with a star) among the known ones, those first in which the embeddings take most; its data has the numbers."""
    counted = [(f"{name} *", Embeddings.of(config)), *((_brief(other), Embeddings.of(each)) for other, each in known())]
    counted.sort(key=lambda pair: -pair[1].share)
    rows = [
        {"model": each, "vocabulary": one.vocab_size, "d_model": one.d_model}
        | {"embeddings": one.parameters, "others": one.others, "share": one.share}
        for each, one in counted
    ]
    title, units = (
        "Embeddings as a share of all weights, of models that can be built by name",
        {"embeddings": "count", "others": "count", "share": "ratio"},
    )
    notes = [
        "* this model; behind each name: vocabulary x d_model",
        "embeddings: of tokens, and the output head where it has weights of its own",
    ]
    labels = [f"{each}  {one.vocab_size:,} x {one.d_model:,}" for each, one in counted]
    drawn = bars(
        labels, [one.share for _, one in counted], title=title, axis="share", unit="ratio", limit=1.0, notes=notes, command=command
    )
    data = Table(rows, title=title, units=units, notes=notes, command=command)
    return Figure(drawn.spec, title=title, command=command, data=data, notes=notes, sketch=drawn.sketch)


def grid(config: ModelConfig, name: str, *, command: str | None = None) -> Figure:
    """The share of the embeddings, were the vocabulary or the width another one."""
    here = Embeddings.of(config)
    widths, sizes = sorted({*WIDTHS, here.d_model}), sorted({*VOCABULARIES, here.vocab_size})
    notes = (
        f"{name}: {here.vocab_size:,} tokens x {here.d_model:,}" + (" x 2 (the output head has its own)" if here.copies == 2 else ""),
        f"= {here.parameters:,} of {here.parameters + here.others:,} weights, {percent(here.share)}",
        f"elsewhere: the same {_layers(config)} layers, whose matrices grow with the square of the width",
    )
    return heatmap(
        [[here.share_at(size, width) for size in sizes] for width in widths],
        title="Share of the weights that are embeddings, by vocabulary and width", rows=[_marked(width, here.d_model) for width in widths],
        columns=[_marked(size, here.vocab_size) for size in sizes], row_axis="d_model", column_axis="vocabulary (tokens)",
        value="share of embeddings", limits=(0.0, 1.0), notes=notes, command=command,
    )  # fmt: skip


def _layers(config: ModelConfig) -> int:
    return config.n_layers + (config.decoder_layers if isinstance(config, EncoderDecoderConfig) else 0)


def _marked(number: int, own: int) -> str:
    return f"{number:,} *" if number == own else f"{number:,}"


def _brief(expression: str) -> str:
    """`gpt2(size='124m')` as `gpt2 124m`."""
    return expression.replace("(size='", " ").replace("')", "")
