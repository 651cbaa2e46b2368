"""What the user typed: the values and options of the command that runs, for its messages."""

import os
import re
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from pathlib import Path
from shlex import quote
from typing import Any, Final

DEFAULT_STATE: Final = Path(".factory")
STATE_VARIABLE: Final = "RUNTIMECTL_STATE"
URL_VARIABLE: Final = "RUNTIMECTL_URL"
TOKEN_VARIABLE: Final = "RUNTIMECTL_TOKEN"  # noqa: S105  a name
# One that names a folder, or only shows help, can be typed as it stands.
_COMMAND: Final = re.compile(r"(?:(?<=`)|(?<=next:  ))runtimectl (?![^`\n]*--(?:state|help)\b)")
_NAMES: Final = ("environment", "env", "name", "binding")
_OPTIONS: Final[Mapping[str, str]] = {
    "/name": "name",
    "/stage": "stage",
    "/region": "region",
    "/projectId": "project",
    "/isolationModel": "isolation",
    "/dataResources": "data",
    "/deleteData": "remove_data",
    "/tags": "tag",
    "/admits": "admit",
    "/releaseRef": "release_ref",
    "/onConflict": "on_conflict",
    "/strategy/kind": "strategy",
    "/strategy": "weights",
    "/components/0/moduleId": "module",
    "/components/0/version": "version",
    "/components/0/command": "command",
    "/components/0/port": "port",
    "/components/0/pathPrefix": "path_prefix",
    "/components/0/probes/readiness": "readiness",
    "/components/0/environ": "environ",
    "/components/0/replicas": "replicas",
    "/components/0/artifactDigest": "artifact",
    "/components/0/artifact": "artifact",
}
"""The parameter of a command for each field of a body that it sets; the longest pointer wins."""


_typed: ContextVar[Mapping[str, Any]] = ContextVar("typed", default={})  # noqa: B039  never changed
_known: ContextVar[Collection[str]] = ContextVar("known", default=())
_caller: ContextVar[tuple[str, str] | None] = ContextVar("caller", default=None)


def remember(values: Mapping[str, Any], known: Collection[str] = ()) -> None:
    """Keep the parameters of the command that begins, and the names of all that it *known*."""
    _typed.set(values)
    _known.set(known)
    _caller.set(None)


def remember_caller(tenant: str, user: str) -> None:
    """Keep who is logged in: a command that names no other is of that tenant and user."""
    _caller.set((tenant, user))


def is_elsewhere() -> bool:
    """Return whether the commands go to a system that this machine did not start."""
    return bool(os.environ.get(URL_VARIABLE))


def typed_values() -> Mapping[str, str]:
    """Return what the command names, by the placeholder of a remedy, as far as it is known."""
    given = _typed.get()
    values = {name: given.get(name) for name in ("module", "state")}
    tenant, user = _caller.get() or (None, None)
    values["tenant"] = given.get("tenant") or tenant
    values["user"] = given.get("user") or user
    values["name"] = next((given[name] for name in _NAMES if given.get(name)), None)
    return {name: str(value) for name, value in values.items() if value}


def typeable(text: str) -> str:
    """Return *text*, whose commands go to the state folder of the command that runs.

    They name it where it is another than they would use as they stand.
    """
    state = _typed.get().get("state")
    untyped = Path(os.environ.get(STATE_VARIABLE) or DEFAULT_STATE)
    if state is None or Path(state).resolve() == untyped.resolve():
        return text
    return _COMMAND.sub(lambda _: f"runtimectl --state {quote(str(state))} ", text)


def option_for(pointer: str, *, is_missing: bool = False) -> str | None:
    """Return the option that was given for the field at *pointer*; None for one of a file.

    With *is_missing*, the option that would have given it, where no file was named.
    """
    given = _typed.get()
    expected = _known.get() if is_missing and not given.get("file") else ()
    fields = [
        field
        for field, name in _OPTIONS.items()
        if f"{pointer}/".startswith(f"{field}/")
        and (name in expected or given.get(name) not in (None, (), []))
    ]
    if not fields:
        return None
    name = _OPTIONS[max(fields, key=len)]
    return "NAME" if name == "name" else f"--{name.replace('_', '-')}"
