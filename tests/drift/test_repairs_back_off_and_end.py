"""A repair without effect is tried again ever later, and one that is undone is given up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from shared.contracts.drift import RemediationPolicy
from tests.drift.compared import OWN_WORK_S, Drift, released_and_settled, virtual

FAST, SLOW = {"MODE": "fast"}, {"MODE": "slow"}


async def automatic() -> Drift:
    made = await released_and_settled(environ=FAST, policy=RemediationPolicy.AUTO)
    made.tamper(environ=SLOW)
    await made.scan(300)
    return made


@virtual
async def test_a_policy_of_auto_repairs_without_being_asked() -> None:
    made = await automatic()

    assert (await made.only())["status"] == "Remediating"
    assert len(made.told("RemediateDrift")) == 1


@virtual
async def test_one_command_repairs_all_that_differs_in_a_service() -> None:
    made = await released_and_settled(environ=FAST, policy=RemediationPolicy.AUTO)
    made.tamper(environ={f"V{number}": "1" for number in range(20)})

    await made.scan(300)

    assert len(made.told("RemediateDrift")) == 1
    assert {each["status"] for each in await made.findings()} == {"Remediating"}


async def adopted(number: int, **differs: str) -> Drift:
    """Return a service whose *number* of instances is adopted, and whose environ *differs*."""
    made = await released_and_settled(environ=FAST)
    made.tamper(replicas=number)
    await made.scan(300)
    await made.scan(OWN_WORK_S)
    await made.decide(await made.only(), "adopt")
    made.tamper(replicas=1, environ={**FAST, **differs})
    await made.scan(300)
    await made.scan(OWN_WORK_S)
    return made


async def to_repair(made: Drift) -> Sequence[Mapping[str, Any]]:
    """Return the findings that may be repaired, that of the number last."""
    found = [each for each in await made.findings() if each["status"] == "Open"]
    return sorted(found, key=lambda each: each["plane"] == "replicas")


@pytest.mark.parametrize("number", [3, 0], ids=["some", "none"])
@virtual
async def test_a_repair_of_the_number_says_how_many_somebody_adopted(number: int) -> None:
    made = await adopted(number)
    (finding,) = await to_repair(made)
    await made.decide(finding, "remediate")

    (command,) = made.told("RemediateDrift")
    assert command["replicas"] == number
    assert finding["desired"] == str(number)


@virtual
async def test_a_repair_before_that_of_the_number_says_it_too_as_it_answers_for_it() -> None:
    made = await adopted(3, EXTRA="1")
    first, of_the_number = await to_repair(made)
    await made.decide(first, "remediate")
    await made.decide(of_the_number, "remediate")

    assert (first["plane"], of_the_number["plane"]) == ("workload", "replicas")
    assert [each["replicas"] for each in made.told("RemediateDrift")] == [3, 3]


@virtual
async def test_one_command_for_all_says_the_number_of_whatever_page_of_findings() -> None:
    made = await adopted(3, **{f"V{number}": "1" for number in range(20)})
    made.app = replace(made.app, remediation=RemediationPolicy.AUTO)
    await made.scan(300)

    (command,) = made.told("RemediateDrift")
    assert command["replicas"] == 3


@virtual
async def test_a_repair_of_a_number_that_nobody_adopted_leaves_it_to_what_is_recorded() -> None:
    made = await released_and_settled(environ=FAST)
    made.tamper(replicas=3)
    await made.scan(300)
    await made.scan(OWN_WORK_S)
    await made.decide(await made.only(), "remediate")

    (command,) = made.told("RemediateDrift")
    assert command["replicas"] is None


async def two_to_be_repaired() -> tuple[Drift, Mapping[str, Any], Mapping[str, Any]]:
    """Return two findings of a service that the next scan would repair."""
    made = await released_and_settled(environ=FAST)
    made.tamper(environ={**FAST, "A": "1", "B": "1"})
    await made.scan(300)
    made.app = replace(made.app, remediation=RemediationPolicy.AUTO)
    first, second = sorted(await made.findings(), key=lambda each: str(each["findingId"]))
    return made, first, second


@virtual
async def test_a_repair_is_asked_for_where_the_first_finding_was_acknowledged_meanwhile() -> None:
    made, first, second = await two_to_be_repaired()

    await made.scan_while(lambda: made.decide(first, "acknowledge"))

    statuses = sorted(each["status"] for each in await made.findings())
    assert statuses == ["Acknowledged", "Remediating"]
    (command,) = made.told("RemediateDrift")
    assert command["findingId"] == second["findingId"]


@pytest.mark.parametrize("asked", [0, 1])
@virtual
async def test_one_command_is_sent_where_somebody_asked_for_the_repair_meanwhile(
    asked: int,
) -> None:
    made, *both = await two_to_be_repaired()

    await made.scan_while(lambda: made.decide(both[asked], "remediate"))

    assert {each["status"] for each in await made.findings()} == {"Remediating"}
    (command,) = made.told("RemediateDrift")
    assert command["findingId"] == both[asked]["findingId"]


@virtual
async def test_nothing_is_repaired_beside_what_was_suppressed_meanwhile() -> None:
    made, first, _ = await two_to_be_repaired()

    await made.scan_while(
        lambda: made.decide(first, "suppress", {"length": "P1D", "reason": "wait"})
    )

    assert sorted(each["status"] for each in await made.findings()) == ["Open", "Suppressed"]
    assert made.told("RemediateDrift") == []


@virtual
async def test_five_repairs_without_effect_are_given_up_with_growing_pauses() -> None:
    made = await automatic()
    began = [made.app.service.clock.now()]
    while (await made.only())["status"] != "Escalated":
        before = len(made.told("RemediateDrift"))
        await made.scan(60)
        if len(made.told("RemediateDrift")) > before:
            began.append(made.app.service.clock.now())

    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert len(began) == 5
    assert pauses == sorted(pauses)
    assert pauses[-1] > 4 * pauses[0]


@virtual
async def test_a_repair_that_is_undone_three_times_in_a_day_is_given_up() -> None:
    made = await automatic()
    for _ in range(3):
        assert (await made.only())["status"] == "Remediating"
        made.tamper(environ=FAST)
        await made.scan(300)
        assert (await made.only())["status"] == "Resolved"
        made.tamper(environ=SLOW)
        await made.scan(300)

    assert (await made.only())["status"] == "Escalated"
    assert len(made.told("RemediateDrift")) == 3


@virtual
async def test_repairs_that_are_undone_on_other_days_are_no_loop() -> None:
    made = await automatic()
    for _ in range(4):
        made.tamper(environ=FAST)
        await made.scan(300)
        made.tamper(environ=SLOW)
        await made.scan(25 * 3600)

    assert (await made.only())["status"] == "Remediating"


@virtual
async def test_a_person_may_repair_what_was_given_up() -> None:
    made = await automatic()
    while (await made.only())["status"] != "Escalated":
        await made.scan(600)

    answered = await made.decide(await made.only(), "remediate")

    assert answered["status"] == "Remediating"
