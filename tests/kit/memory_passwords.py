"""The PasswordResources port in memory: logins of data resources, valid until they are retired."""

from dataclasses import dataclass, field

from shared.kernel.entropy import Entropy
from shared.kernel.errors import Unavailable
from shared.passwords.logins import POSTGRESQL, Login, consumers_login, made_login, new_login
from shared.passwords.port import PasswordRefused, PasswordResource, ResourceMissing
from shared.vault.port import SecretValue


@dataclass
class MemoryPasswords:
    """`logins` has the passwords by user. `away` counts the calls that find no server."""

    entropy: Entropy
    resources: set[str] = field(default_factory=set)
    logins: dict[str, str] = field(default_factory=dict)
    refuses: bool = False
    away: int = 0
    port: int = 5432

    async def new_value(
        self, resource: PasswordResource, user: str, password: SecretValue
    ) -> SecretValue:
        return new_login(self._administrator(resource), user, password, self.entropy)

    async def set(self, resource: PasswordResource, value: SecretValue) -> None:
        login = self._login(resource, value)
        self.logins[login.user] = login.password

    async def test(self, resource: PasswordResource, value: SecretValue) -> None:
        login = self._login(resource, value)
        if self.refuses or self.logins.get(login.user) != login.password:
            raise PasswordRefused("the server refuses that login")

    async def retire(self, resource: PasswordResource, value: SecretValue) -> None:
        self._administrator(resource)
        self.logins.pop(made_login(value).user, None)

    def _login(self, resource: PasswordResource, value: SecretValue) -> Login:
        return consumers_login(value, self._administrator(resource))

    def _administrator(self, resource: PasswordResource) -> Login:
        if self.away:
            self.away -= 1
            raise Unavailable(f"{resource.name} is away")
        if resource.name not in self.resources:
            raise ResourceMissing(f"no data resource {resource.name!r} that has passwords")
        return Login(POSTGRESQL, "administrator", "a" * 32, "127.0.0.1", self.port, "orders")
