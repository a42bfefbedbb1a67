"""Ways to learn static word vectors, one file each."""

from isinglass.core.variants import Family

family = Family(__name__, "isinglass.embedding.method:Method")
