"""Strategies: how the next token is chosen; one file per way."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.generation.sampling:Strategy")
