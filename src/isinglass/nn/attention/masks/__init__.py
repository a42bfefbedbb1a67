"""Who may attend to whom: one file per rule; join them with & | ~."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.nn.attention.mask:Mask")
