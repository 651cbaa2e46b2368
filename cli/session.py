"""A session with one system: its state folder, and a client with the token in force."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlsplit

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.state_folder import StateFolder, read_json, state_folder_at, write_private
from cli.typed import TOKEN_VARIABLE, URL_VARIABLE, is_elsewhere, remember_caller, typed_values
from shared.kernel.clock import Clock, SystemClock, isoformat, parse_instant
from shared.kernel.ids import TENANT
from shared.persistence import plain_files

ROLES: Final = ("Runtime.Read", "Runtime.Deploy", "Runtime.Operate", "Runtime.Admin")
T = TypeVar("T")


@dataclass(frozen=True)
class Login:
    """A token and its claims, as in the token file."""

    token: str
    tenant: str
    user: str
    roles: tuple[str, ...]
    expires_at: str


class Session:
    """One invocation: a state folder, a clock, and a client when it is needed."""

    def __init__(self, state: Path, clock: Clock | None = None) -> None:
        self.state_folder: StateFolder = state_folder_at(state)
        self.clock: Clock = clock or SystemClock()

    @cached_property
    def client(self) -> Client:
        """Return the client of the running system.

        Raises:
            Failure: no system was started here, or nobody is logged in.
        """
        return Client(self._url(), self._token())

    def _url(self) -> str:
        if url := os.environ.get(URL_VARIABLE):
            return _checked(url)
        host = read_json(self.state_folder.host_file)
        if host is None:
            raise Failure(
                f"no system was started in {self.state_folder.path}",
                ExitCode.UNAVAILABLE,
                remedy="start it: `runtimectl up`, or name another folder with --state "
                f"(or {URL_VARIABLE}=https://…)",
            )
        return str(host["url"])

    def _token(self) -> str:
        if token := os.environ.get(TOKEN_VARIABLE):
            return token
        login = read_login(self.state_folder)
        if login is None:
            raise Failure(
                "nobody is logged in",
                ExitCode.NOT_LOGGED_IN,
                remedy="log in: `runtimectl login --dev`",
            )
        if parse_instant(login.expires_at) <= self.clock.now():
            options = f"--tenant {login.tenant} --user {login.user}"
            raise Failure(
                f"the token of {login.user} in {login.tenant} expired at {login.expires_at}",
                ExitCode.NOT_LOGGED_IN,
                remedy=f"log in again: `runtimectl login --dev {options}`",
            )
        remember_caller(login.tenant, login.user)
        return login.token


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_whole = False
    if not is_whole:
        raise Failure(
            f"{URL_VARIABLE} is no address of a system: {url!r}",
            ExitCode.USAGE,
            remedy=f"write it like this: {URL_VARIABLE}=http://127.0.0.1:7071",
        )
    return url


def read_login(folder: StateFolder) -> Login | None:
    """Return the login of *folder*, expired or not."""
    content = read_json(folder.token_file)
    if content is None:
        return None
    return Login(
        content["token"],
        content["tenant"],
        content["user"],
        tuple(content["roles"]),
        content["expiresAt"],
    )


def log_in(
    folder: StateFolder, clock: Clock, tenant: str, user: str, roles: tuple[str, ...]
) -> Login:
    """Sign a development token with the key of this machine, and store it with mode 0600.

    Raises:
        Failure: the tenant cannot be one; the token that was stored stays.
    """
    if not TENANT.fullmatch(tenant):
        raise Failure(
            f"--tenant: expected lower case letters, digits and inner dashes, got {tenant!r}",
            ExitCode.USAGE,
            remedy="write it like this: `runtimectl login --dev --tenant tenant-dev`",
        )
    # Cryptography is slow to import, and needed here only.
    from shared.kernel.entropy import SystemEntropy  # noqa: PLC0415
    from shared.web.issuer import (  # noqa: PLC0415
        AUDIENCE,
        DEV_ISSUER,
        TOKEN_LIFE,
        LocalIssuer,
    )

    folder.create()
    issuer = LocalIssuer(folder.issuer, DEV_ISSUER, AUDIENCE, clock, SystemEntropy())
    token = issuer.token(tenant, user, roles)
    login = Login(token, tenant, user, roles, _expiry(clock, TOKEN_LIFE))
    write_private(
        folder.token_file,
        {
            "token": token,
            "tenant": tenant,
            "user": user,
            "roles": list(roles),
            "expiresAt": login.expires_at,
        },
    )
    return login


def sign_workload_token(session: "Session", environment_id: str, module: str) -> str:
    """Return a development token of a workload, in the tenant that is logged in.

    Raises:
        Failure: nobody is logged in, or the system is not of this machine.
    """
    login = read_login(session.state_folder)
    if is_elsewhere() or login is None:
        raise Failure(
            "tokens are signed for a system of this machine, in the tenant that is logged in",
            ExitCode.NOT_LOGGED_IN,
            remedy="log in: `runtimectl login --dev`; elsewhere see docs/tokens.md",
        )
    from shared.kernel.entropy import SystemEntropy  # noqa: PLC0415  heavy: where used
    from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer  # noqa: PLC0415

    folder, clock = session.state_folder, session.clock
    issuer = LocalIssuer(folder.issuer, DEV_ISSUER, AUDIENCE, clock, SystemEntropy())
    return issuer.workload_token(login.tenant, environment_id, module)


def write_token(path: Path, token: str) -> None:
    """Replace the file *path* by *token*, for the user's eyes alone.

    Raises:
        Failure: it cannot be written there.
    """
    try:
        plain_files.write_private(path, token.encode())
    except OSError as refused:
        raise Failure(
            f"{path} cannot be written: {refused.strerror}",
            ExitCode.USAGE,
            remedy="name a file in a folder of yours",
        ) from refused


def _expiry(clock: Clock, life: timedelta) -> str:
    return isoformat(clock.now() + life)


def only_match(matches: Sequence[T], kind: str, name: str, remedy: str) -> T:
    """Return the only resource of *kind* that matched *name*.

    Raises:
        Failure: none matched, or several did.
    """
    if not matches:
        tenant = typed_values().get("caller")
        whose = f"{kind} of the tenant {tenant}" if tenant else kind
        raise Failure(f"no {whose} is called {name!r}", ExitCode.NOT_FOUND, remedy=remedy)
    if len(matches) > 1:
        raise Failure(
            f"{len(matches)} of kind {kind} are called {name!r}", ExitCode.USAGE, remedy=remedy
        )
    return matches[0]
