"""Logins of servers as connection strings, the form in which secrets have them.

`postgresql://USER:PASSWORD@HOST:PORT/DATABASE`, and `redis://…` for Valkey, which all clients know.
"""

import re
from dataclasses import field
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from shared.kernel.dataclass import dataclass
from shared.kernel.entropy import Entropy
from shared.kernel.errors import Invalid
from shared.vault.port import SecretValue

POSTGRESQL: Final = "postgresql"
VALKEY: Final = "redis"
SCHEMES: Final = (POSTGRESQL, VALKEY)
PASSWORD_MIN: Final = 16
_USER: Final = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_PASSWORD: Final = re.compile(r"[!-~]+")
_LOGIN: Final = re.compile(r"[a-z][a-z0-9_]{0,39}_[0-9a-f]{16}")
"""A user and 64 random bits: no two versions of a secret have one login."""
_SUFFIX_BITS: Final = 64


class LoginNotMade(Invalid):
    """The value has no login that was made for a consumer: somebody else set it."""


@dataclass(frozen=True)
class Login:
    """One login at one server. Its text shows no password."""

    scheme: str
    user: str
    password: str = field(repr=False)
    host: str
    port: int
    database: str

    def value(self) -> SecretValue:
        """Return the connection string."""
        return SecretValue(
            f"{self.scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}"
            f"@{self.host}:{self.port}/{self.database}"
        )

    @property
    def place(self) -> str:
        """Return where the server is, for messages."""
        return f"{self.scheme} at {self.host}:{self.port}"


def parse(value: SecretValue) -> Login:
    """Return the login of a connection string. Raises Invalid, which says nothing of it."""
    try:
        url = urlsplit(value.reveal())
        port = url.port
    except ValueError:
        raise Invalid("the value is no connection string") from None  # that error may quote it
    user, password = unquote(url.username or ""), unquote(url.password or "")
    if url.scheme not in SCHEMES or not (user and password and url.hostname and port):
        raise Invalid(
            f"the value is no connection string: expected {' or '.join(SCHEMES)}"
            " with user, password, host and port"
        )
    return Login(url.scheme, user, password, url.hostname, port, url.path.removeprefix("/"))


def consumers_login(value: SecretValue, administrator: Login) -> Login:
    """Return the login of *value*, if it is a consumer's at the server of *administrator*.

    Raises:
        Invalid: it is another server's.
        LoginNotMade: it is no login that `new_login` makes, such as the administrator's own.
    """
    login = made_login(value)
    place = (login.scheme, login.host, login.port, login.database)
    expected = (
        administrator.scheme, administrator.host, administrator.port, administrator.database,
    )  # fmt: skip
    if place != expected:
        raise Invalid(
            f"the value is of {login.place}, database {login.database}: expected"
            f" {administrator.place}, database {administrator.database}"
        )
    return login


def made_login(value: SecretValue) -> Login:
    """Return the login of *value*, wherever its server was then.

    Raises:
        LoginNotMade: `new_login` makes none like it.
    """
    try:
        login = parse(value)
    except Invalid as refused:
        raise LoginNotMade(refused.message) from None
    if not _LOGIN.fullmatch(login.user):
        raise LoginNotMade("the value's user is none that was made for a consumer")
    return login


def new_login(
    administrator: Login, user: str, password: SecretValue, entropy: Entropy
) -> SecretValue:
    """Return the connection string of a login that the server has not yet. Raises Invalid."""
    if not _USER.fullmatch(user):
        raise Invalid(
            "a user is a lower case letter, then letters, digits, - and _, at most 40: "
            f"got {user[:60]!r}",
            target="user",
        )
    text = password.reveal()
    if len(text) < PASSWORD_MIN or not _PASSWORD.fullmatch(text):
        raise Invalid(
            f"a password has at least {PASSWORD_MIN} characters, of ASCII and none of them blank",
            target="password",
        )
    name = f"{user.replace('-', '_')}_{entropy.bits(_SUFFIX_BITS):016x}"
    a = administrator
    return Login(a.scheme, name, text, a.host, a.port, a.database).value()
