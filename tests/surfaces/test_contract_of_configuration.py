"""An instance has the configuration of its release, as variables and as files, and proves it."""

import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from shared.kernel.errors import Invalid, TooLarge
from shared.kernel.observation import Present
from shared.surfaces.capabilities import Feature
from shared.surfaces.configuration import BYTES_MAX, Configuration, configuration
from shared.surfaces.errors import RevisionDiffers
from shared.surfaces.observed_state import LiveProof
from shared.surfaces.properties import Plane, differences, revision_properties
from shared.surfaces.spec import RevisionSpec
from tests.surfaces.harness import SHOP, TEMPLATE, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
JSON = json.dumps({"colour": "grün", "price": "$PORT"}, ensure_ascii=False)
DOTENV = "COLOUR='grün'\n"
VARIABLES = {"LOG_LEVEL": "debug", "GREETING": "$HOME $(PORT) ${LOG_LEVEL}"}
FILES = {"app.json": JSON, ".env": DOTENV}
given = pytest.mark.shows(Feature.CONFIGURATION_VARIABLES, Feature.CONFIGURATION_FILES)


def configured(harness: SurfaceHarness, revision: int = 1, hash_: str = ONE) -> RevisionSpec:
    asked = configuration(hash_, variables={**VARIABLES, "NUMBER": str(revision)}, files=FILES)
    unit = {"configurationHash": hash_}
    return harness.spec(revision, configuration=asked, unit=unit)


async def proofs(harness: SurfaceHarness) -> dict[int, LiveProof]:
    reading = await harness.surface.prove(SHOP)
    assert isinstance(reading, Present), reading
    return {each.revision: each for each in reading.value}


@given
def test_each_release_proves_the_configuration_that_it_was_started_with(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        one, two = configured(harness), configured(harness, 2, TWO)
        await harness.serve(one, two, weights={1: 90, 2: 10})

        found = await proofs(harness)
        live = await harness.surface.properties(SHOP)

        assert [found[each].departs for each in (1, 2)] == [(), ()]
        assert found[1].unit["configurationHash"] == ONE
        assert found[2].unit["configurationHash"] == TWO
        assert isinstance(live, Present)
        assert differences(revision_properties(one, weight=90), live.value[1]) == ()
        between = differences(revision_properties(one, weight=90), live.value[2])
        changed = [each.path for each in between if each.plane is Plane.CONFIGURATION]
        assert changed == ["hash", "variables/NUMBER"]

    run_scenario(scenario)


@pytest.mark.sample
@given
def test_a_revision_has_one_configuration(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        spec = configured(harness)
        await harness.surface.apply(spec, fence(1))
        other = configuration(ONE, variables={**VARIABLES, "NUMBER": "7"}, files=FILES)

        with pytest.raises(RevisionDiffers):
            await harness.surface.apply(replace(spec, configuration=other), fence(1))
        with pytest.raises(RevisionDiffers):
            await harness.surface.apply(replace(spec, configuration=None), fence(1))
        await harness.surface.apply(spec, fence(1))

    run_scenario(scenario)


@pytest.mark.shows(on="local-process")
@pytest.mark.shows(on="aks")
def test_an_instance_reads_its_configuration_and_cannot_change_it(
    run_scenario: RunScenario,
) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        spec = configured(harness)
        at = {"VERSION": "1.0", "AT": "$RUNTIME_CONFIGURATION/app.json"}
        await harness.serve(replace(spec, environ=at))
        live = await harness.until(lambda live: live.revisions[0].ready == 1)
        assert harness.ask is not None

        found = await harness.ask(live.revisions[0].instances[0], "/inside")

        environ = found["environ"]
        assert {name: environ[name] for name in VARIABLES} == VARIABLES
        assert environ["AT"] == f"{environ['RUNTIME_CONFIGURATION']}/app.json"
        assert found["configuration"]["files"] == FILES
        assert found["configuration"]["changed"] == []
        assert (await proofs(harness))[1].departs == ()

    run_scenario(scenario)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"variables": {"1UP": ""}}, "name of letters", id="no-variable"),
        pytest.param({"variables": {"PORT": "1"}}, "platform's own", id="a-variable-of-ours"),
        pytest.param({"variables": {"A": "\0"}}, "has a NUL", id="a-nul"),
        pytest.param({"variables": {"A": "\udc80"}}, "whole characters", id="half-a-character"),
        pytest.param({"files": {"../app.json": ""}}, "app.json or .env", id="a-path"),
        pytest.param({"files": {"..data": ""}}, "app.json or .env", id="kubernetes'-own"),
        pytest.param({"files": {".": ""}}, "app.json or .env", id="the-folder"),
        pytest.param({"files": {"app": ""}}, "with a dot", id="the-name-of-a-variable"),
    ],
)
def test_what_no_instance_can_be_given_cannot_be_said(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        configuration(ONE, **changes)


def test_a_configuration_is_bounded_before_anything_is_asked_for() -> None:
    configuration(ONE, files={"a.json": "ü" * (BYTES_MAX // 2)})

    with pytest.raises(TooLarge, match=r"at most 1048576 bytes, .* have 1048577"):
        configuration(ONE, variables={"A": "a"}, files={"a.json": "ü" * (BYTES_MAX // 2)})


def test_a_variable_is_named_once_and_the_hash_is_that_of_the_unit() -> None:
    asked = configuration("c0ffee", variables={"MODE": "a"})

    with pytest.raises(Invalid, match="MODE"):
        replace(TEMPLATE, configuration=asked, environ={"MODE": "b"})
    with pytest.raises(Invalid, match="that of its unit, c0ffee"):
        replace(TEMPLATE, configuration=replace(asked, hash="beef"))


def test_a_configuration_shows_no_text_where_it_is_shown() -> None:
    asked = configuration("c0ffee", variables={"MODE": "canary"}, files={"a.json": "canary"})
    spec = replace(TEMPLATE, configuration=asked)

    assert "canary" not in repr(spec)
    assert "canary" not in str(revision_properties(spec, weight=100))
    assert asked == Configuration("c0ffee", asked.variables, asked.files)
