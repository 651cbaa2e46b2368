"""Whatever modules do and whenever they do it: nobody has a version that is disabled."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from function_apps.secret_bindings.model.rotation import TRANSITIONS, State
from tests.kit.virtual_time import run_virtual
from tests.secret_bindings.bound import NAME, RANDOM, SecretBindings, secret_bindings
from tests.secret_bindings.followers import Followers, consumers

VERDICTS = st.sampled_from(["follow", "follow", "follow", "refuse", "ignore"])
INTRUSIONS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["old", "new", "retire", "revoke"])), max_size=4
)


async def _intrude(
    on: SecretBindings, followers: Followers, rotation_id: str, what: tuple[int, str]
) -> None:
    """Have something happen to a module beside the rotation."""
    index, kind = what
    rotation = await on.rotation(rotation_id)
    if not rotation["consumers"]:
        return
    consumer = rotation["consumers"][index % len(rotation["consumers"])]
    module = consumer["moduleId"]
    versions = {"old": rotation["fromVersion"], "new": rotation["toVersion"]}
    enabled = {each.version for each in await on.vault.versions(NAME) if each.enabled}
    if kind == "retire":
        await followers.retire(module)
    elif kind == "revoke":
        await on.revoke(consumer["bindingId"])
        await followers.retire(module)
    elif versions[kind] in enabled:  # a release never restores a version that is disabled
        await followers.release(module, versions[kind])


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(
    count=st.integers(1, 5),
    verdicts=st.lists(VERDICTS, min_size=5, max_size=15),
    intrusions=INTRUSIONS,
    delays=st.lists(st.floats(0, 12), min_size=4, max_size=4),
)
def test_a_rotation_ends_and_leaves_everybody_with_an_enabled_version(
    count: int,
    verdicts: list[str],
    intrusions: list[tuple[int, str]],
    delays: list[float],
) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        modules = [f"module-m{number}" for number in range(count)]
        followers, binding = await consumers(on, *modules, generator=RANDOM)
        asked = await on.rotate(binding)
        chosen = iter([*verdicts])
        followers.verdict = lambda _: next(chosen, "follow")
        rotating = asyncio.ensure_future(followers.finish())
        for delay, what in zip(delays, intrusions, strict=False):
            await on.app.service.clock.sleep(delay)
            await _intrude(on, followers, asked["rotationId"], what)
        await rotating
        rotation = await on.rotation(asked["rotationId"])
        enabled = {each.version: each.enabled for each in await on.vault.versions(NAME)}
        return rotation, enabled, followers.versions

    rotation, enabled, running = run_virtual(main())

    _require_valid(rotation, enabled, running)


def _require_valid(
    rotation: Mapping[str, Any], enabled: Mapping[str, bool], running: Mapping[str, str]
) -> None:
    assert rotation["status"] in {"Revoked", "Failed"}
    proved = [each["version"] for each in rotation["consumers"] if each["version"]]
    assert all(enabled[version] for version in proved)
    if rotation["status"] == "Failed":
        assert all(enabled.values())
    else:
        assert set(proved) <= {rotation["toVersion"]}
        assert [version for version in enabled if enabled[version]] == [rotation["toVersion"]]
    named = {each["moduleId"] for each in rotation["consumers"]}
    assert all(enabled[version] for module, version in running.items() if module in named)


def test_every_state_of_a_rotation_has_a_row() -> None:
    assert set(TRANSITIONS.rows) == set(State)
    assert TRANSITIONS.endings == {state for state, row in TRANSITIONS.rows.items() if not row}
