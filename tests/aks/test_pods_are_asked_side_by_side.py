"""A proof of many pods waits for the slowest few of them, not for one after the other."""

import asyncio
from dataclasses import replace

from aiohttp import web

from shared.kernel.observation import Present
from shared.surfaces.aks.kinds import DEPLOYMENTS, PODS
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.pod_places import NAMESPACE_AT_ONCE
from tests.kit.api_server import deployment, pod, stand_in_server
from tests.surfaces.harness import SHOP, TEMPLATE

SPEC = replace(TEMPLATE, image="registry.example/shop", artifact="sha256:" + "a" * 64)


async def test_as_many_pods_of_a_tenant_are_asked_at_once_as_have_a_place() -> None:
    names = [f"web-r1-{number}" for number in range(NAMESPACE_AT_ONCE)]
    everybody = asyncio.Barrier(len(names))

    async def answer(_: web.Request) -> web.StreamResponse:
        await everybody.wait()
        return web.json_response({"release": {"version": SPEC.version}})

    async with stand_in_server() as (server, surface):
        installation: Installation = server.installation
        server.objects[DEPLOYMENTS] = [deployment(SPEC, installation)]
        server.objects[PODS] = [pod(SPEC, installation, name=each) for each in names]
        place = installation.namespace(SHOP.environment, SHOP.tenant)
        for each in names:
            server.answers[f"{PODS.path(place)}/{each}:8080/proxy/version"] = answer

        proofs = await surface.prove(SHOP)

    assert isinstance(proofs, Present), proofs
    assert [each.instance for each in proofs.value] == names
    assert {each.release for each in proofs.value} == {SPEC.version}
