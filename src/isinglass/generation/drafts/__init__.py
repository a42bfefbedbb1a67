"""Drafts: what proposes tokens for the model to check; one file per way."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.generation.draft:Draft")
