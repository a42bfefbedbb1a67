"""Where past keys and values live: one file per layout."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.nn.attention.cache:Cache")
