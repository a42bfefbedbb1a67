"""Chat templates: the file `templates/NAME.py` is the template NAME."""

from isinglass.core.variants import Family
from isinglass.text.template import Template

family: Family[Template] = Family("isinglass.text.templates", "isinglass.text.template:Template")
