"""Live properties are in the words of the spec, whatever the surface keeps them in."""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.properties import (
    Difference,
    Plane,
    Properties,
    differences,
    revision_properties,
)
from shared.surfaces.scaling import Measure, ScalingRules, UtilizationRule
from shared.surfaces.spec import CommandProbe, HttpProbe, ReleaseQuestion, Resources, TcpProbe
from tests.surfaces.harness import SHOP, TEMPLATE, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]


async def properties(harness: SurfaceHarness) -> Mapping[int, Properties]:
    reading = await harness.surface.properties(SHOP)
    assert isinstance(reading, Present), reading
    return reading.value


def test_what_nobody_touched_is_as_it_was_applied(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        one = harness.spec(1, replicas=2, resources=Resources(memory_mb=128))
        two = harness.spec(2, unit={"configurationHash": "beef", "secret.database": "v3"})
        await harness.serve(one, two, weights={1: 90, 2: 10})

        live = await properties(harness)

        assert differences(revision_properties(one, weight=90), live[1]) == ()
        assert differences(revision_properties(two, weight=10), live[2]) == ()

    run_scenario(scenario)


@pytest.mark.sample
def test_properties_follow_every_write(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})

        await harness.surface.scale(SHOP, 1, 2, fence(1))
        await harness.surface.set_weights(SHOP, {}, fence(1))

        found = differences(
            revision_properties(harness.spec(1), weight=100), (await properties(harness))[1]
        )
        assert found == (
            Difference(Plane.REPLICAS, "replicas", "1", "2"),
            Difference(Plane.ROUTING, "weight", "100", "0"),
        )

    run_scenario(scenario)


def test_a_component_that_is_not_there_has_none(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        assert isinstance(await harness.surface.properties(SHOP), Absent)

    run_scenario(scenario)


def test_properties_that_cannot_be_read_are_unknown(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        await harness.serve(harness.spec(1), weights={1: 100})

        harness.break_reads()

        assert isinstance(await harness.surface.properties(SHOP), Unknown)

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("changes", "plane", "path"),
    [
        ({"version": "9"}, Plane.WORKLOAD, "version"),
        ({"artifact": "sha256:" + "b" * 64}, Plane.WORKLOAD, "artifact"),
        ({"image": "registry.test/shop"}, Plane.WORKLOAD, "artifact"),
        ({"command": ("other",)}, Plane.WORKLOAD, "command"),
        ({"environ": {"NEW": "1"}}, Plane.WORKLOAD, "environ/NEW"),
        ({"port": 9090}, Plane.WORKLOAD, "port"),
        ({"readiness": HttpProbe("/other")}, Plane.WORKLOAD, "probes/readiness"),
        ({"liveness": TcpProbe()}, Plane.WORKLOAD, "probes/liveness"),
        ({"startup": CommandProbe(("up",))}, Plane.WORKLOAD, "probes/startup"),
        ({"resources": Resources(memory_mb=64)}, Plane.WORKLOAD, "resources/memoryMib"),
        ({"resources": Resources(cpu=0.5)}, Plane.WORKLOAD, "resources/cpu"),
        ({"data": ("orders",)}, Plane.WORKLOAD, "data"),
        ({"requires": ("images",)}, Plane.WORKLOAD, "requires"),
        ({"release": ReleaseQuestion("/x", "version")}, Plane.WORKLOAD, "release"),
        ({"drain_s": 7.0}, Plane.WORKLOAD, "drainS"),
        ({"grace_s": 7.0}, Plane.WORKLOAD, "graceS"),
        ({"replicas": 7}, Plane.REPLICAS, "replicas"),
        ({"path_prefix": "/other"}, Plane.ROUTING, "pathPrefix"),
        ({"unit": {"configurationHash": "beef"}}, Plane.CONFIGURATION, "hash"),
        ({"unit": {"secret.database": "v9"}}, Plane.SECRETS, "database"),
    ],
)
def test_every_part_of_a_spec_is_a_property(
    changes: dict[str, Any], plane: Plane, path: str
) -> None:
    before = revision_properties(TEMPLATE, weight=100)
    after = revision_properties(replace(TEMPLATE, **changes), weight=100)

    assert (plane, path) in {(each.plane, each.path) for each in differences(before, after)}


def test_a_number_that_the_surface_owns_is_no_property() -> None:
    rules = ScalingRules(2, 5, (UtilizationRule(Measure.CPU, 70),))

    two = revision_properties(replace(TEMPLATE, replicas=2), weight=0, scaling=rules)
    five = revision_properties(replace(TEMPLATE, replicas=5), weight=0, scaling=rules)

    assert differences(two, five) == ()
    assert two[Plane.REPLICAS] == {
        "owner": "Surface", "minimum": "2", "maximum": "5", "rules": "cpu 70 %",
    }  # fmt: skip
