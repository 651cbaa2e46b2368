"""An API server on loopback that answers what a test says: for answers that no healthy one gives.

A real Kubernetes serves what can be had of it; this serves what another in its place may.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import web

from shared.kernel.clock import SystemClock
from shared.surfaces.aks import revisions
from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import CONFIG_MAPS, Kind
from shared.surfaces.aks.names import RECORD, Installation
from shared.surfaces.aks.surface import AksSurface
from shared.surfaces.spec import RevisionSpec
from tests.surfaces.harness import SITE

if TYPE_CHECKING:
    from lightkube import AsyncClient

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class StandInServer:
    """Lists and gets `objects`; what `answers` has of a path goes before."""

    installation: Installation = field(default_factory=Installation)
    objects: dict[Kind, list[Object]] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        if request.path in self.answers:
            return await self.answers[request.path](request)
        if "watch" in request.query:
            return web.Response()
        namespace = request.path.partition("/namespaces/")[2].partition("/")[0]
        last = request.path.rpartition("/")[2]
        for kind, found in self.objects.items():
            if last == kind.plural:
                chosen = [each for each in found if _is_chosen(each, namespace, request.query)]
                return web.json_response(listed(chosen))
            for each in found:
                if kind.path(namespace or None, each["metadata"]["name"]) == request.path:
                    return web.json_response(each)
        if last.endswith("s") and request.query.get("labelSelector"):
            return web.json_response(listed([]))
        return web.json_response({"kind": "Status"}, status=HTTPStatus.NOT_FOUND)


def listed(items: object, **metadata: object) -> Object:
    return {"kind": "List", "metadata": {"resourceVersion": "1", **metadata}, "items": items}


def _is_chosen(found: Object, namespace: str, query: Mapping[str, str]) -> bool:
    wanted = dict(each.split("=") for each in query.get("labelSelector", "").split(",") if each)
    metadata = found["metadata"]
    return namespace in {"", metadata.get("namespace")} and (
        wanted.items() <= metadata.get("labels", {}).items()
    )


def deployment(spec: RevisionSpec, installation: Installation, **metadata: Any) -> Object:
    """Return the Deployment of *spec* as the server has it, with *metadata* of its own."""
    made = revisions.deployment(spec, installation)
    made["metadata"] |= {"creationTimestamp": "2026-01-01T00:00:00Z", "uid": "u", **metadata}
    return made


def pod(spec: RevisionSpec, installation: Installation, **metadata: Any) -> Object:
    """Return a pod of *spec* that is ready, with *metadata* of its own."""
    made = revisions.deployment(spec, installation)
    template = made["spec"]["template"]
    began = "2026-01-01T00:00:00Z"
    status = {
        "phase": "Running",
        "podIP": "10.0.0.2",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": began}],
        "containerStatuses": [
            {
                "name": "main",
                "imageID": f"shop@{spec.artifact}",
                "restartCount": 0,
                "started": True,
                "state": {"running": {"startedAt": began}},
            }
        ],
    }
    own = {"name": "pod-1", "namespace": made["metadata"]["namespace"], "creationTimestamp": began}
    return {
        "metadata": {**template["metadata"], **own, **metadata},
        "spec": template["spec"],
        "status": status,
    }


def record(installation: Installation, name: str, document: str, kind: str) -> Object:
    """Return the ConfigMap with the record *name*."""
    labels = {**installation.of_environment(SITE.environment), RECORD: kind}
    place = {"name": name, "namespace": installation.name, "uid": f"uid of {name}"}
    metadata = {**place, "labels": labels}
    return {"metadata": metadata, "data": {"record.json": document}}


@asynccontextmanager
async def stand_in_api() -> AsyncIterator[tuple[StandInServer, ClusterApi]]:
    """Serve, and yield the requests to it."""
    async with _served() as (server, connect):
        yield server, ClusterApi(connect)


@asynccontextmanager
async def stand_in_server() -> AsyncIterator[tuple[StandInServer, AksSurface]]:
    """Serve, and yield the surface on it; it has the site of `SITE`."""
    async with _served() as (server, connect):
        installation = server.installation
        who = f'"environment":"{SITE.environment}","tenant":"{SITE.tenant}"'
        document = f'{{"spec":{{{who},"name":"n","stage":"s"}}}}'
        site = installation.site_record(SITE.environment)
        server.objects[CONFIG_MAPS] = [record(installation, site, document, "site")]
        surface = AksSurface(connect, SystemClock(), installation)
        try:
            yield server, surface
        finally:
            await surface.close()


@asynccontextmanager
async def _served() -> "AsyncIterator[tuple[StandInServer, Callable[[], Awaitable[AsyncClient]]]]":
    from lightkube import AsyncClient, KubeConfig
    from lightkube.config.models import Cluster, User

    server = StandInServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    config = KubeConfig.from_one(
        cluster=Cluster(server=f"http://127.0.0.1:{runner.addresses[0][1]}"), user=User()
    )
    client = AsyncClient(config, trust_env=False)

    async def connect() -> AsyncClient:
        return client

    try:
        yield server, connect
    finally:
        await client.close()
        await runner.cleanup()
