"""`isinglass data`: looking at corpora and preparing them; each part of the verb in a file of its own."""

from __future__ import annotations

from isinglass.cli.data_prepare import EXAMPLES as PREPARING
from isinglass.cli.data_show import EXAMPLES as SHOWING
from isinglass.cli.verb import verb

EXAMPLES = (*SHOWING[:3], *PREPARING)
app = verb("data", EXAMPLES)
# imported only when they are used
app.command("isinglass.cli.data_show:app", name="show", help="What a corpus holds: its first records, fields and lengths.")
app.command("isinglass.cli.data_prepare:app", name="prepare", help="Clean a corpus, drop what should not be learned, and say why.")
