"""Answers requests about the account, its databases, containers and offers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from local_cloud.cosmos_endpoint.account import KEY_RANGES, Account, Container
from local_cloud.cosmos_endpoint.errors import CosmosError
from local_cloud.cosmos_endpoint.http_messages import (
    asked_query,
    is_query,
    json_object,
    json_response,
    resource_headers,
)
from local_cloud.cosmos_endpoint.offers import offer_in, offer_in_headers, offer_of
from local_cloud.cosmos_endpoint.queries import listed
from local_cloud.cosmos_endpoint.resource_address import ResourceAddress, address_of

_RANGES_ETAG: Final = '"ranges-1"'


class ResourceHandlers:
    """One method for each route that is about no document."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def show_account(self, request: web.Request, _: ResourceAddress) -> web.Response:
        address = f"{request.scheme}://{request.host}/"
        here = [{"name": "Local", "databaseAccountEndpoint": address}]
        replicas = {"asyncReplication": False, "minReplicaSetSize": 1, "maxReplicasetSize": 1}
        return json_response(
            {
                "id": "local", "_rid": "local", "_self": "", "_dbs": "//dbs/", "media": "//media/",
                "addresses": "//addresses/", "writableLocations": here, "readableLocations": here,
                "enableMultipleWriteLocations": False,
                "userConsistencyPolicy": {"defaultConsistencyLevel": "Session"},
                "userReplicationPolicy": replicas, "systemReplicationPolicy": replicas,
                "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
                "queryEngineConfiguration": "{}",
            }
        )  # fmt: skip

    async def list_databases(self, _: web.Request, _target: ResourceAddress) -> web.Response:
        return _list("Databases", self._account.databases())

    async def post_databases(self, request: web.Request, _: ResourceAddress) -> web.Response:
        if is_query(request.headers):
            text, parameters = await asked_query(request)
            return _list("Databases", listed(self._account.databases(), text, parameters))
        offer = offer_in_headers(request.headers)
        name = (await json_object(request)).get("id")
        database = self._account.create_database(name, offer)
        return _database(database, 201)

    async def show_database(self, _: web.Request, address: ResourceAddress) -> web.Response:
        return _database(self._account.database(address.names["dbs"]), 200)

    async def delete_database(self, _: web.Request, address: ResourceAddress) -> web.Response:
        self._account.delete_database(address.names["dbs"])
        return web.Response(status=204)

    async def list_containers(self, _: web.Request, address: ResourceAddress) -> web.Response:
        shown = [container.shown() for container in self._account.containers(address.segments[1])]
        rid = str(self._account.database(address.segments[1])["_rid"])
        return _list("DocumentCollections", shown, rid)

    async def post_containers(self, request: web.Request, address: ResourceAddress) -> web.Response:
        database = address.segments[1]
        if is_query(request.headers):
            text, parameters = await asked_query(request)
            shown = [container.shown() for container in self._account.containers(database)]
            return _list("DocumentCollections", listed(shown, text, parameters))
        body, offer = await json_object(request), offer_in_headers(request.headers)
        return _container(await self._account.create_container(database, body, offer), 201)

    async def show_container(self, _: web.Request, address: ResourceAddress) -> web.Response:
        return _container(self._container(address), 200)

    async def replace_container(
        self, request: web.Request, address: ResourceAddress
    ) -> web.Response:
        container = self._container(address)
        if request.headers.get("if-match", "*") not in {"*", container.shown()["_etag"]}:
            raise CosmosError(412, "PreconditionFailed", "the container has another etag by now")
        body = await json_object(request)
        return _container(await self._account.replace_container(container, body), 200)

    async def delete_container(self, _: web.Request, address: ResourceAddress) -> web.Response:
        self._account.delete_container(address.segments[1], address.segments[3])
        return web.Response(status=204)

    async def show_key_ranges(self, request: web.Request, address: ResourceAddress) -> web.Response:
        container = self._container(address)
        if request.headers.get("if-none-match") == _RANGES_ETAG:
            return web.Response(status=304, headers={"etag": _RANGES_ETAG})
        ranges = [
            {
                **key_range, "_rid": container.rid, "_etag": _RANGES_ETAG, "_ts": 0,
                "_self": f"{container.self_link}pkranges/{key_range['id']}/", "ridPrefix": number,
                "throughputFraction": 1 / len(KEY_RANGES), "status": "online", "parents": [],
            }
            for number, key_range in enumerate(KEY_RANGES)
        ]  # fmt: skip
        body = {"_rid": container.rid, "PartitionKeyRanges": ranges, "_count": len(ranges)}
        return json_response(body, 200, {"etag": _RANGES_ETAG})

    async def list_offers(self, _: web.Request, _target: ResourceAddress) -> web.Response:
        return _list("Offers", list(self._offers()))

    async def query_offers(self, request: web.Request, _: ResourceAddress) -> web.Response:
        text, parameters = await asked_query(request)
        return _list("Offers", listed(list(self._offers()), text, parameters))

    async def show_offer(self, _: web.Request, address: ResourceAddress) -> web.Response:
        return json_response(self._named_offer(address))

    async def replace_offer(self, request: web.Request, address: ResourceAddress) -> web.Response:
        throughput = offer_in(await json_object(request))
        owner = self._account.by_names(address_of(f"/{self._named_offer(address)['resource']}"))
        if "colls" in owner.names:
            await self._account.replace_throughput(self._container(owner), throughput)
        else:
            self._account.replace_database_throughput(owner.names["dbs"], throughput)
        return json_response(self._named_offer(address))

    def _container(self, address: ResourceAddress) -> Container:
        return self._account.container(address.segments[1], address.segments[3])

    def _offers(self) -> Iterator[Mapping[str, Any]]:
        """Yield all offers: a container that shares its database's throughput has none."""
        for database in self._account.databases():
            name = str(database["id"])
            shared = self._account.database_throughput(name)
            if shared is not None:
                yield offer_of(database, shared)
            for container in self._account.containers(name):
                if shared is None or container.facts.get("throughput") is not None:
                    yield offer_of(container.shown(), container.throughput)

    def _named_offer(self, address: ResourceAddress) -> Mapping[str, Any]:
        wanted = address.names["offers"]
        for offer in self._offers():
            # The signature of a request to an offer, and so its path, is in small letters.
            if wanted.lower() == str(offer["id"]).lower():
                return offer
        raise CosmosError(404, "NotFound", f"there is no offer {wanted!r}")


def _list(name: str, items: Sequence[Any], rid: str = "") -> web.Response:
    return json_response({"_rid": rid, name: items, "_count": len(items)})


def _database(database: Mapping[str, Any], status: int) -> web.Response:
    link = f"dbs/{database['id']}"
    return json_response(
        database, status, resource_headers(database["_etag"], database["_rid"], link)
    )


def _container(container: Container, status: int) -> web.Response:
    shown = container.shown()
    # Of its database: the Java SDK appends the container to it.
    link = f"dbs/{container.database['id']}"
    return json_response(shown, status, resource_headers(shown["_etag"], container.rid, link))
