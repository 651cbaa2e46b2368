"""Of many differences at once the first are told, and how many more there are."""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import pytest

from function_apps.drift.errors import NotRepairable
from function_apps.drift.model.environment_scan import AdoptedValue
from function_apps.drift.model.finding import Finding
from function_apps.drift.repository import SCANS, active_findings
from shared.contracts.drift import FindingStatus
from shared.messaging.unit_of_work import Decision, Json, View
from shared.persistence.store import partition_of
from tests.drift.compared import virtual
from tests.drift.followed import Followed, followed, layers, published
from tests.drift.isolated import believed, coverage
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT

TOLD: Final = 200
KEYS: Final = {f"key-{number:04}": number for number in range(1000)}
MODULES: Final = [f"module-{number:02}" for number in range(14)]


async def with_keys(number: int) -> Followed:
    """Return drift that has believed that *number* keys are in force, where Git states none."""
    made = await followed({"limits.json": layers({"values": {}})})
    await publish(made, 1, [*KEYS][:number])
    return made


async def publish(made: Followed, version: int, keys: Collection[str]) -> None:
    await made.drift.hear(published("environment", version, {each: KEYS[each] for each in keys}))
    await believed(made.drift)


async def open_findings(made: Followed) -> list[Finding]:
    partition = partition_of(TENANT, ENVIRONMENT)
    found = await active_findings(partition, made.drift.app)
    return [each for each in found if each.status is FindingStatus.OPEN]


@virtual
async def test_differences_beyond_those_told_are_counted_in_the_coverage() -> None:
    made = await with_keys(TOLD + 3)

    assert len(await open_findings(made)) == TOLD
    seen = await coverage(made.drift, "configuration")
    assert (seen["complete"], seen["reason"]["code"]) == (False, "TooManyDifferences")
    assert seen["reason"]["message"].startswith("3 more")


@virtual
async def test_what_is_acknowledged_takes_no_place_of_another_difference() -> None:
    made = await with_keys(TOLD + 3)
    for finding in (await open_findings(made))[:3]:
        await made.drift.decide({"findingId": finding.finding_id}, "acknowledge")

    await believed(made.drift)

    assert len(await open_findings(made)) == TOLD
    assert (await coverage(made.drift, "configuration"))["complete"]


@virtual
async def test_a_difference_that_is_told_stays_beside_new_ones_before_it() -> None:
    made = await with_keys(0)
    await publish(made, 2, [*KEYS][-1:])
    await publish(made, 3, [*KEYS])

    paths = [each.path for each in await open_findings(made)]
    assert len(paths) == TOLD
    assert f"git/values/environment/{[*KEYS][-1]}" in paths


@virtual
async def test_however_many_keys_differ_the_environment_is_scanned() -> None:
    empty = [{"module": module, "values": {}} for module in MODULES]
    made = await followed({"modules.json": layers(*empty)})
    await made.drift.hear(*(published("module", 1, KEYS, module) for module in MODULES))

    await believed(made.drift)

    assert len(await open_findings(made)) == TOLD
    seen = await coverage(made.drift, "configuration")
    assert seen["reason"]["message"].startswith(f"{len(MODULES) * len(KEYS) - TOLD} more")


@virtual
async def test_a_value_beyond_those_that_may_be_adopted_is_refused() -> None:
    made = await with_keys(1)
    (finding,) = await open_findings(made)

    def adopt_others(view: View) -> Decision[Json]:
        others = {f"git/values/tenant/{key}": AdoptedValue(None, "1") for key in [*KEYS][:200]}
        scan = replace(view.get(SCANS, ENVIRONMENT), adopted=others)
        return Decision({}, writes=[SCANS.put(scan)])

    work = made.drift.app.service.work
    await work.change(made.drift.ctx.without_marker(), SCANS, ENVIRONMENT, adopt_others)

    with pytest.raises(NotRepairable, match="200 values"):
        await made.drift.decide({"findingId": finding.finding_id}, "adopt")
