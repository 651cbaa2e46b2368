"""Master-key signatures of the Cosmos DB REST protocol.

https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

import base64
import binascii
import hashlib
import hmac
from urllib.parse import unquote

from local_cloud.cosmos_endpoint.errors import CosmosError
from local_cloud.cosmos_endpoint.resource_address import ResourceAddress


class MasterKey:
    """Knows the account's key and checks that a request was signed with it."""

    def __init__(self, key: str) -> None:
        """*key* is base64. Raises ValueError when it is not."""
        try:
            self._key = base64.b64decode(key, validate=True)
        except binascii.Error as problem:
            msg = "a Cosmos account key is base64"
            raise ValueError(msg) from problem

    def check(
        self,
        verb: str,
        address: ResourceAddress,
        date: str,
        authorization: str,
        *,
        is_by_id: bool = False,
    ) -> None:
        """Raises CosmosError (401) unless *authorization* signs this request.

        *is_by_id* says that its path has resource ids, not names.
        """
        fields = dict(
            part.split("=", 1) for part in unquote(authorization).split("&") if "=" in part
        )
        if fields.get("type") != "master":
            raise CosmosError(401, "Unauthorized", "authorization must be of type master")
        signature = fields.get("sig", "").encode()
        link = address.link_by_id if is_by_id else address.link
        expected = self.sign(verb, address.resource_type, link, date).encode()
        if not hmac.compare_digest(signature, expected):
            raise CosmosError(
                401,
                "Unauthorized",
                "the input authorization token can't serve the request: the signature does not"
                f" match {verb.lower()!r}, {address.resource_type!r}, {link!r}",
            )

    def sign(self, verb: str, resource_type: str, link: str, date: str) -> str:
        """Return the signature of one request; *date* is the `x-ms-date` header."""
        text = f"{verb.lower()}\n{resource_type}\n{link}\n{date.lower()}\n\n"
        return base64.b64encode(hmac.digest(self._key, text.encode(), hashlib.sha256)).decode()
