"""The provider of `factory:local:Server`: a server that keeps data, as far as it outlives the site.

That is the folder of its data, its port, and the administrator's login, which is a secret of the
environment's vault. The surface runs the server, by what the site has of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_cloud.infrastructure.local_providers import VolumeProvider
from local_cloud.infrastructure.provider import LiveResource
from shared.connections.loopback_ports import free_port
from shared.infrastructure.graph import Node, Resource
from shared.kernel.entropy import Entropy
from shared.kernel.errors import NotFound, Unavailable, Violation
from shared.kernel.fence import Fence
from shared.kernel.ids import parse_id
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.passwords.logins import POSTGRESQL, VALKEY, Login, parse
from shared.passwords.servers import administrator_secret
from shared.passwords.verifiers import acl_verifier, scram_verifier
from shared.surfaces.data_servers import (
    ADMINISTRATOR,
    HOST,
    LOCAL_POSTGRES,
    database_of,
    program_folders,
)
from shared.surfaces.errors import ServerMissing
from shared.vault.port import Secret, SecretDeleted, SecretVault, Vaults

_PASSWORD_BITS: Final = 256
_VERIFIER: Final = "verifier"
"""The tag of the secret with what the server checks the password by."""


@dataclass(frozen=True)
class _Server:
    """What a resource says of a server, and where its administrator's login is."""

    name: str
    kind: str
    vault: SecretVault

    @property
    def secret(self) -> str:
        return administrator_secret(self.name)


class ServerProvider(VolumeProvider):
    """A folder below *root* with its note, as a volume; and the administrator's login in *vaults*.

    The login is made once: whatever is repeated or killed, a server keeps it as long as its data.
    """

    def __init__(self, root: Path, vaults: Vaults, entropy: Entropy) -> None:
        super().__init__(root)
        self._vaults = vaults
        self._entropy = entropy

    def check(self, node: Node, place: str) -> Sequence[Violation]:
        kind = str(node.properties["kind"])
        violations = [*super().check(node, place)]
        try:
            program_folders(kind)
        except ServerMissing as missing:
            violations.append(
                Violation("ServerMissing", f"{place}/kind", missing.message, "its program", kind)
            )
        return violations

    async def put(self, resource: Resource, fence: Fence) -> LiveResource:
        live = await super().put(resource, fence)
        server = self._server(resource)
        return _with_login(live, await self._login(server))

    async def read(self, resource: Resource) -> Reading[LiveResource]:
        reading = await super().read(resource)
        if not isinstance(reading, Present):
            return reading
        server = self._server(resource)
        try:
            secret = await server.vault.get(server.secret)
        except NotFound:
            return Absent()
        except Unavailable as away:
            return Unknown(away.message)
        return Present(_with_login(reading.value, secret))

    async def delete(self, resource: Resource, fence: Fence) -> None:
        await super().delete(resource, fence)
        # Last: as long as there is data, somebody can be its administrator.
        server = self._server(resource)
        for forget in (server.vault.delete, server.vault.purge):
            try:
                await forget(server.secret)
            except NotFound:
                continue

    async def _login(self, server: _Server) -> Secret:
        """Return the administrator's login, which is made where there is none."""
        try:
            return await server.vault.get(server.secret)
        except NotFound:
            pass
        password = f"{self._entropy.bits(_PASSWORD_BITS):064x}"
        is_postgres = server.kind == LOCAL_POSTGRES
        login = Login(
            POSTGRESQL if is_postgres else VALKEY,
            ADMINISTRATOR,
            password,
            HOST,
            free_port(self._entropy),
            database_of(server.name, server.kind),
        )
        verifier = (
            scram_verifier(password, self._entropy) if is_postgres else acl_verifier(password)
        )
        try:
            await server.vault.set(server.secret, login.value(), tags={_VERIFIER: verifier})
        except SecretDeleted:
            # A deletion was cut off before its end, and its data is gone.
            await server.vault.purge(server.secret)
            await server.vault.set(server.secret, login.value(), tags={_VERIFIER: verifier})
        return await server.vault.get(server.secret)

    def _server(self, resource: Resource) -> _Server:
        properties = resource.properties
        key = parse_id(str(properties["site"])).environment
        vault = self._vaults.at(self._vaults.of_environment(key, {}))
        return _Server(str(properties["volume"]), str(properties["kind"]), vault)


def _with_login(live: LiveResource, secret: Secret) -> LiveResource:
    """Return *live* with what may be known of the login: all but the password."""
    login = parse(secret.value)
    outputs = {
        **live.outputs,
        "host": login.host,
        "port": str(login.port),
        "database": login.database,
        "verifier": (secret.properties.tags or {})[_VERIFIER],
    }
    return LiveResource(live.properties, outputs)
