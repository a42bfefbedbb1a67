"""How many tokens the text in the bar has for a model that is paid for."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from isinglass.core.errors import ConfigError
from isinglass.web.bench import Bench
from isinglass.web.events import Event, Shown
from isinglass.web.verb import Verb


class Request(Verb):
    """`priced` is the name of a model in the list of prices; `model` is the bar's, and changes nothing."""

    text: str
    model: str = ""
    priced: str = "gpt-4o"

    @property
    def python(self) -> str:
        return (
            "from isinglass.economics.counting import counts\nfrom isinglass.economics.price_list import prices\n\n"
            f"counts({self.text!r}, [prices().get({self.priced!r})])"
        )

    @property
    def command(self) -> str:
        return shlex.join(["isinglass", "price", "text", self.text, "--with", self.priced])

    def run(self, bench: Bench) -> Iterator[Event]:
        from isinglass.economics.counting import count
        from isinglass.economics.price_list import prices

        if not self.text:
            raise ConfigError("there is no text in the bar", hint="type the prompt there whose tokens are to be counted")
        found = count(self.text, prices().get(self.priced))
        yield Shown(data={"tokens": found.tokens, "vocabulary": found.vocabulary, "exact": found.exact})
