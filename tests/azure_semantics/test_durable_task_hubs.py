"""Task hub names, and two apps with the same one.

"If multiple function apps share a storage account, each function app must be configured with a
separate task hub name"; else they compete for each other's messages.
https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-task-hubs
https://github.com/Azure/azure-functions-durable-extension/issues/407
"""

from collections.abc import Generator
from typing import Any

import pytest

from local_host.durable import records
from local_host.durable.settings import HubNameRefused, hub_name
from local_host.model import App
from tests.kit.hosting import hosting, refusals
from tests.kit.task_hub import durable_app, task_hub
from tests.kit.virtual_time import run_virtual

Steps = Generator[Any, Any, Any]


def app_with(name: str) -> Any:
    app = durable_app()

    @app.function_name(f"activity_{name}")
    @app.activity_trigger(input_name="x", activity=f"activity_{name}")
    def act(x: Any) -> Any:
        return name

    def orchestrate(context: Any) -> Steps:
        return (yield context.call_activity(f"activity_{name}"))

    orchestrate.__name__ = f"orchestrator_{name}"
    app.orchestration_trigger(context_name="context")(orchestrate)
    return app


def test_apps_with_one_hub_name_take_each_other_s_instances_and_fail_them() -> None:
    async def main() -> list[str]:
        async with task_hub(app_with("a"), app_with("b")) as hub:
            for number in range(12):
                await hub.start("orchestrator_a", None, f"i{number}")
            await hub.pass_time()
            return [hub.instance(f"i{number}").status for number in range(12)]

    statuses = run_virtual(main())
    assert records.FAILED in statuses
    assert len(set(statuses)) == 2


def test_apps_with_hub_names_of_their_own_do_not_meet() -> None:
    async def main() -> tuple[dict[str, str], int]:
        apps = [
            App(
                name,
                register=app_with(name),
                host_json={
                    "version": "2.0",
                    "extensions": {"durableTask": {"hubName": f"Hub{name}"}},
                },
            )
            for name in ("a", "b")
        ]
        async with hosting(*apps) as host:
            return refusals(host), len(host.functions)

    assert run_virtual(main()) == ({}, 4)


@pytest.mark.parametrize("name", ["ab", "1abc", "with-dash", "x" * 46, "%UNSET%"])
def test_a_hub_name_that_azure_refuses_is_refused(name: str) -> None:
    with pytest.raises(HubNameRefused, match="3 to 45 letters and digits"):
        hub_name(name, {})


@pytest.mark.parametrize(
    ("configured", "values", "expected"),
    [
        pytest.param("", {}, "TestHubName", id="default"),
        pytest.param("", {"WEBSITE_SITE_NAME": "my-site"}, "mysite", id="from-the-site"),
        pytest.param("%HUB%", {"HUB": "Mine"}, "Mine", id="from-a-setting"),
    ],
)
def test_where_a_hub_name_comes_from(
    configured: str, values: dict[str, str], expected: str
) -> None:
    assert hub_name(configured, values) == expected


def test_an_app_with_a_wrong_hub_name_runs_none_of_its_durable_functions() -> None:
    async def main() -> dict[str, str]:
        host_json = {"version": "2.0", "extensions": {"durableTask": {"hubName": "no-good"}}}
        async with hosting(App("a", register=app_with("a"), host_json=host_json)) as host:
            return refusals(host)

    assert set(run_virtual(main())) == {"activity_a", "orchestrator_a"}
