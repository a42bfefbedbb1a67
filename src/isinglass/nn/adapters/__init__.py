"""Small trained parts beside frozen weights: one file per way to adapt a model."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.nn.adapter:Adapter")
