"""How rotary frequencies stretch to longer inputs: one file per rule."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.nn.attention.position:Scaling")
