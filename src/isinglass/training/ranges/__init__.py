"""Ranges: from what a random search draws a setting; one file per distribution."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.training.range:Range")
