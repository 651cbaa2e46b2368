"""A filter or a parameter that no environment can have is refused, not taken for none."""

from collections.abc import Mapping

import pytest

from shared.kernel.errors import Invalid
from shared.web.request import Request
from tests.kit.releases import provisioned
from tests.kit.service import bench
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


def _asked(query: Mapping[str, str]) -> Request[None]:
    return Request(None, bench("environments").ctx(), query=query)


@pytest.mark.parametrize("retain", ["", ",", "files, files"])
def test_a_list_of_data_to_retain_names_something_and_nothing_twice(retain: str) -> None:
    async def main() -> str:
        with pytest.raises(Invalid) as refused:
            _asked({"retain": retain}).names("retain", "data resources")
        return refused.value.message

    expected = "expected names of data resources, separated by commas, each once"
    assert expected in run_virtual(main())


def test_a_list_of_data_to_retain_may_have_spaces_and_a_comma_at_its_end() -> None:
    async def main() -> None:
        names = _asked({"retain": "files, mail,"}).names("retain", "data resources")
        assert names == ["files", "mail"]

    run_virtual(main())


@pytest.mark.parametrize("retain", ["", "files,files", "Files"])
def test_data_to_retain_that_is_not_named_well_is_400(retain: str) -> None:
    assert run_virtual(_status("DELETE", f"/{{}}?retain={retain}")) == 400
