"""The platform's own Cosmos DB containers, as the local cloud declares them.

`tools/azure_template.py` prints the same for Azure.
"""

from collections.abc import Collection, Iterator
from typing import Any

from shared.contracts.events import BUILT
from shared.contracts.values import Service
from shared.persistence.cosmos_form import PARTITION_FIELDS

Definition = dict[str, Any]
"""A container as Cosmos DB is told it: id, partition key, time to live."""


def runtime_containers(services: Collection[Service] = BUILT) -> Iterator[Definition]:
    """Yield the container of each service, and the one for the leases of its change feed."""
    paths = [f"/{name}" for name in PARTITION_FIELDS]
    for service in sorted(services):
        key = {"paths": paths, "kind": "MultiHash", "version": 2}
        # Each document says itself how long it lives.
        yield {"id": service.value, "partitionKey": key, "defaultTtl": -1}
        key = {"paths": ["/id"], "kind": "Hash", "version": 2}
        yield {"id": f"{service.value}-leases", "partitionKey": key}
