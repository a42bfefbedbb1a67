"""Trainers of tokenizers: the file `trainers/NAME.py` is the algorithm NAME of `train_tokenizer`."""

from isinglass.core.variants import Family
from isinglass.text.trainer import Trainer

family: Family[Trainer] = Family("isinglass.text.trainers", "isinglass.text.trainer:Trainer")
