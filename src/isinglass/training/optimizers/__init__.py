"""Optimizers: how gradients become steps; one file per rule."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.training.optimizer:OptimizerRecipe")
