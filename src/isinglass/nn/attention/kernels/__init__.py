"""How the weighted sum is computed: one file per way."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.nn.attention.kernel:Kernel")
