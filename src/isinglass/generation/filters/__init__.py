"""Filters: each changes the logits before a token is drawn; one file per rule."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.generation.sampling:Filter")
