"""What a model can be trained for: one file per objective."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.training.objective:Objective")
