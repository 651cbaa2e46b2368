"""Who calls, when keys are lost and clocks are set."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from local_cloud.callers import Caller, Callers
from local_cloud.roles import Assignment, Role
from local_cloud.token_endpoint.identities import LocalIdentities
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Denied, Unauthenticated
from shared.web.key_sets import REFRESH_LEAST_S

BUS: Final = "https://servicebus.azure.net"
ASSIGNED: Final = [Assignment("catalog", Role.BUS_SENDER, "service-bus/events")]


class SetClock(SystemClock):
    """The machine's clock, which somebody sets."""

    ahead = timedelta()
    waited_s = 0.0

    def now(self) -> datetime:
        return super().now() + self.ahead

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.waited_s


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def identities(tmp_path: Path, clock: SetClock) -> LocalIdentities:
    return LocalIdentities(tmp_path / "identities", clock, SystemEntropy())


@pytest.fixture
def callers(identities: LocalIdentities, clock: SetClock) -> Callers:
    return Callers(identities, ASSIGNED, [BUS], clock)


def bearer(identities: LocalIdentities, resource: str = BUS) -> str:
    return f"Bearer {identities.token(identities.get('catalog'), resource)[0]}"


@pytest.mark.parametrize(
    ("set_by", "code"),
    [
        pytest.param(timedelta(minutes=-5), None, id="back-five-minutes"),
        pytest.param(timedelta(minutes=-10), "TokenNotYetValid", id="back-ten-minutes"),
        pytest.param(timedelta(minutes=50), None, id="on-within-its-life"),
        pytest.param(timedelta(minutes=61), "TokenExpired", id="on-past-its-end"),
    ],
)
async def test_a_token_outlives_a_small_step_of_the_clock(
    identities: LocalIdentities,
    callers: Callers,
    clock: SetClock,
    set_by: timedelta,
    code: str | None,
) -> None:
    token = bearer(identities)
    clock.ahead = set_by

    try:
        refused = None
        caller = await callers.caller(token)
    except Unauthenticated as error:
        refused = error.code
    else:
        assert caller.client_id == identities.get("catalog").client_id

    assert refused == code


async def test_a_lost_signing_key_is_made_anew_and_old_tokens_end(
    identities: LocalIdentities, callers: Callers, clock: SetClock
) -> None:
    old = bearer(identities)
    await callers.caller(old)
    for path in identities.folder.iterdir():
        path.unlink()

    new = bearer(identities)
    clock.waited_s = REFRESH_LEAST_S
    await callers.caller(new)

    with pytest.raises(Unauthenticated):
        await callers.caller(old)


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(f"{BUS}/", id="a-slash-too-many"),
        pytest.param(f"{BUS}:443", id="a-port"),
    ],
)
async def test_the_ways_in_which_sdks_write_a_resource_are_one(
    identities: LocalIdentities, callers: Callers, resource: str
) -> None:
    assert await callers.caller(bearer(identities, resource))


@pytest.mark.parametrize("resource", ["https://vault.azure.net", "https://evil.test", "api://x"])
async def test_a_token_for_another_resource_is_refused(
    identities: LocalIdentities, callers: Callers, resource: str
) -> None:
    with pytest.raises(Unauthenticated) as refused:
        await callers.caller(bearer(identities, resource))

    assert refused.value.code == "WrongAudience"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer x", "Bearer e30.e30.", "Basic YTpi", "Bearer " + "a" * 100_000],
    ids=str,
)
async def test_what_is_no_token_is_refused(callers: Callers, authorization: str | None) -> None:
    with pytest.raises(Unauthenticated):
        await callers.caller(authorization)


@pytest.mark.parametrize(
    ("resource", "is_allowed"),
    [
        pytest.param("service-bus/events", True, id="the-scope"),
        pytest.param("service-bus/events/subscriptions/all", True, id="below-it"),
        pytest.param("service-bus/events-archive", False, id="a-name-that-begins-alike"),
        pytest.param("service-bus", False, id="above-it"),
    ],
)
def test_a_role_holds_at_its_scope_and_below(
    identities: LocalIdentities, callers: Callers, resource: str, *, is_allowed: bool
) -> None:
    caller = Caller(identities.get("catalog").client_id, 0)

    try:
        callers.check(caller, resource, {Role.BUS_SENDER})
    except Denied:
        assert not is_allowed
    else:
        assert is_allowed
    with pytest.raises(Denied):
        callers.check(caller, resource, {Role.BUS_RECEIVER})
