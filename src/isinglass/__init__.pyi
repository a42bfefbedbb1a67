from isinglass.core.errors import IsinglassError as IsinglassError
from isinglass.economics.quote import price as price
from isinglass.embedding.contextual import embed as embed
from isinglass.generation.lm import create as create
from isinglass.generation.lm import export as export
from isinglass.generation.lm import load as load
from isinglass.generation.loop import generate as generate
from isinglass.generation.loop import generating as generating
from isinglass.inspection.edits import Edit as Edit
from isinglass.inspection.trace import trace as trace
from isinglass.studies.study import study as study
from isinglass.text.load import tokenizer as tokenizer
from isinglass.text.training import train_tokenizer as train_tokenizer
from isinglass.training.loop import train as train
from isinglass.training.loop import training as training

__version__: str
__all__ = [
    "Edit",
    "IsinglassError",
    "create",
    "embed",
    "export",
    "generate",
    "generating",
    "load",
    "price",
    "study",
    "tokenizer",
    "trace",
    "train",
    "train_tokenizer",
    "training",
]
