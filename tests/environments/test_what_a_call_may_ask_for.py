"""A filter or a parameter that no environment can have is refused, not taken for none."""

import pytest

from tests.kit.releases import provisioned
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

ENVIRONMENTS = "/v1/runtime/environments"


async def _status(method: str, path: str) -> int:
    world = World()
    await world.boot()
    try:
        environment = await provisioned(world)
        status, _ = await world.call(method, f"{ENVIRONMENTS}{path.format(environment)}")
        return int(status)
    finally:
        await world.stop()


@pytest.mark.parametrize("query", ["status=Foo", "status=", "status=provisioned"])
def test_a_status_that_no_environment_can_have_is_400(query: str) -> None:
    assert run_virtual(_status("GET", f"?{query}")) == 400


@pytest.mark.parametrize("retain", ["", ",", "files,,", "files,%20files"])
def test_a_list_of_data_to_retain_has_no_empty_names(retain: str) -> None:
    assert run_virtual(_status("DELETE", f"/{{}}?retain={retain}")) == 400
