"""Answer a question from a folder of documents, with sources; and the same without them, for comparison.

    python mini_rag.py "How long is the warranty on the heating element?"
    python mini_rag.py "What do we owe the landlord?" --documents letters/ --model smollm2

It needs the package isinglass with its extra [rag]; the model runs on this machine.
"""

import argparse
import tempfile
from pathlib import Path

import isinglass as ig
from isinglass.retrieval.answerer import Answerer, Extract, Local
from isinglass.retrieval.ask import ask
from isinglass.retrieval.documents import COLLECTION, read_folder
from isinglass.retrieval.index import Index, make_index


def indexed(folder: Path, place: Path) -> Index:
    """Every document cut into passages, each passage with the vector of what it means and an index of its words."""
    documents, skipped = read_folder(folder)
    for one in skipped:
        print(f"skipped {one.name}: {one.reason}")
    return make_index(str(place), documents)


def answerer(index: Index, model: str) -> Answerer:
    """A chat model, or `extract`: the best sentence itself, which cannot say what nobody wrote."""
    return Extract(index.lm) if model == "extract" else Local(ig.load(model))


def main() -> None:
    """Read the command line, answer twice, and name the sources."""
    parser = argparse.ArgumentParser(description="Answer a question from a folder of documents, with and without retrieval.")
    parser.add_argument("question")
    parser.add_argument("--documents", type=Path, default=COLLECTION, help="a folder; without it, twenty documents of a maker of kettles")
    parser.add_argument("--model", default="smollm2", help="a chat model of this machine, or extract")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        index = indexed(given.documents, Path(place))
        by = answerer(index, given.model)
        print("without documents:", by.answer(given.question, ()) or "(nothing)")
        answer = ask(index, given.question, by)
        print("with documents:   ", answer.said)
        for number, found in enumerate(answer.passages, start=1):
            print(f"  [{number}] {found.chunk.source}, fit {found.score:.2f}: {' '.join(found.chunk.text.split())[:100]} ...")


if __name__ == "__main__":
    main()
