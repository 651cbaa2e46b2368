"""Between a row of the store and the document that the protocol shows."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_cloud.cosmos_endpoint import partition_keys
from local_cloud.cosmos_endpoint.account import Container
from local_cloud.cosmos_endpoint.document_rules import TTL_RULE, encoded, is_ttl
from local_cloud.cosmos_endpoint.errors import bad_request
from local_cloud.cosmos_endpoint.resource_ids import document_number, document_rid
from local_cloud.sqlite.rows import etag_of
from shared.persistence.effective_key import SEPARATOR, UNDEFINED

COLUMNS: Final = "partition, id, body, lsn, changed_at_s, ttl_s"
SYSTEM_PROPERTIES: Final = frozenset({"_rid", "_self", "_etag", "_attachments", "_ts", "_lsn"})


class DocumentForm:
    """The form of the documents of one container."""

    def __init__(self, container: Container) -> None:
        self._container = container

    def text(self, document: Mapping[str, Any]) -> str:
        """Return what is stored as JSON: not the id, the key's own fields, system fields, ttl.

        Raises:
            CosmosError: 400, 413.
        """
        # What is no key, a list say, is shown from here.
        left_out = {"id"} | {
            path[0]
            for path in self._container.paths
            if len(path) == 1 and not isinstance(document.get(path[0]), list | dict)
        }
        if self._container.default_ttl_s == -1:
            left_out.add("ttl")  # shown again from its column
        left_out |= SYSTEM_PROPERTIES
        return encoded({name: value for name, value in document.items() if name not in left_out})

    def ttl_s(self, document: Mapping[str, Any]) -> int | None:
        """Return after how many seconds *document* expires; None never. Raises CosmosError."""
        default = self._container.default_ttl_s
        if default is None:
            return None
        value = document.get("ttl", default)
        if not is_ttl(value):
            raise bad_request(f"ttl is {TTL_RULE}, got {str(value)[:80]}")
        return None if value == -1 else value

    def shown(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return the document of a row of `COLUMNS`. Raises ValueError for a damaged one."""
        partition, document_id, text, lsn, changed_at_s, ttl_s = row
        container = self._container
        document: dict[str, Any] = {"id": document_id}
        for path, part in zip(container.paths, partition.split(SEPARATOR), strict=False):
            if len(path) == 1 and part != UNDEFINED:
                document[path[0]] = partition_keys.shown(part)
        document |= json.loads(text)
        if ttl_s is not None and container.default_ttl_s == -1:
            document["ttl"] = ttl_s
        rid = document_rid(container.rid, document_number(partition, document_id))
        return document | {
            "_rid": rid,
            "_self": f"{container.self_link}docs/{rid}/",
            "_etag": etag_of(lsn),
            "_attachments": "attachments/",
            "_ts": changed_at_s,
        }
