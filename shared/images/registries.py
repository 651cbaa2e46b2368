"""How this installation identifies itself to each registry: the setting `RUNTIME_REGISTRIES`."""

import re
from collections.abc import Mapping
from dataclasses import field
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from shared.contracts.shape import Value
from shared.contracts.validation import parse
from shared.images.reference import is_loopback
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Violation

REGISTRIES: Final = "RUNTIME_REGISTRIES"
IDENTITY: Final = "identity"
_AZURE: Final = re.compile(r"[a-z0-9*-]+(?:\.[a-z0-9-]+)*\.azurecr\.(?:io|cn|us)")
"""Whose registries take tokens of Entra ID; another's would only keep them."""
_HOST_PATTERN: Final = re.compile(r"[a-z0-9*.\[\]:-]{1,255}")


@dataclass(frozen=True)
class Password:
    """A user name and a password, or a token that stands for one. Neither is ever shown."""

    username: str = field(repr=False)
    password: str = field(repr=False)


Credential = Password | Literal["identity"] | None
"""How a registry is asked: by name and password, as the app's identity, or as nobody."""


class _Entry(Value):
    username: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^:\s]+$")]
    password: Annotated[str, StringConstraints(min_length=1, max_length=16384)]


class _Registries(Value):
    registries: Annotated[
        Mapping[str, Literal["identity", "anonymous"] | _Entry], Field(max_length=100)
    ]


@dataclass(frozen=True)
class Registries:
    """The credential of each registry; of one that stands nowhere, none."""

    by_pattern: Mapping[str, Credential] = field(default_factory=dict)

    def credential(self, registry: str) -> Credential:
        """Return what *registry* is told; the entry of its own name counts before a pattern."""
        if registry in self.by_pattern:
            return self.by_pattern[registry]
        matching = (own for each, own in self.by_pattern.items() if host_matches(each, registry))
        return next(matching, None)


def host_matches(pattern: str, registry: str) -> bool:
    """Return whether *registry* is one of *pattern*, in which `*` is one label or a port."""
    expression = re.escape(pattern).replace(r"\*", "[a-z0-9-]+")
    return re.fullmatch(expression, registry) is not None


def read_registries(text: str, *, plain_loopback: bool = False) -> Registries:
    """Return what *text* says, a JSON object of registries: the setting `RUNTIME_REGISTRIES`.

    With *plain_loopback* a registry of this machine may be asked as the app's identity too.

    Raises:
        Invalid: it is none; no message has a value that was given.
    """
    if not text.strip():
        return Registries()
    try:
        found = parse(_Registries, f'{{"registries":{text}}}'.encode()).registries
    except Invalid as problem:
        # The place is a registry's name; what was given there may be a password.
        places = sorted(
            {each.target.split("/")[2][:100] for each in problem.details if "/" in each.target[1:]}
        )
        raise _refused(
            'expected a JSON object such as {"*.azurecr.io": "identity", "registry.example":'
            ' {"username": "…", "password": "…"}}'
            + (f"; wrong at {', '.join(places)}" if places else "")
        ) from None
    for registry, entry in found.items():
        if not _HOST_PATTERN.fullmatch(registry):
            raise _refused(f"{registry[:100]!r} is no host of a registry")
        takes_identity = _AZURE.fullmatch(registry) or (plain_loopback and is_loopback(registry))
        if entry == IDENTITY and not takes_identity:
            raise _refused(
                f"{registry[:100]} is asked as the app's identity: expected a registry of Azure,"
                " *.azurecr.io"
            )
    return Registries({registry: _credential(entry) for registry, entry in found.items()})


def _credential(entry: Any) -> Credential:
    if isinstance(entry, _Entry):
        return Password(entry.username, entry.password)
    return IDENTITY if entry == IDENTITY else None


def _refused(why: str) -> Invalid:
    message = f"{REGISTRIES}: {why}"
    return Invalid(message, details=[Violation("RuleBroken", REGISTRIES, message)])
