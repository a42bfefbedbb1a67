"""Wrong usage of the command line, told in the house form."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cyclopts import CoercionError, CycloptsError, MissingArgumentError, UnknownCommandError, UnknownOptionError, ValidationError
from cyclopts.exceptions import UnusedCliTokensError

from isinglass.core.errors import ConfigError, unknown


def usage_error(fault: CycloptsError, verbs: Sequence[str]) -> ConfigError:
    """The house form of what the parser found wrong."""
    chain = [part for part in fault.command_chain or () if part]
    help_line = " ".join(["isinglass", *chain, "--help"])
    wrong = _mistyped_option(fault) if isinstance(fault, ValidationError | UnusedCliTokensError) else None
    if wrong:
        return unknown("option", wrong[0], wrong[1], where=" ".join(chain), more=help_line)
    match fault:
        case UnknownCommandError(unused_tokens=[name, *_]) if not chain:
            return unknown("verb", name, verbs, more="isinglass {name} --help")
        case UnknownCommandError(unused_tokens=[name, *_], app=app) if app is not None:
            known = [name for name in app if not name.startswith("-")]
            return unknown(f"part of {chain[-1]}", name, known, more=help_line)
        case UnknownOptionError(token=token, argument_collection=arguments):
            known = [name for argument in arguments if argument.parse for name in argument.names if name.startswith("--")]
            return unknown("option", token.keyword or token.value, known, where=" ".join(chain), more=help_line)
        case MissingArgumentError(argument=argument) if argument is not None:
            name = argument.name
            missing = f"{name} needs a value" if name.startswith("--") and fault.keyword else f"{name.lstrip('-').upper()} is missing"
            return ConfigError(f"isinglass {' '.join(chain)}: {missing}", hint=help_line)
        case CoercionError(token=token) | ValidationError(argument=object(tokens=[token, *_])) if token is not None:
            name = token.keyword or (fault.argument.name.lstrip("-").upper() if fault.argument else "")
            return ConfigError(f"{name} = {token.value!r}: {_expected(fault)}", hint=help_line)
        case UnusedCliTokensError(unused_tokens=[first, *_]):
            return ConfigError(
                f"isinglass {' '.join(chain)}: {first!r} is one argument too many", details=["quote a text that has spaces"], hint=help_line
            )
    return ConfigError(str(fault).strip(), hint=help_line)


def _mistyped_option(fault: CycloptsError) -> tuple[str, list[str]] | None:
    """The first `--word` that is no option, where a text took it in, and the options there are."""
    if fault.app is None:
        return None
    known = [name for argument in fault.app.assemble_argument_collection() for name in argument.names if name.startswith("--")]
    given = [token.partition("=")[0] for token in fault.root_input_tokens or () if token.startswith("--") and len(token) > 2]
    wrong = [token for token in given if token not in known]
    return (wrong[0], known) if wrong else None


def _expected(fault: CoercionError | ValidationError) -> str:
    if isinstance(fault, ValidationError):
        return fault.exception_message
    choices = re.search(r"Choose from: (.*?)\.(?: |$)", str(fault))
    if choices:
        return f"expected one of {choices[1]}".replace('"', "")
    kind = {int: "a whole number", float: "a number", bool: "true or false"}.get(fault.target_type or object)
    return f"expected {kind}" if kind else "expected numbers such as 0.1,1,2" if "float" in str(fault.target_type) else str(fault)
