"""What the user typed: the values and options of the command that runs, for its messages."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from shlex import quote
from typing import Any, Final

from shared.kernel.ids import id_shape

DEFAULT_STATE: Final = Path(".factory")
STATE_VARIABLE: Final = "RUNTIMECTL_STATE"
URL_VARIABLE: Final = "RUNTIMECTL_URL"
TOKEN_VARIABLE: Final = "RUNTIMECTL_TOKEN"  # noqa: S105  a name
# One that names a folder, or only shows help, can be typed as it stands.
_COMMAND: Final = re.compile(r"(?:(?<=`)|(?<=next:  ))runtimectl (?![^`\n]*--(?:state|help)\b)")
_ENVIRONMENT_ID: Final = re.compile(rf"(?<![\w/-]){id_shape('env')}(?![\w-])")
"""A word of a sentence; what is in a path is the id."""
_NAMES: Final = ("environment", "env", "name", "binding")
_OPTIONS: Final[Mapping[str, Sequence[str]]] = {
    "/projectId": ("project",),
    "/isolationModel": ("isolation", "model"),
    "/dataResources": ("data",),
    "/deleteData": ("remove_data",),
    "/computeTargets": ("target",),
    "/tags": ("tag",),
    "/admits": ("admit", "remove_admit"),
    "/environmentId": ("env", "environment", "to"),
    "/toEnvironmentId": ("to",),
    "/toDeploymentId": ("to",),
    "/scope/environmentId": ("env",),
    "/scope/moduleId": ("module",),
    "/scope": ("layer", "module", "env"),
    "/toVersion": ("to",),
    "/strategy/kind": ("strategy",),
    "/strategy": ("weights", "strategy"),
    "/components/0/moduleId": ("module",),
    "/components/0/probes/readiness": ("readiness",),
    "/components/0/artifactDigest": ("artifact",),
    "/moduleId": ("module",),
    "/secretName": ("secret",),
    "/vaultUri": ("vault",),
    "/credentialRef": ("credential",),
    "/webhookSecretRef": ("webhook_secret",),
    "/generator/settings": ("resource",),
    "/rotation/every": ("rotate_every",),
    "/tenantId": ("tenant",),
    "/ownerTenantId": ("owner",),
    "/requires": ("require",),
    "/min": ("least",),
    "/max": ("most",),
    "/rules": ("rule",),
    "/fromAt": ("since",),
    "/untilAt": ("until",),
}
"""The parameters that set a field of a body, where they are not called as it is."""
_PARTS: Final = ("", "/components/0", "/policy", "/quota")
"""What parameters set one by one; the rest of a pointer is named as the field of a body is."""
_FIELD: Final = re.compile(
    r"""\b(?:got|received)\ \S+ | "[^"]*" | (?<!\w)'[^'\s]*'
    | (?P<field>\b[a-z]+(?:[A-Z][a-z]*)+\b)""",
    re.VERBOSE,
)
"""A field in a message; what was received, or stands in quotes, is a value and no field."""


_typed: ContextVar[Mapping[str, Any]] = ContextVar("typed", default={})  # noqa: B039  never changed
_known: ContextVar[Mapping[str, str]] = ContextVar("known", default={})  # noqa: B039  never changed
_caller: ContextVar[tuple[str, str] | None] = ContextVar("caller", default=None)
_names: ContextVar[Mapping[str, str]] = ContextVar("names", default={})  # noqa: B039  never changed


def remember(values: Mapping[str, Any], known: Mapping[str, str] | None = None) -> None:
    """Keep the parameters of the command that begins, and how all that it *known* are typed."""
    _typed.set(values)
    _known.set(known or {})
    _caller.set(None)
    _names.set({})


def remember_name(name: str, identity: str) -> None:
    """Keep the *name* by which the command names the environment with that id."""
    _names.set({**_names.get(), identity: name})


def remember_caller(tenant: str, user: str) -> None:
    """Keep who is logged in: a command that names no other is of that tenant and user."""
    _caller.set((tenant, user))


def is_elsewhere() -> bool:
    """Return whether the commands go to a system that this machine did not start."""
    return bool(os.environ.get(URL_VARIABLE))


def typed_values() -> Mapping[str, str]:
    """Return what the command names, by the placeholder of a remedy, as far as it is known."""
    given = _typed.get()
    values = {name: given.get(name) for name in ("module", "state", "secret", "finding", "model")}
    tenant, user = _caller.get() or (None, None)
    values["tenant"] = given.get("tenant") or tenant
    values["caller"] = tenant
    values["user"] = user
    if given.get("tenant") not in {None, tenant}:
        values["guest"] = f" --tenant {given['tenant']}"
    values["layer"] = _layer(given)
    values["name"] = next((given[name] for name in _NAMES if given.get(name)), None)
    return {name: str(value) for name, value in values.items() if value}


def _layer(given: Mapping[str, Any]) -> str | None:
    """Return the options that name the layer of configuration of the command that runs."""
    names = {"env": given.get("env"), "module": given.get("module")}
    options = [f"--{name} {quote(str(value))}" for name, value in names.items() if value]
    return " ".join(options) or (f"--layer {given['layer']}" if given.get("layer") else None)


def as_typed(text: str) -> str:
    """Return *text*, a message, with environments called as the command calls them; typeable."""
    named = _ENVIRONMENT_ID.sub(lambda word: _names.get().get(word[0], word[0]), text)
    return typeable(named)


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
    name = _parameter_for(pointer, is_missing=is_missing)
    return None if name is None else _known.get().get(name) or f"--{name.replace('_', '-')}"


def typed_for(pointer: str) -> str | None:
    """Return the text that was typed for the field at *pointer*; None where it was none."""
    name = _parameter_for(pointer, is_missing=False)
    value = _typed.get().get(name) if name is not None else None
    return value if isinstance(value, str) else None


def in_options(text: str) -> str:
    """Return *text* with options in place of the names of fields that the command sets by them."""

    def option(word: re.Match[str]) -> str:
        if word["field"] is None:
            return word[0]
        options = (option_for(f"{part}/{word[0]}", is_missing=True) for part in _PARTS)
        return next(filter(None, options), word[0])

    return _FIELD.sub(option, text)


def _parameter_for(pointer: str, *, is_missing: bool) -> str | None:
    given = _typed.get()
    expected = _known.get() if is_missing and not given.get("file") else ()
    for name in _parameters_of(pointer):
        if name in expected or given.get(name) not in (None, (), []):
            return name
    return None


def _parameters_of(pointer: str) -> Iterator[str]:
    """Yield the parameters that may set the field at *pointer*, or what it is in, nearest first."""
    whole = pointer
    while whole:
        for part in _PARTS:
            if part and not whole.startswith(f"{part}/"):
                continue
            within = whole.removeprefix(part)
            yield from _OPTIONS.get(whole, _OPTIONS.get(within, ()))
            if within.count("/") == 1:
                yield re.sub("([A-Z])", r"_\1", within[1:]).lower()
        whole = whole.rpartition("/")[0]
