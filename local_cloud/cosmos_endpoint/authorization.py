"""Who may do what in the account: the key's holder everything, an identity what its roles allow.

Identities reach documents and metadata only; databases and containers are the key's, in Azure the
resource manager's. https://learn.microsoft.com/azure/cosmos-db/nosql/reference-data-plane-security
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

from local_cloud.callers import Caller, Callers
from local_cloud.cosmos_endpoint.authentication import MasterKey
from local_cloud.cosmos_endpoint.errors import CosmosError
from local_cloud.cosmos_endpoint.http_messages import PLAN_HEADER, is_query, is_set
from local_cloud.cosmos_endpoint.resource_address import ResourceAddress
from local_cloud.roles import COSMOS_DB, Role
from shared.kernel.errors import Denied, Unauthenticated

AUDIENCES: Final = tuple(
    f"https://{host}" for host in ("localhost", "127.0.0.1", "cosmos.azure.com")
)
"""The SDKs ask for a token for the host of the account, or for all accounts."""
_TOKEN: Final = "type=aad&ver=1.0&sig="  # noqa: S105  how one begins
_METADATA: Final = "Microsoft.DocumentDB/databaseAccounts/readMetadata"
_CONTAINERS: Final = "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/containers"
_NOT_BY_TOKEN: Final = 5300
_NO_ROLE: Final = 5301
_WRITES: Final = frozenset({Role.COSMOS_CONTRIBUTOR})
_READS: Final = _WRITES | {Role.COSMOS_READER}


class AccountAuthorization:
    """Checks the requests of one account; without *callers* no token is taken."""

    def __init__(self, key: MasterKey, callers: Callers | None) -> None:
        self._key = key
        self._callers = callers

    async def check(
        self,
        method: str,
        address: ResourceAddress,
        headers: Mapping[str, str],
        named: ResourceAddress,
    ) -> None:
        """Return where a request is signed with the key, or comes from whom a role allows it.

        *named* is *address* with names in place of resource ids.

        Raises:
            CosmosError: 401, or 403 with the substatus of the service.
            Unavailable: the keys of the tokens cannot be read.
        """
        shown = unquote(headers.get("authorization", ""))
        if self._callers is None or not shown.startswith(_TOKEN):
            date = headers.get("x-ms-date", "")
            # An offer has no name.
            is_by_id = named is not address or "offers" in address.names
            authorization = headers.get("authorization", "")
            self._key.check(method, address, date, authorization, is_by_id=is_by_id)
            return
        try:
            caller = await self._callers.caller(f"Bearer {shown.removeprefix(_TOKEN)}")
        except Unauthenticated as refused:
            raise CosmosError(401, "Unauthorized", refused.message) from refused
        _check_roles(self._callers, caller, method, named, headers)


def _check_roles(
    callers: Callers,
    caller: Caller,
    method: str,
    address: ResourceAddress,
    headers: Mapping[str, str],
) -> None:
    action, allowed = _asked(method, address, headers)
    # Quoted again: a name with a slash lies in no other one's scope.
    where = "/".join(quote(each, safe="") for each in address.segments[:4])
    if not address.segments and callers.has_any(caller):  # each client begins with the account
        return
    try:
        callers.check(caller, f"{COSMOS_DB}/{where}".rstrip("/"), allowed)
    except Denied as denied:
        message = (
            "Request blocked by Auth local : Request is blocked because principal"
            f" [{caller.client_id}] does not have required RBAC permissions to perform action"
            f" [{action}] on resource [/{where}]."
            " Learn more: https://aka.ms/cosmos-native-rbac."
        )
        raise CosmosError(403, "Forbidden", message, substatus=_NO_ROLE) from denied


def _asked(
    method: str, address: ResourceAddress, headers: Mapping[str, str]
) -> tuple[str, frozenset[Role]]:
    """Return the data action that a request is, and the roles that have it."""
    if address.shape.startswith("dbs/*/colls/*/docs"):
        if method == "GET":
            is_feed = headers.get("a-im", "") != ""
            return f"{_CONTAINERS}/{'readChangeFeed' if is_feed else 'items/read'}", _READS
        if is_query(headers) or is_set(headers, PLAN_HEADER):
            return f"{_CONTAINERS}/executeQuery", _READS
        return f"{_CONTAINERS}/items/{_VERBS.get(method, 'write')}", _WRITES
    if method != "GET":
        where = "/".join(address.segments)
        message = (
            f"Request blocked by Auth local : The given request [{method} /{where}] cannot"
            " be authorized by AAD token in data plane."
            " Learn more: https://aka.ms/cosmos-native-rbac."
        )
        raise CosmosError(403, "Forbidden", message, substatus=_NOT_BY_TOKEN)
    return _METADATA, _READS


_VERBS: Final = {"POST": "create", "PUT": "replace", "DELETE": "delete", "PATCH": "replace"}
