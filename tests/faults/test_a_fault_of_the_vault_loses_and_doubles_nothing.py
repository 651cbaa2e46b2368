"""What secret_bindings asks of a vault, by Microsoft's SDK over https, with a fault at a request.

One fault changes nothing of the end. A vault that is away for longer may end the work, and then
everybody has a valid value, and the next try goes through.
"""

import os
from collections.abc import Iterator
from typing import Final

import pytest

from shared.passwords.port import PasswordResource
from tests.faults import vault_runs
from tests.faults.vault_runs import (
    CUTS,
    FAULTS,
    FORBIDDEN,
    SCENARIOS,
    THROTTLED,
    VaultRun,
    VaultRuns,
)
from tests.kit.cut_proxy import Fault
from tests.kit.told import ENVIRONMENT, WEB
from tests.kit.wire_vaults import wire_vaults
from tests.secret_bindings.bound import NAME, PASSWORD

pytestmark = [pytest.mark.once, pytest.mark.real]
TIMEOUT_S: Final = 2.0
EVERY: Final = 1 if os.environ.get("SWEEP") == "all" else 19
"""Of a long run: so many times fewer places, unless SWEEP=all; coprime to the kinds of faults."""
OF_A_SAMPLE: Final = 17
"""So many times fewer places than all; coprime to the kinds of faults, so that each is met."""
OF_THE_OUTAGES: Final = 7
"""As many times fewer of those; coprime to the faults that last."""
RESOURCE: Final = PasswordResource(ENVIRONMENT, "orders-db")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultRuns]:
    with wire_vaults(tmp_path_factory.mktemp("vaults"), timeout_s=TIMEOUT_S) as wire:
        yield VaultRuns(wire)


def wrong_ends(runs: VaultRuns, scenario: vault_runs.Scenario, *, every: int) -> dict[str, object]:
    """Return the runs that did not end as without a fault, with the differences."""
    expected, requests = runs.undisturbed(scenario)
    assert requests > 0, "nothing was asked"
    places = [(number, fault) for number in range(requests) for fault in FAULTS]
    wrong: dict[str, object] = {}
    for number, fault in places[::every]:
        try:
            found = [*expected.differences(runs.disturbed(scenario, fault, number))]
        except Exception as problem:  # noqa: BLE001  all failures are listed together
            found = [repr(problem)]
        if found:
            wrong[f"{number}: {fault}"] = found
    return wrong


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_sample_of_faults(runs: VaultRuns, scenario: vault_runs.Scenario) -> None:
    assert not wrong_ends(runs, scenario, every=OF_A_SAMPLE)


@pytest.mark.long(minutes=1)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_faults_at_many_requests(runs: VaultRuns, scenario: vault_runs.Scenario) -> None:
    assert not wrong_ends(runs, scenario, every=EVERY)


async def is_asked_to_bind(run: VaultRun) -> None:
    await run.begins()
    await run.on.ask(generator=PASSWORD)
    await run.finish()


async def binds_with_one_version(run: VaultRun) -> None:
    """Bind again: what an earlier try has made is taken."""
    await run.bound(WEB, generator=PASSWORD)
    assert [each.enabled for each in await run.versions()] == [True]
    await everybody_has_a_valid_value(run)
    assert len(run.on.passwords.logins) == 1


async def rotates_to_the_end(run: VaultRun) -> None:
    """Look at what everybody has, and rotate again: that disables every older version."""
    await everybody_has_a_valid_value(run)
    before = await run.versions()
    (event,) = run.on.told("SecretBound")[-1:]
    rotation = await run.followers.rotate(event["bindingId"])
    assert rotation["status"] == "Revoked", rotation["reason"]
    versions = await run.versions()
    assert [each.version for each in versions if each.enabled] == [rotation["toVersion"]]
    assert len(versions) == len(before) + 1
    await everybody_has_a_valid_value(run)
    assert len(run.on.passwords.logins) == 1


async def everybody_has_a_valid_value(run: VaultRun) -> None:
    for version in run.followers.versions.values():
        value = (await run.own.get(NAME, version)).value
        await run.on.passwords.test(RESOURCE, value)


OUTAGES: Final = {
    is_asked_to_bind: binds_with_one_version,
    vault_runs.a_secret_is_rotated_and_its_old_version_revoked: rotates_to_the_end,
}
LASTING: Final = (THROTTLED, FORBIDDEN, *CUTS)


def every_outage(runs: VaultRuns, scenario: vault_runs.Scenario, *, every: int) -> None:
    """Have the vault away from each request on, by each fault, until the work ends."""
    _, requests = runs.undisturbed(scenario)
    places = [(number, fault) for number in range(requests) for fault in LASTING]
    for number, fault in places[::every]:
        runs.during(scenario, _away(fault, number), OUTAGES[scenario])


def _away(fault: Fault, number: int = 0, *, for_s: float | None = None) -> vault_runs.Disturb:
    """Return what has the vault away from a request on: for good, or *for_s*."""

    def disturb(run: VaultRun) -> None:
        run.have_away(fault, number, for_s)

    return disturb


@pytest.mark.parametrize("scenario", OUTAGES)
def test_a_sample_of_outages_leaves_everybody_with_a_valid_value(
    runs: VaultRuns, scenario: vault_runs.Scenario
) -> None:
    every_outage(runs, scenario, every=OF_THE_OUTAGES)


@pytest.mark.long(minutes=1)
@pytest.mark.parametrize("scenario", OUTAGES)
def test_an_outage_from_any_request_on_leaves_everybody_with_a_valid_value(
    runs: VaultRuns, scenario: vault_runs.Scenario
) -> None:
    every_outage(runs, scenario, every=EVERY)


@pytest.mark.parametrize(
    ("fault", "for_s", "asked_max"),
    [
        pytest.param(FORBIDDEN, 420.0, 4, id="a-grant-that-arrives-after-minutes"),
        pytest.param(THROTTLED, 30.0, 5, id="throttled"),
    ],
)
def test_a_binding_waits_for_its_vault_as_long_as_the_vault_asks_for(
    runs: VaultRuns, fault: Fault, for_s: float, asked_max: int
) -> None:
    async def is_bound(run: VaultRun) -> None:
        assert run.outcomes == ["Bound"]
        assert run.met <= asked_max

    runs.during(vault_runs.a_first_version_is_made, _away(fault, for_s=for_s), is_bound)


@pytest.mark.parametrize("fault", [THROTTLED, FORBIDDEN], ids=["throttled", "forbidden"])
def test_a_version_set_by_hand_while_the_vault_is_away_is_followed_once_it_is_back(
    runs: VaultRuns, fault: Fault
) -> None:
    async def is_followed(run: VaultRun) -> None:
        assert run.outcomes == ["Bound", "Revoked"]
        (in_force,) = (each.version for each in await run.versions() if each.enabled)
        assert run.followers.versions == {WEB: in_force}

    scenario = vault_runs.a_version_set_by_hand_is_followed
    runs.during(scenario, _away(fault, for_s=100.0), is_followed)
