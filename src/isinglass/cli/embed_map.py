"""`isinglass embed map`: texts in a plane, and their groups."""

from __future__ import annotations

from typing import Annotated

from isinglass.cli.embed import EmbeddingModel, Layer, Lines, Pooling, Texts, described, given_texts, labels_of
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import at_least, option, verb

EXAMPLES = ("isinglass embed map --save map.html", "isinglass embed map --file reviews.csv --clusters 2 --model smollm2")
app = verb("map", EXAMPLES, notes=["Without texts, twenty sentences of the project's own about four topics."])


@app.default
def embed_map(
    *texts: Texts,
    file: Lines = None,
    clusters: Annotated[
        int | None, option("Groups of k-means; without it, as many as there are labels, else 4.", validator=at_least(1))
    ] = None,
    model: EmbeddingModel = "minilm",
    pooling: Pooling = None,
    layer: Layer = None,
    seed: Annotated[int, option("Of t-SNE and k-means.")] = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """PCA and t-SNE of texts, groups by k-means with silhouette and purity, and what a classifier makes of the vectors."""
    from isinglass.embedding.collections import topics

    given = given_texts(texts, file)
    shown = (
        described("map", given, file, model, pooling, layer)
        if given
        else "isinglass embed map" + (f" --model {model}" if model != "minilm" else "")
    )
    given = given or topics()
    labels = labels_of(given)
    with output.working(f"loading {model}"):
        from isinglass.embedding.classifier import classified
        from isinglass.embedding.contextual import embed
        from isinglass.generation.lm import load

        found = embed(load(model), given.texts, pooling=pooling, layer=layer)
    k = clusters or (len(set(labels)) if labels else min(4, len(given.texts)))
    maps = [found.map(method, labels=labels, seed=seed, command=shown) for method in ("pca", "tsne")]
    groups = found.clusters(k, labels=labels, seed=seed, command=shown)
    known = None
    if labels and len(set(labels)) > 1 and (folds := min(5, *(labels.count(label) for label in set(labels)))) > 1:
        known = classified(found, labels, folds=folds, command=shown)
    data = {"maps": [one.data for one in maps], "clusters": groups.data, "pairs": found.pairs(3).data, "classifier": known and known.data}
    parts = [
        *groups.parts[:1],
        *(part for one in maps for part in one.parts),
        *groups.parts[1:],
        *(known.parts if known else ()),
        *found.pairs(3, command=shown).parts,
    ]
    output.emit(Result(data, parts))
