"""What trains: named strategies of fine-tuning, from the head alone to everything."""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import nn

from isinglass.core.errors import ConfigError, unknown
from isinglass.models.adapted import adapter_names
from isinglass.models.transformer import Model
from isinglass.nn.block import Block, CrossBlock, PostNormBlock
from isinglass.nn.norms import LayerNorm, RMSNorm
from isinglass.show.table import Table


def trainable(model: Model, strategy: str) -> frozenset[str]:
    """The names of the parameters that train under a strategy, an adapter's excluded (`adapter_names` gives those).

    head: the task head alone. last_block, last_two_blocks: the last blocks and the final norm behind them, with the head.
    norm_and_bias: every norm and every bias, with the head (Ben Zaken et al. 2021, BitFit). all: every parameter.

    A head that is the token embedding, used the other way round, has no parameters of its own and stays frozen, but for "all". Of an
    encoder-decoder the last blocks are the decoder's. ConfigError for an unknown strategy, and for `head` where a model has none.

    >>> from isinglass.models.presets import tiny
    >>> from isinglass.models.transformer import on_meta
    >>> model = on_meta(tiny.build(vocab_size=100, embeddings="untied"))
    >>> sorted(trainable(model, "head"))
    ['lm_head.weight']
    """
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES, where="train.strategy")
    chosen = STRATEGIES[strategy](model)
    if not chosen:
        raise ConfigError(
            f"strategy {strategy!r}: this {type(model).__name__} has no head with parameters of its own",
            hint="strategy='last_block' trains its last layers, and a task's heads=[...] bring a head",
        )
    return chosen


def lowest_trained_block(model: Model, names: Collection[str]) -> int | None:
    """The first block, in the order of computation, whose output changes while `names` train; None when only what follows all blocks does.

    What enters that block stays the same from epoch to epoch and may be kept; 0 means that nothing can be. Names may be an adapter's.
    The blocks of an encoder-decoder count on from those of its encoder; what stands between the two (a norm, positions) counts as 0.

    >>> from isinglass.models.presets import tiny
    >>> from isinglass.models.transformer import on_meta
    >>> model = on_meta(tiny.build(vocab_size=100))
    >>> lowest_trained_block(model, trainable(model, "last_block")), lowest_trained_block(model, ["norm.weight"])
    (1, None)
    """
    known = _own(model) | adapter_names(model)
    for name in names:
        if name not in known:
            raise unknown("parameter", name, known)
    blocks = _blocks(model)
    above = _head(model) | _adapted_head(model) | _final_norm(model, blocks)
    inside = {name: number for number, block in enumerate(blocks) for name in known if name.startswith(f"{block}.")}
    # what is in no block and not behind all of them stands before them: embeddings, positions, their norm
    lowest = [inside.get(name, 0) for name in names if name not in above]
    return min(lowest, default=None)


def trainable_counts(model: Model) -> Table:
    """How much each strategy trains of a model, and from which block on."""
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    adapter = adapter_names(model)
    total = sum(n for name, n in sizes.items() if name not in adapter)
    rows = [_row("adapter", adapter, model, sizes, total)] if adapter else []
    usable = [name for name in STRATEGIES if STRATEGIES[name](model)]
    rows += [_row(name, trainable(model, name), model, sizes, total) for name in usable]
    return Table(rows, title="What each strategy trains", units={"parameters": "count", "share": "ratio"})


def _row(name: str, names: frozenset[str], model: Model, sizes: dict[str, int], total: int) -> dict[str, object]:
    n, lowest = sum(sizes[each] for each in names), lowest_trained_block(model, names)
    return {"strategy": name, "parameters": n, "share": n / total, "from block": "none" if lowest is None else lowest}


def _own(model: nn.Module) -> frozenset[str]:
    """The parameters of the model itself."""
    return frozenset(name for name, _ in model.named_parameters()) - adapter_names(model)


def _head(model: nn.Module) -> frozenset[str]:
    return frozenset(name for name in _own(model) if name.startswith(_HEADS))


def _adapted_head(model: nn.Module) -> frozenset[str]:
    """The adapter's parameters in heads."""
    return frozenset(name for name in adapter_names(model) if name.startswith(_HEADS))


def _blocks(model: nn.Module) -> list[str]:
    """The names of the blocks, in the order of computation: every architecture builds them in that order."""
    return [name for name, module in model.named_modules() if isinstance(module, Block | PostNormBlock | CrossBlock)]


def _final_norm(model: nn.Module, blocks: list[str]) -> frozenset[str]:
    """The norm that stands beside the list of the last layers; post-norm encoders have none."""
    beside = blocks[-1].rpartition("layers.")[0]
    return frozenset(name for name in _own(model) if name.startswith(f"{beside}norm."))


def _last_blocks(n: int) -> Callable[[nn.Module], frozenset[str]]:
    def chosen(model: nn.Module) -> frozenset[str]:
        blocks = _blocks(model)
        inside = (name for name in _own(model) if name.startswith(tuple(f"{block}." for block in blocks[-n:])))
        return frozenset(inside) | _final_norm(model, blocks) | _head(model)

    return chosen


def _norm_and_bias(model: nn.Module) -> frozenset[str]:
    norms = {
        f"{name}.{own}" if name else own
        for name, module in model.named_modules()
        if isinstance(module, LayerNorm | RMSNorm)
        for own, _ in module.named_parameters()
    }
    biases = {name for name in _own(model) if name.rpartition(".")[2] == "bias"}
    return frozenset(norms | biases) | _head(model)


_HEADS = ("heads.", "lm_head.")
STRATEGIES: dict[str, Callable[[nn.Module], frozenset[str]]] = {
    "head": _head,
    "last_block": _last_blocks(1),
    "last_two_blocks": _last_blocks(2),
    "norm_and_bias": _norm_and_bias,
    "all": _own,
}
