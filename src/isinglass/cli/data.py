"""`isinglass data`: looking at corpora and preparing them; each part of the verb in a file of its own."""

from __future__ import annotations

from isinglass.cli.data_mix import EXAMPLES as MIXING
from isinglass.cli.data_prepare import EXAMPLES as PREPARING
from isinglass.cli.data_show import EXAMPLES as SHOWING
from isinglass.cli.data_split import EXAMPLES as SPLITTING
from isinglass.cli.verb import verb

EXAMPLES = (*SHOWING[:3], *PREPARING, SPLITTING[0], MIXING[0])
app = verb("data", EXAMPLES)
# imported only when they are used
app.command("isinglass.cli.data_show:app", name="show", help="What a corpus holds: its first records, fields and lengths.")
app.command("isinglass.cli.data_prepare:app", name="prepare", help="Clean a corpus, drop what should not be learned, and say why.")
app.command("isinglass.cli.data_split:app", name="split", help="Divide a corpus into sides that share no text.")
app.command("isinglass.cli.data_mix:app", name="mix", help="Mix several corpora into one, each with its share of the tokens.")
