"""`isinglass rag index`: documents into an index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output, Result
from isinglass.cli.verb import at_least, option, verb
from isinglass.show.table import Table

EXAMPLES = ("isinglass rag index --out runs/tidewell", "isinglass rag index notes/ --out runs/notes --size 200 --overlap 2")
app = verb(
    "index",
    EXAMPLES,
    notes=["Without a folder, the twenty documents of the project's own collection. Files that cannot be read are listed, and skipped."],
)


@app.default
def rag_index(
    folder: Annotated[Path | None, option("A folder of .md and .txt files, or one file.")] = None,
    /,
    *,
    out: Annotated[
        str, option("Where the index is written: a folder, or a URL of object storage. An older one there is replaced at the end.")
    ],
    model: Annotated[str, option("What makes the vectors.")] = "minilm",
    size: Annotated[int, option("Tokens of a passage at most.", validator=at_least(8))] = 120,
    overlap: Annotated[int, option("Sentences that two neighbours share.", validator=at_least(0))] = 1,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Cut documents into passages, and index them by meaning (vectors) and by words (BM25)."""
    from isinglass.retrieval.documents import COLLECTION, read_folder
    from isinglass.retrieval.index import make_index

    documents, skipped = read_folder(folder or COLLECTION)
    skipped = [] if folder is None else skipped
    for one in skipped:
        output.say(f"skipped {one.name}: {one.reason}")
    index = make_index(
        out, documents, model=model, size=size, overlap=overlap, tell=lambda done, total: output.say(f"{done:,} of {total:,} passages")
    )
    card = index.store.card
    rows = [
        {"what": "documents", "count": len(card.documents)},
        {"what": "passages", "count": card.passages},
        {"what": "skipped files", "count": len(skipped)},
    ]
    data = {
        "index": out,
        "documents": list(card.documents),
        "passages": card.passages,
        "model": model,
        "skipped": [vars(one) for one in skipped],
    }
    notes = [f"vectors of {model}; {out}", *(f"skipped {one.name}: {one.reason}" for one in skipped)]
    output.emit(Result(data, parts=[Table(rows, title="Indexed", notes=notes)]))
