"""No service can move, or lose, the place that another has reached in its change feed."""

import azure.durable_functions as df
import pytest

from shared.contracts.values import Service
from shared.triggers.cosmos_triggers import bind_change_feed
from tests.kit.service import bench


@pytest.mark.parametrize("service", Service)
async def test_the_leases_of_a_service_are_in_a_container_of_its_own(service: Service) -> None:
    blueprint = df.Blueprint()
    bind_change_feed(blueprint, bench(service.value).service)

    app = df.DFApp()
    app.register_functions(blueprint)

    (trigger,) = [
        binding
        for function in app.get_functions()
        for binding in function.get_bindings_dict()["bindings"]
        if binding["type"] == "cosmosDBTrigger"
    ]
    assert trigger["containerName"] == service.value
    assert trigger["leaseContainerName"] == f"{service.value}-leases"
    assert "leaseContainerPrefix" not in trigger
