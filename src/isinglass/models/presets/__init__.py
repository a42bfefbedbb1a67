"""Known model families: one file each, with its sizes and the names of its weights elsewhere."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.models.config:ModelConfig")
