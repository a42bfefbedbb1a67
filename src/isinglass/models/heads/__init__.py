"""What an encoder's hidden states are turned into: one file per head."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.models.head:Head")
