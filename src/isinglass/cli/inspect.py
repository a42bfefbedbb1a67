"""`isinglass inspect`: looking inside a model; each view in a file of its own."""

from __future__ import annotations

from isinglass.cli.inspect_ablate import EXAMPLES as ABLATE
from isinglass.cli.inspect_architecture import EXAMPLES as ARCHITECTURE
from isinglass.cli.inspect_attention import EXAMPLES as ATTENTION
from isinglass.cli.inspect_attribute import EXAMPLES as ATTRIBUTE
from isinglass.cli.inspect_calibrate import EXAMPLES as CALIBRATE
from isinglass.cli.inspect_compare import EXAMPLES as COMPARE
from isinglass.cli.inspect_heads import EXAMPLES as HEADS
from isinglass.cli.inspect_layers import EXAMPLES as LAYERS
from isinglass.cli.inspect_patch import EXAMPLES as PATCH
from isinglass.cli.inspect_predict import EXAMPLES as PREDICT
from isinglass.cli.inspect_probe import EXAMPLES as PROBE
from isinglass.cli.inspect_steer import EXAMPLES as STEER
from isinglass.cli.inspect_timeline import EXAMPLES as TIMELINE
from isinglass.cli.verb import verb

_ALL = (ARCHITECTURE, PREDICT, CALIBRATE, ATTENTION, HEADS, LAYERS, PATCH, ABLATE, STEER, ATTRIBUTE, PROBE, COMPARE, TIMELINE)
EXAMPLES = tuple(examples[0] for examples in _ALL)
# In the order in which one looks; imported only when they are used.
VIEWS = {
    "architecture": "What the model is made of, as a picture; its taps; its norm by experiment.",
    "predict": "What comes next and how sure the model is; other normalisations; surprisal.",
    "calibrate": "Confidence against correctness, on text and on questions.",
    "attention": "Where every head of every layer looks; rollout.",
    "heads": "What kind of head each head is; texts compared.",
    "layers": "What each layer believes, adds and resembles: lens, contributions, similarity.",
    "patch": "Patch activations of one prompt into the run of another.",
    "ablate": "Silence heads: what each is worth to the answer, or what is said without some.",
    "steer": "Add the difference of two prompts inside the model: what it says then.",
    "attribute": "Each token's share in the answer.",
    "probe": "What can be read off each layer by a linear classifier, beside controls.",
    "compare": "Two models on one text, their vocabularies aligned.",
    "timeline": "Any view across the checkpoints of a run.",
}
app = verb("inspect", EXAMPLES)
for _name, _line in VIEWS.items():
    app.command(f"isinglass.cli.inspect_{_name}:app", name=_name, help=_line)
