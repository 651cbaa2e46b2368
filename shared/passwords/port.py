"""The PasswordResources port: logins of servers that check passwords themselves.

What a consumer is given is a connection string with a login of its own, never shared with another
version of the secret. So a new version is valid beside the old ones, as many as there are, and
retiring one ends its sessions and no other's.
"""

from typing import Protocol

from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Conflict, NotFound
from shared.kernel.ids import EnvironmentId
from shared.vault.port import SecretValue


@dataclass(frozen=True)
class PasswordResource:
    """A data resource of an environment, by its name there."""

    environment: EnvironmentId
    name: str


class PasswordRefused(Conflict):
    """The server does not take that login: it has no such user, or another password for it."""


class AdministratorRefused(Conflict):
    """The server does not take the administrator's login that the vault has."""


class ResourceMissing(NotFound):
    """The environment has no such data resource that has passwords."""


class PasswordResources(Protocol):
    """The servers of all environments.

    Every method may be repeated, also after it was killed at any point, and takes 30 s at most. No
    error has a value in it. Besides what it says each raises ResourceMissing, AdministratorRefused,
    Invalid (the value is no connection string of this resource), and Unavailable (the server or the
    vault is away or late: repeat it).
    """

    async def new_value(
        self, resource: PasswordResource, user: str, password: SecretValue
    ) -> SecretValue:
        """Return what a consumer is to be given: a connection string, whose login nothing has yet.

        The name of the login begins with *user*. Nothing is changed; each call returns another.

        Raises:
            Invalid: *user* is no name of lower case letters, digits, `-` and `_`, at most 40; the
                password has other characters than those of ASCII that are seen, or under 16.
        """
        ...

    async def set(self, resource: PasswordResource, value: SecretValue) -> None:
        """Give the server the login of *value*, with the rights of whoever uses this resource."""
        ...

    async def test(self, resource: PasswordResource, value: SecretValue) -> None:
        """Log in with *value* and ask something. Raises PasswordRefused."""
        ...

    async def retire(self, resource: PasswordResource, value: SecretValue) -> None:
        """Remove the login of *value*: it is refused from now on, and its sessions have ended.

        What it has made in the server stays. A login that is not there is retired already. Logins
        are known by their names: also one that was made when the server was at another address.

        Raises:
            LoginNotMade: the value has no login that this service made.
        """
        ...
