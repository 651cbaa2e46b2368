"""What a command works with: the place, and a client with the token that is in force."""

import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.state_folder import Place, place_at, read_json, write_private
from shared.kernel.clock import Clock, SystemClock, isoformat, parse_instant

URL_VARIABLE: Final = "RUNTIMECTL_URL"
TOKEN_VARIABLE: Final = "RUNTIMECTL_TOKEN"  # noqa: S105  a name
ROLES: Final = ("Runtime.Read", "Runtime.Deploy", "Runtime.Operate", "Runtime.Admin")


@dataclass(frozen=True)
class Login:
    """A token and what it is for, as the token file keeps it."""

    token: str
    tenant: str
    user: str
    roles: tuple[str, ...]
    expires_at: str


class Session:
    """One invocation: a state folder, a clock, and the client once it is asked for."""

    def __init__(self, state: Path, clock: Clock | None = None) -> None:
        self.place: Place = place_at(state)
        self.clock: Clock = clock or SystemClock()

    @cached_property
    def client(self) -> Client:
        """Return the client of the running system.

        Raises:
            Failure: nothing was started here, or nobody is logged in.
        """
        return Client(self._url(), self._token())

    def _url(self) -> str:
        if url := os.environ.get(URL_VARIABLE):
            return url
        host = read_json(self.place.host_file)
        if host is None:
            raise Failure(
                f"no system was started in {self.place.state}",
                ExitCode.UNAVAILABLE,
                fix="start it: `runtimectl up`, or name another folder with --state "
                f"(or {URL_VARIABLE}=https://…)",
            )
        return str(host["url"])

    def _token(self) -> str:
        if token := os.environ.get(TOKEN_VARIABLE):
            return token
        login = read_login(self.place)
        if login is None:
            raise Failure(
                "nobody is logged in",
                ExitCode.NOT_LOGGED_IN,
                fix="log in: `runtimectl login --dev`",
            )
        if parse_instant(login.expires_at) <= self.clock.now():
            again = f"--tenant {login.tenant} --user {login.user}"
            raise Failure(
                f"the token of {login.user} in {login.tenant} expired at {login.expires_at}",
                ExitCode.NOT_LOGGED_IN,
                fix=f"log in again: `runtimectl login --dev {again}`",
            )
        return login.token


def read_login(place: Place) -> Login | None:
    """Return who is logged in, expired or not."""
    said = read_json(place.token_file)
    if said is None:
        return None
    return Login(
        said["token"], said["tenant"], said["user"], tuple(said["roles"]), said["expiresAt"]
    )


def log_in(place: Place, clock: Clock, tenant: str, user: str, roles: tuple[str, ...]) -> Login:
    """Sign a development token with this machine's key and keep it, mode 0600."""
    # Only here is cryptography needed.
    from shared.kernel.entropy import SystemEntropy  # noqa: PLC0415
    from shared.web.issuer import (  # noqa: PLC0415
        AUDIENCE,
        DEV_ISSUER,
        TOKEN_LIFE,
        LocalIssuer,
    )

    place.prepare()
    issuer = LocalIssuer(place.issuer, DEV_ISSUER, AUDIENCE, clock, SystemEntropy())
    token = issuer.token(tenant, user, roles)
    login = Login(token, tenant, user, roles, _expiry(clock, TOKEN_LIFE))
    write_private(
        place.token_file,
        {
            "token": token,
            "tenant": tenant,
            "user": user,
            "roles": list(roles),
            "expiresAt": login.expires_at,
        },
    )
    return login


def _expiry(clock: Clock, life: timedelta) -> str:
    return isoformat(clock.now() + life)


def one_of(items: list[Any], what: str, name: str, fix: str) -> Any:
    """Return the only item, which *name* asked for.

    Raises:
        Failure: there is none, or more than one; the fix says how to tell them apart.
    """
    if not items:
        raise Failure(f"no {what} {name!r} is here", ExitCode.NOT_FOUND, fix=fix)
    if len(items) > 1:
        raise Failure(f"{len(items)} of kind {what} are called {name!r}", ExitCode.USAGE, fix=fix)
    return items[0]
