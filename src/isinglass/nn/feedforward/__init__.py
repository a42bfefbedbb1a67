"""The position-wise half of a block: one file per kind."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.nn.feedforward_layer:FeedForward")
