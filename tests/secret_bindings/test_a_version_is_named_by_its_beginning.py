"""A version is named whole, or as tables show it; what the vault has not is refused."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from function_apps.secret_bindings.errors import VersionUnusable
from function_apps.secret_bindings.model.versions import whole_version
from local_cloud.vault.vault import LocalVault
from shared.kernel.errors import Conflict
from shared.vault.port import SecretProperties
from tests.kit.losing_store import losing
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.secret_bindings.bound import KEY, NAME, RANDOM, secret_bindings
from tests.secret_bindings.followers import consumers

MODULE = "module-shop"


def version(text: str, *, enabled: bool = True) -> SecretProperties:
    return SecretProperties(NAME, text.ljust(32, "0"), EPOCH, EPOCH, enabled=enabled)


FIRST, SECOND = version("aaaaaaaaaaaa1"), version("aaaaaaaaaaaa2")
DISABLED = version("bbbbbbbbbbbb", enabled=False)


@dataclass
class CountedVault:
    """A vault that remembers of which secrets it was asked for the versions."""

    vault: LocalVault
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.vault, name)

    async def versions(self, name: str) -> Any:
        self.asked.append(name)
        return await self.vault.versions(name)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(
            "aaaaaaaaaaaa",
            f"the vault has more than one version aaaaaaaaaaaa of {NAME}: {FIRST.version}, "
            f"{SECOND.version}; name the whole one",
            id="several-begin-so",
        ),
        pytest.param("deadbeef", f"it has {FIRST.version}, {SECOND.version};", id="none-does"),
        pytest.param("bbbbbbbbbbbb", f"{DISABLED.version} is disabled", id="it-is-disabled"),
        pytest.param("aaaaaaaaaaa", f"it has {FIRST.version}", id="it-is-too-short"),
    ],
)
def test_what_stands_for_no_version_is_refused_with_whole_ones(asked: str, said: str) -> None:
    with pytest.raises(VersionUnusable) as refused:
        whole_version([FIRST, SECOND, DISABLED], asked, NAME)

    assert said in refused.value.message
    assert refused.value.target == "/version"


def test_of_a_secret_without_versions_there_is_none() -> None:
    with pytest.raises(VersionUnusable, match="it has none"):
        whole_version([], "aaaaaaaaaaaa", NAME)


def test_the_vault_is_asked_once_though_others_write_first() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        _, binding = await consumers(on, MODULE, generator=RANDOM)
        by_hand = await on.set_by_hand()
        vault = CountedVault(on.vault)
        on.vaults.vaults[KEY] = cast("LocalVault", vault)  # the rest by `__getattr__`
        on.app = replace(on.app, service=losing(on.app.service))
        return (await on.rotate(binding, version=by_hand[:12]))["status"], vault.asked

    assert run_virtual(main()) == ("Created", [NAME])


def test_the_beginning_that_tables_show_is_rotated_to() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULE, generator=RANDOM)
        by_hand = await on.set_by_hand()
        return by_hand, await followers.rotate(binding, version=by_hand[:12])

    by_hand, rotation = run_virtual(main())

    assert (rotation["status"], rotation["toVersion"]) == ("Revoked", by_hand)


def test_a_beginning_that_the_vault_has_not_begins_nothing() -> None:
    async def main() -> Any:
        on = await secret_bindings()
        _, binding = await consumers(on, MODULE, generator=RANDOM)
        with pytest.raises(Conflict) as refused:
            await on.rotate(binding, version="deadbeef0000")
        return refused.value, len(on.bench.starts.started), on.told("RuntimeAlertRaised")

    refused, started, alerts = run_virtual(main())

    assert (refused.code, started, alerts) == ("VersionUnusable", 0, [])


@pytest.mark.parametrize("length", [32, 12])
def test_the_version_that_a_rotation_in_flight_comes_to_is_a_repeat(length: int) -> None:
    async def main() -> Any:
        on = await secret_bindings()
        followers, binding = await consumers(on, MODULE, generator=RANDOM)
        asked = await on.rotate(binding, overlap="PT1M")
        finished = asyncio.ensure_future(followers.finish())
        await on.app.service.clock.sleep(20)
        between = await on.rotation(asked["rotationId"])
        again = await on.rotate(binding, version=between["toVersion"][:length])
        with pytest.raises(Conflict) as refused:
            await on.rotate(binding, version="1" * 32)
        await finished
        return asked, between, again, refused.value.details[0]

    asked, between, again, differing = run_virtual(main())

    assert between["status"] == "Verified"
    assert again["rotationId"] == asked["rotationId"]
    assert (differing.target, differing.expected) == ("/version", between["toVersion"])
