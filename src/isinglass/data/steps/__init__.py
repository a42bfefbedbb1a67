"""Steps of preparation: each cleans texts, or leaves some out and says why; one file per step."""

from isinglass.core.variants import Family
from isinglass.data.step import Step

family: Family[Step] = Family("isinglass.data.steps", "isinglass.data.step:Step")
