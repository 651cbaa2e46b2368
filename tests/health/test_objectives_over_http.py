"""An objective over HTTP: set, read with its etag, refused with the field, seen by its tenant."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.kit.releases import deploy, ended, provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

OBJECTIVE = {"sli": "availability", "objective": 0.999, "window": "P30D", "minSamples": 20}


@pytest.mark.long
def test_it_is_set_read_refused_and_seen_by_its_tenant_alone() -> None:
    async def main() -> Mapping[str, Any]:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        await ended(world, await deploy(world, environment, "1"))
        _, services = await world.call("GET", "/runtime/services")
        path = f"/runtime/services/{services['value'][0]['serviceId']}/slo"
        missing, _ = await world.call("GET", path)
        created = await world.send("PUT", path, OBJECTIVE)
        await world.clock.sleep(600)
        read = await world.call("GET", path)
        slow = {**OBJECTIVE, "sli": "latency"}
        found = {
            "before": missing,
            "set": created.status,
            "read": read,
            "of nothing": await world.call("PUT", path, slow),
            "too good": await world.call("PUT", path, {**OBJECTIVE, "objective": 1}),
            "stale": (
                await world.send(
                    "PUT", path, {**OBJECTIVE, "objective": 0.9}, headers={"If-Match": '"old"'}
                )
            ).status,
            "foreign": (await world.call("PUT", path, OBJECTIVE, tenant="globex"))[0],
            "deleted by a reader": (await world.call("DELETE", path, roles=["Runtime.Read"]))[0],
            "deleted": await world.call("DELETE", path),
            "gone": (await world.call("GET", path))[0],
            "deleted again": (await world.call("DELETE", path))[0],
            "reader": (await world.call("PUT", path, OBJECTIVE, roles=["Runtime.Read"]))[0],
        }
        await world.stop()
        return found

    found = run_virtual(main())

    status, read = found["read"]
    assert (found["before"], found["set"], status) == (404, 200, 200)
    assert {name: read[name] for name in OBJECTIVE} == OBJECTIVE
    assert [each["long"] for each in read["burn"]] == [0.0, 0.0, 0.0, 0.0]
    assert (found["foreign"], found["reader"]) == (404, 403)
    assert found["deleted by a reader"] == 403
    status, deleted = found["deleted"]
    assert (status, deleted["objective"], deleted["burn"]) == (200, 0.999, [])
    assert (found["gone"], found["deleted again"]) == (404, 404)
    for refused, field in (("of nothing", "latencyMsMax"), ("too good", "objective")):
        status, body = found[refused]
        assert status == 400
        assert field in str(body["error"]["details"])
    assert found["stale"] == 412
