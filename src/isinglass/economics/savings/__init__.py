"""Ways to pay less, one file each."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.economics.saving:Saving")
