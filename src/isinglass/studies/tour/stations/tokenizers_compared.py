"""Kinds of text and fourteen languages through the same vocabularies: how much a token holds, and who pays for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isinglass.generation.lm import LM
from isinglass.show.table import Table
from isinglass.studies.tour.station import Station, command
from isinglass.studies.tour.stations.vocabularies import NAMES
from isinglass.text.audit import languages
from isinglass.text.compare import compare
from isinglass.text.load import tokenizer
from isinglass.text.samples import SAMPLES

ORDER = 25
Grid = Mapping[str, Mapping[str, float]]  # text -> vocabulary -> number


def station(lm: LM) -> Station:
    vocabularies = [tokenizer(name) for name in NAMES]
    compared, audited = compare(vocabularies, SAMPLES), languages.audit(vocabularies)
    held = {text: {cut.tokenizer.name: cut.known_bytes_per_token() for cut in cuts} for text, cuts in compared.cuts.items()}
    (audit,) = audited.tables
    lossy = [name for name in NAMES if any(row["characters_lost"] for row in audit.rows if row["tokenizer"] == name)]
    premium: dict[str, dict[str, float]] = {row["language"]: {} for row in audit.rows}
    for row in audit.rows:
        premium[row["language"]][row["tokenizer"]] = row["premium"]
    lost = {(row["language"], row["tokenizer"]) for row in audit.rows if row["characters_lost"]}
    figure, counts, with_names = compared.figure, compared.counts, ",".join(NAMES)
    figure.command = command("tokens compare", "--with", with_names)
    table = Table(
        [{"language": one} | {name: None if (one, name) in lost else premium[one][name] for name in NAMES} for one in premium],
        title="The same notice in every language: tokens, as a multiple of English",
        notes=["no number where characters became unknown tokens: there a low count is a loss, not a saving"],
        command=command("tokens audit languages", "--with", with_names),
    )  # fmt: skip
    facts = {
        "bytes_per_token": held,
        "tokens": {text: {cut.tokenizer.name: len(cut.tokens) for cut in cuts} for text, cuts in compared.cuts.items()},
        "premium": premium,
        "loses_characters": lossy,
    }
    text = _text(held, premium, [name for name in NAMES if name not in lossy], lossy)
    return Station("What a token holds, and for whom", text, (figure, table), facts, more=(counts, audit))


def _text(held: Grid, premium: Grid, faithful: Sequence[str], lossy: Sequence[str]) -> str:
    """From the vocabularies that lose nothing: the others would win by what they leave out."""
    fullest = max(faithful, key=lambda name: held["English"][name])
    emptiest, by = min(((text, name) for text in held for name in faithful), key=lambda pair: held[pair[0]][pair[1]])
    dearest = {name: max(premium, key=lambda language: premium[language][name]) for name in faithful}
    price = {name: premium[dearest[name]][name] for name in faithful}
    worst, fairest = max(faithful, key=price.__getitem__), min(faithful, key=price.__getitem__)
    losing = f" {' and '.join(lossy)} lose characters of some languages, and look cheap there." if lossy else ""
    return (
        f"A vocabulary fits the texts it was learned from. A token of {fullest} holds {held['English'][fullest]:.1f} bytes of English; one "
        f"of {by} holds {held[emptiest][by]:.1f} bytes of {emptiest}. The same notice in {len(premium)} languages shows the price: "
        f"in {worst} {dearest[worst]} takes {price[worst]:.1f} times as many tokens as English, in {fairest} the dearest language, "
        f"{dearest[fairest]}, {price[fairest]:.1f} times.{losing}"
    )
