"""What order adds: one file per scheme."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.nn.attention.position:Position")
