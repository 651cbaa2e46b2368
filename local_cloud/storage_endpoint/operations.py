"""The operations of Azure Storage by name: which are served, and what requests look like.

https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api and
https://learn.microsoft.com/rest/api/storageservices/table-service-rest-api. Served is what the
adapters in `shared/persistence` call; `docs/local-storage.md` has the list.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from local_cloud.storage_endpoint.errors import StorageRefused, not_implemented
from local_cloud.storage_endpoint.requests import Call

Shape = tuple[str, str, str]
"""A method, what is addressed, and `comp`."""


@dataclass(frozen=True)
class Served:
    """What an operation takes: anything else is refused by its name, never ignored."""

    query: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()


BLOB_SERVED: Final[Mapping[str, Served]] = {
    "Create Container": Served(),
    "List Blobs": Served(query=frozenset({"prefix", "marker", "maxresults"})),
    "Put Blob": Served(headers=frozenset({"x-ms-blob-type", "if-match", "if-none-match"})),
    "Put Block": Served(query=frozenset({"blockid"})),
    "Put Block List": Served(headers=frozenset({"if-match", "if-none-match"})),
    "Get Blob": Served(headers=frozenset({"x-ms-range", "range", "if-match", "if-none-match"})),
    "Get Blob Properties": Served(headers=frozenset({"if-match", "if-none-match"})),
    "Delete Blob": Served(headers=frozenset({"x-ms-delete-snapshots", "if-match"})),
}
BLOB_SHAPES: Final[Mapping[Shape, str]] = {
    ("GET", "service", "list"): "List Containers",
    ("PUT", "service", "properties"): "Set Blob Service Properties",
    ("GET", "service", "properties"): "Get Blob Service Properties",
    ("GET", "service", "stats"): "Get Blob Service Stats",
    ("POST", "service", "userdelegationkey"): "Get User Delegation Key",
    ("POST", "service", "batch"): "Blob Batch",
    ("GET", "service", "blobs"): "Find Blobs by Tags",
    ("PUT", "container", ""): "Create Container",
    ("GET", "container", ""): "Get Container Properties",
    ("HEAD", "container", ""): "Get Container Properties",
    ("GET", "container", "metadata"): "Get Container Metadata",
    ("PUT", "container", "metadata"): "Set Container Metadata",
    ("GET", "container", "acl"): "Get Container ACL",
    ("PUT", "container", "acl"): "Set Container ACL",
    ("DELETE", "container", ""): "Delete Container",
    ("PUT", "container", "lease"): "Lease Container",
    ("PUT", "container", "undelete"): "Restore Container",
    ("POST", "container", "batch"): "Blob Batch",
    ("GET", "container", "blobs"): "Find Blobs by Tags in Container",
    ("GET", "container", "list"): "List Blobs",
    ("PUT", "blob", ""): "Put Blob",
    ("GET", "blob", ""): "Get Blob",
    ("HEAD", "blob", ""): "Get Blob Properties",
    ("DELETE", "blob", ""): "Delete Blob",
    ("PUT", "blob", "block"): "Put Block",
    ("PUT", "blob", "blocklist"): "Put Block List",
    ("GET", "blob", "blocklist"): "Get Block List",
    ("PUT", "blob", "properties"): "Set Blob Properties",
    ("GET", "blob", "metadata"): "Get Blob Metadata",
    ("PUT", "blob", "metadata"): "Set Blob Metadata",
    ("GET", "blob", "tags"): "Get Blob Tags",
    ("PUT", "blob", "tags"): "Set Blob Tags",
    ("PUT", "blob", "lease"): "Lease Blob",
    ("PUT", "blob", "snapshot"): "Snapshot Blob",
    ("PUT", "blob", "copy"): "Abort Copy Blob",
    ("PUT", "blob", "undelete"): "Undelete Blob",
    ("PUT", "blob", "tier"): "Set Blob Tier",
    ("POST", "blob", "query"): "Query Blob Contents",
    ("PUT", "blob", "page"): "Put Page",
    ("GET", "blob", "pagelist"): "Get Page Ranges",
    ("PUT", "blob", "incrementalcopy"): "Incremental Copy Blob",
    ("PUT", "blob", "appendblock"): "Append Block",
    ("PUT", "blob", "seal"): "Append Blob Seal",
    ("PUT", "blob", "expiry"): "Set Blob Expiry",
    ("PUT", "blob", "immutabilitypolicies"): "Set Blob Immutability Policy",
    ("DELETE", "blob", "immutabilitypolicies"): "Delete Blob Immutability Policy",
    ("PUT", "blob", "legalhold"): "Set Blob Legal Hold",
}

TABLE_SERVED: Final[Mapping[str, Served]] = {
    "Create Table": Served(),
    "Query Entities": Served(
        query=frozenset({"$filter", "$select", "$top", "$format", "nextpartitionkey", "nextrowkey"})
    ),
    "Entity Group Transaction": Served(),
}
TABLE_SHAPES: Final[Mapping[Shape, str]] = {
    ("PUT", "service", "properties"): "Set Table Service Properties",
    ("GET", "service", "properties"): "Get Table Service Properties",
    ("GET", "service", "stats"): "Get Table Service Stats",
    ("GET", "tables", ""): "Query Tables",
    ("POST", "tables", ""): "Create Table",
    ("DELETE", "table", ""): "Delete Table",
    ("GET", "entities", "acl"): "Get Table ACL",
    ("PUT", "entities", "acl"): "Set Table ACL",
    ("GET", "entities", ""): "Query Entities",
    ("POST", "entities", ""): "Insert Entity",
    ("GET", "entity", ""): "Get Entity",
    ("PUT", "entity", ""): "Update or Insert Entity",
    ("PATCH", "entity", ""): "Merge or Insert Entity",
    ("MERGE", "entity", ""): "Merge or Insert Entity",
    ("DELETE", "entity", ""): "Delete Entity",
    ("POST", "transaction", ""): "Entity Group Transaction",
}
_ANYWHERE: Final = frozenset({"comp", "restype", "timeout"})
_HARMLESS: Final = frozenset(
    {"x-ms-version", "x-ms-date", "x-ms-client-request-id", "x-ms-return-client-request-id"}
)
_MEANINGFUL: Final = frozenset(
    {
        "range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
        "content-md5", "content-encoding", "content-language", "x-http-method",
    }
)  # fmt: skip
"""Besides `x-ms-`: headers that change what a request does."""


def operation(
    call: Call, addressed: str, shapes: Mapping[Shape, str], served: Mapping[str, Served]
) -> str:
    """Return the name of the operation that *call* is.

    Raises:
        StorageRefused: there is none of this shape, or it is not served, or not with what it has.
    """
    comp = call.query.get("comp", "").lower()
    name = shapes.get((call.method, addressed, comp))
    if name is None:
        what = f"{call.method} {addressed} {comp}".rstrip()
        raise StorageRefused(405, "UnsupportedHttpVerb", f"there is no operation {what}")
    if name not in served:
        raise not_implemented(name)
    takes = served[name]
    for parameter in call.query:
        if parameter not in takes.query | _ANYWHERE:
            raise not_implemented(f"{name} with the parameter {parameter[:80]!r}")
    for header in map(str.lower, call.headers):
        is_meant = header in _MEANINGFUL or header.startswith("x-ms-")
        if is_meant and header not in takes.headers | _HARMLESS:
            raise not_implemented(f"{name} with the header {header[:80]}")
    return name
