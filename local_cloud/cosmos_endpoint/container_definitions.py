"""What a container may be defined with, and the defaults that Cosmos DB fills in.

https://learn.microsoft.com/rest/api/cosmos-db/create-a-collection
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from local_cloud.cosmos_endpoint.document_rules import TTL_RULE, is_ttl
from local_cloud.cosmos_endpoint.errors import bad_request
from local_cloud.cosmos_endpoint.partition_keys import names_of
from local_cloud.cosmos_endpoint.unique_keys import constraints_of
from shared.persistence.cosmos_form import PARTITION_FIELDS

Definition = Mapping[str, Any]
_KEY_VERSION: Final = 2
_MODES: Final = ("consistent", "none", "lazy")
_NOT_SERVED: Final = frozenset(
    {
        "analyticalStorageTtl", "changeFeedPolicy", "clientEncryptionPolicy", "computedProperties",
        "fullTextPolicy", "vectorEmbeddingPolicy",
    }
)  # fmt: skip
"""What a container may be created with, and would do something that this endpoint does not."""
_INDEXING: Final = {
    "indexingMode": "consistent", "automatic": True, "includedPaths": [{"path": "/*"}],
    "excludedPaths": [{"path": '/"_etag"/?'}],
}  # fmt: skip
_CONFLICTS: Final = {
    "mode": "LastWriterWins", "conflictResolutionPath": "/_ts", "conflictResolutionProcedure": "",
}  # fmt: skip
_GEOSPATIAL: Final = {"type": "Geography"}
OURS: Final[Definition] = {
    "partitionKey": {
        "paths": [f"/{name}" for name in PARTITION_FIELDS], "kind": "MultiHash", "version": 2,
    },
    "defaultTtl": -1,
    "indexingPolicy": _INDEXING,
    "conflictResolutionPolicy": _CONFLICTS,
    "geospatialConfig": _GEOSPATIAL,
}  # fmt: skip
"""Of a container that was opened by an app and never created over the wire."""


def checked_definition(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition that *body* asks for, defaults filled in. Raises CosmosError (400)."""
    refused = sorted(name for name in _NOT_SERVED if body.get(name) is not None)
    if refused:
        raise bad_request(f"{', '.join(refused)}: not served here, leave it out")
    key = _checked_key(body.get("partitionKey"))
    constraints_of(body.get("uniqueKeyPolicy"))
    ttl = body.get("defaultTtl")
    if ttl is not None and not is_ttl(ttl):
        raise bad_request(f"defaultTtl is {TTL_RULE}, got {str(ttl)[:80]}")
    definition = {
        "partitionKey": key,
        "indexingPolicy": _checked_indexing(body.get("indexingPolicy")),
        "conflictResolutionPolicy": _checked_conflicts(body.get("conflictResolutionPolicy")),
        "geospatialConfig": _checked_geospatial(body.get("geospatialConfig")),
    }
    if ttl is not None:
        definition["defaultTtl"] = ttl
    policy = body.get("uniqueKeyPolicy")
    if policy is not None and policy.get("uniqueKeys"):
        definition["uniqueKeyPolicy"] = policy
    return definition


def replaced_definition(old: Definition, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return *old* as *body* changes it. Raises CosmosError (400) for what stays as it is."""
    new = checked_definition({"partitionKey": old["partitionKey"], **body})
    for name in ("partitionKey", "uniqueKeyPolicy"):
        if new.get(name) != old.get(name):
            raise bad_request(f"Document collection {name} cannot be changed.")
    return new


def explicit_paths(definition: Definition) -> Sequence[Sequence[str]]:
    """Return the paths that the index names, each without its `/?` or `/*`, not `/*` itself.

    ORDER BY one of them keeps the documents without it, by any other path it leaves them out.
    """
    included = definition.get("indexingPolicy", {}).get("includedPaths", [])
    paths = (str(each.get("path", ""))[:-2] for each in included if isinstance(each, Mapping))
    return [tuple(names_of(path.replace("/[]", '/"[]"'))) for path in paths if path]


def _checked_key(key: object) -> Mapping[str, Any]:
    paths = key.get("paths") if isinstance(key, Mapping) else None
    if not isinstance(paths, list) or not 1 <= len(paths) <= len(PARTITION_FIELDS):
        raise bad_request("a container has 1 to 3 partition key paths")
    if len({tuple(names_of(path)) for path in paths}) < len(paths):
        raise bad_request(f"each partition key path is there once, got {paths}")
    assert isinstance(key, Mapping), key
    kind = key.get("kind", "Hash")
    if kind not in ("Hash", "MultiHash"):
        raise bad_request(f"a partition key is of kind Hash or MultiHash, got {str(kind)[:80]!r}")
    if kind == "Hash" and len(paths) > 1:
        raise bad_request("a partition key of several paths is of kind MultiHash")
    if key.get("version", _KEY_VERSION) not in (_KEY_VERSION, "V2"):  # so the Java SDK writes it
        raise bad_request(f"a partition key is of version {_KEY_VERSION}, got {key['version']!r}")
    return {"paths": paths, "kind": kind, "version": _KEY_VERSION}


def _checked_indexing(policy: object) -> Mapping[str, Any]:
    if policy is None:
        return _INDEXING
    if not isinstance(policy, Mapping):
        raise bad_request("an indexingPolicy is an object")
    mode = str(policy.get("indexingMode", "consistent")).lower()
    if mode not in _MODES:
        raise bad_request(f"an indexingMode is one of {', '.join(_MODES)}, got {mode[:40]!r}")
    if any(policy.get(name) for name in ("vectorIndexes", "fullTextIndexes")):
        raise bad_request("vectorIndexes, fullTextIndexes: not served here, leave them out")
    for name in ("includedPaths", "excludedPaths"):
        _check_paths(name, policy.get(name, []))
    kept = {"automatic": True, "includedPaths": [], "excludedPaths": []} if mode == "none" else {}
    return {**(kept or _INDEXING), **policy, "indexingMode": mode}


def _check_paths(name: str, paths: object) -> None:
    if not isinstance(paths, list):
        raise bad_request(f"{name} is a list")
    for each in paths:
        path = each.get("path") if isinstance(each, Mapping) else None
        if not isinstance(path, str) or not path.startswith("/") or path[-2:] not in {"/*", "/?"}:
            raise bad_request(f"a path of {name} ends in /* or /?, got {str(each)[:80]}")
        if path[:-2]:
            names_of(path[:-2].replace("/[]", '/"[]"'))


def _checked_conflicts(policy: object) -> Mapping[str, Any]:
    if policy is None:
        return _CONFLICTS
    if not isinstance(policy, Mapping) or policy.get("mode", "LastWriterWins") not in {
        "LastWriterWins", "lastWriterWins",
    }:  # fmt: skip
        raise bad_request("a conflictResolutionPolicy other than LastWriterWins is not served here")
    return {**_CONFLICTS, **policy, "mode": "LastWriterWins"}


def _checked_geospatial(config: object) -> Mapping[str, Any]:
    if config is None:
        return _GEOSPATIAL
    kind = config.get("type") if isinstance(config, Mapping) else None
    if kind not in {"Geography", "Geometry"}:
        raise bad_request("a geospatialConfig has the type Geography or Geometry")
    return {"type": kind}
