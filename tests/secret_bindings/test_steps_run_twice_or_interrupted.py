"""Every step may run twice, and every step may be cut off, without a second version."""

from typing import Any

import pytest

from function_apps.secret_bindings.activities import ACTIVITIES
from function_apps.secret_bindings.orchestrations import ORCHESTRATIONS
from function_apps.secret_bindings.repository import BIND
from shared.durable.orchestration import durable_name
from tests.environments.driven import stop_at
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, RANDOM, secret_bindings


def test_every_step_of_a_binding_run_twice_makes_one_version_and_one_event() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.ask(generator=RANDOM)
        outcomes = await on.run_started(twice=True)
        return outcomes, await on.vault.versions(NAME), on.told("SecretBound")

    outcomes, versions, events = run_virtual(main())

    assert (outcomes, len(versions), len(events)) == (["Bound"], 1, 1)


@pytest.mark.parametrize("activity", ["find_version", "complete_binding"])
def test_a_binding_that_was_cut_off_before_a_step_ends_as_if_it_had_not_been(activity: str) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        await on.ask(generator=RANDOM)
        started = on.bench.starts.started.pop()
        with pytest.raises(KeyboardInterrupt):
            await on.run(*started, interfere=stop_at(activity))
        outcome = await on.run(*started)
        return outcome, await on.vault.versions(NAME)

    outcome, versions = run_virtual(main())

    assert (outcome, len(versions)) == ("Bound", 1)


def test_each_kind_of_work_names_an_orchestration_that_exists() -> None:
    assert {BIND.orchestration} == {durable_name(each) for each in ORCHESTRATIONS}


def test_every_activity_is_registered_under_a_name_of_its_own() -> None:
    assert len({activity.__name__ for activity in ACTIVITIES}) == len(ACTIVITIES)
