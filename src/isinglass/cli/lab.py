"""`isinglass lab`: the web lab, on this machine alone."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Annotated

from isinglass.cli.output import Output
from isinglass.cli.verb import Model, option, verb
from isinglass.core.errors import ConfigError, ExtraMissing

EXAMPLES = ("isinglass lab", "isinglass lab --model ./my-model --port 8080 --no-open", "isinglass lab --documents notes/")
app = verb(
    "lab",
    EXAMPLES,
    notes=["Ctrl-C ends it. The address holds a token: who does not have it is turned away. No request leaves this machine."],
)


@app.default
def lab(
    *,
    model: Model = "smollm2",
    port: Annotated[int, option("Of 127.0.0.1; 0 takes a free one.")] = 0,
    documents: Annotated[Path | None, option("A folder of .md and .txt files for the page Ask.")] = None,
    no_open: Annotated[bool, option("Print the address, open no browser.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Look inside a model in the browser."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port {port}, expected 0 to 65535")
    if documents is not None and not documents.expanduser().exists():
        raise ConfigError(f"--documents: no file or folder {str(documents)!r}")
    try:
        from isinglass.web import server
    except ModuleNotFoundError as missing:
        raise ExtraMissing(str(missing.name), "lab") from None

    def ready(address: str) -> None:
        print(address, flush=True)
        output.say("the lab is open at this address; Ctrl-C ends it")
        if not no_open:
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        threading.Thread(target=server.warm, daemon=True).start()

    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it ends, so nothing has failed
        server.serve(model=model, port=port, ready=ready, documents="" if documents is None else str(documents.expanduser().resolve()))
    output.say("the lab is closed")
