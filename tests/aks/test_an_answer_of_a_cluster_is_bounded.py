"""What answers for an API server has the shape that was asked for, and an end."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Final

import httpx2
import pytest
from aiohttp import web

from shared.kernel.clock import SystemClock
from shared.surfaces.aks import answer_shapes, cluster_api, pod_places
from shared.surfaces.aks.api_errors import ApiAway, ApiRefusal
from shared.surfaces.aks.cluster_api import ClusterApi
from shared.surfaces.aks.kinds import DEPLOYMENTS, PODS
from shared.surfaces.aks.pod_places import PodPlaces
from tests.kit.api_server import StandInServer, listed, stand_in_api
from tests.kit.virtual_time import LoopClock, run_virtual

LIST: Final = DEPLOYMENTS.path()
ODD: Final = [[], None, 1, "x", {}, {"metadata": None}, {"metadata": {"name": 1}}]


@pytest.fixture
async def served() -> AsyncIterator[tuple[StandInServer, ClusterApi]]:
    async with stand_in_api() as served:
        yield served


async def all_of(api: ClusterApi) -> tuple[list[Any], str]:
    return await api.list_all(DEPLOYMENTS, {"a": "b"}, keep=lambda each: each)


@pytest.mark.parametrize(
    "answer",
    [
        *ODD,
        listed(None),
        listed({}),
        *[listed([each]) for each in ODD],
        listed([{"metadata": {"name": "x", "labels": {"a": 1}}}]),
        listed([], resourceVersion=None),
        {"items": []},
    ],
)
async def test_a_list_of_another_shape_is_no_answer(
    served: tuple[StandInServer, ClusterApi], answer: object
) -> None:
    server, api = served

    async def answered(_: web.Request) -> web.Response:
        return web.json_response(answer)

    server.answers[LIST] = answered

    with pytest.raises(ApiAway, match="cannot be read"):
        await all_of(api)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"metadata":' * 100_000, "<html>", ""])
async def test_what_is_no_json_is_no_answer(
    served: tuple[StandInServer, ClusterApi], text: str
) -> None:
    server, api = served

    async def answered(_: web.Request) -> web.Response:
        return web.Response(text=text)

    server.answers[LIST] = answered

    with pytest.raises(ApiAway, match="cannot be read"):
        await all_of(api)


async def test_the_groups_of_a_server_that_starts_are_no_answer(
    served: tuple[StandInServer, ClusterApi],
) -> None:
    server, api = served
    names = ["apiregistration.k8s.io"]

    async def answered(_: web.Request) -> web.Response:
        return web.json_response({"groups": [{"name": name} for name in names]})

    server.answers["/apis"] = answered

    with pytest.raises(ApiAway, match="does not list all groups"):
        await api.groups()
    names += ["apps", "keda.sh"]
    assert await api.groups() == {"apiregistration.k8s.io", "apps", "keda.sh"}


async def test_a_list_that_goes_round_has_an_end(served: tuple[StandInServer, ClusterApi]) -> None:
    server, api = served

    async def same(_: web.Request) -> web.Response:
        return web.json_response(listed([], **{"continue": "next"}))

    server.answers[LIST] = same

    with pytest.raises(ApiAway, match="same page"):
        await all_of(api)
    assert len(server.asked) == 2


async def test_a_list_has_a_last_page(
    served: tuple[StandInServer, ClusterApi], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, api = served
    numbers = count()
    monkeypatch.setattr(cluster_api, "PAGES_MAX", 5)

    async def another(_: web.Request) -> web.Response:
        return web.json_response(listed([], **{"continue": f"page {next(numbers)}"}))

    server.answers[LIST] = another

    with pytest.raises(ApiAway, match="more than 5 pages"):
        await all_of(api)
    assert len(server.asked) == 5


@pytest.mark.parametrize("details", [[1], 3, {"causes": 3}, {"causes": [1, None]}, "x", None])
async def test_a_refusal_with_odd_details_is_a_refusal(
    served: tuple[StandInServer, ClusterApi], details: object
) -> None:
    server, api = served

    async def refused(_: web.Request) -> web.Response:
        status = {"kind": "Status", "message": "no", "details": details}
        return web.json_response(status, status=403)

    server.answers[LIST] = refused

    with pytest.raises(ApiRefusal) as refusal:
        await all_of(api)
    assert (refusal.value.status, refusal.value.causes) == (403, ())


async def test_who_is_not_taken_any_more_is_told_what_to_renew(
    served: tuple[StandInServer, ClusterApi],
) -> None:
    server, api = served

    async def unknown(_: web.Request) -> web.Response:
        status = {"kind": "Status", "message": "Unauthorized", "reason": "Unauthorized"}
        return web.json_response(status, status=401)

    server.answers[LIST] = unknown

    with pytest.raises(ApiAway, match="may have ended; renew it where the kubeconfig") as away:
        await all_of(api)
    assert away.value.message.endswith("see that the cluster takes tokens of our identity")


@pytest.mark.parametrize("wait", ["x", 10**400, -1, [], None])
async def test_an_odd_time_to_wait_is_a_second(
    served: tuple[StandInServer, ClusterApi], wait: object
) -> None:
    server, api = served

    async def busy(_: web.Request) -> web.Response:
        status = {"kind": "Status", "message": "busy", "details": {"retryAfterSeconds": wait}}
        return web.json_response(status, status=429)

    server.answers[LIST] = busy

    with pytest.raises(ApiAway) as away:
        await all_of(api)
    assert away.value.retry_after_s == 1.0


@pytest.mark.parametrize(
    "change", [*ODD, {"type": 1, "object": {}}, {"type": "ADDED", "object": {"metadata": {}}}]
)
def test_a_change_of_another_shape_is_none(change: object) -> None:
    with pytest.raises(answer_shapes.OddAnswer):
        answer_shapes.change_of(change)


async def test_an_answer_that_drips_has_an_end(served: tuple[StandInServer, ClusterApi]) -> None:
    server, api = served
    path = PODS.path("place", "pod-1:8080", "/proxy/version")

    async def dripping(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await SystemClock().sleep(0.01)

    server.answers[path] = dripping

    with pytest.raises(ApiAway, match="no whole answer within"):
        await api.text(path, {}, namespace="place", at_most=1 << 20, timeout_s=0.2)


def test_pods_of_one_tenant_take_few_places() -> None:
    async def main() -> None:
        places = PodPlaces()
        held = [asyncio.create_task(holding(places, "acme")) for _ in range(100)]
        await LoopClock().sleep(1)

        async with asyncio.timeout(1), places.place("rival"):
            pass

        with pytest.raises(TimeoutError):
            async with places.place("acme"):
                pass
        for each in held:
            each.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        async with asyncio.timeout(1), places.place("acme"):
            pass

    run_virtual(main())


def test_pods_of_all_tenants_leave_connections() -> None:
    async def main() -> int:
        places = PodPlaces()
        began: list[str] = []
        held = [
            asyncio.create_task(holding(places, f"tenant-{number % 30}", began))
            for number in range(300)
        ]
        await LoopClock().sleep(1)
        for each in held:
            each.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        return len(began)

    assert run_virtual(main()) == pod_places.ALL_AT_ONCE


async def holding(places: PodPlaces, tenant: str, began: list[str] | None = None) -> None:
    async with places.place(tenant):
        if began is not None:
            began.append(tenant)
        await asyncio.Event().wait()


async def test_another_server_at_its_address_is_told_as_one() -> None:
    def refuse(_: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed")

    connection = httpx2.AsyncClient(
        base_url="https://10.243.240.1:6443", transport=httpx2.MockTransport(refuse)
    )

    async def connect() -> Any:
        return type("Client", (), {"_client": type("Inner", (), {"_client": connection})})

    with pytest.raises(ApiAway, match=r"who answers at 10\.243\.240\.1 is not this cluster"):
        await ClusterApi(connect).groups()
