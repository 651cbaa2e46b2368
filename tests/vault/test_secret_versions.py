"""Contract of the SecretVault port: same cases, same results, every adapter."""

from datetime import timedelta

import pytest

from shared.kernel.errors import Invalid, NotFound, TooLarge, Unavailable
from shared.vault.port import (
    VALUE_MAX_BYTES,
    SecretDeleted,
    SecretDisabled,
    SecretValue,
    SecretVault,
)
from tests.kit.virtual_time import EPOCH
from tests.vault.conftest import OpenedVault

NAME = "Orders-Password"
OLD, NEW = SecretValue("old"), SecretValue("new")
ABSENT = "0" * 32


async def test_a_version_is_read_back_with_its_attributes(opened: OpenedVault) -> None:
    expires_at = EPOCH + timedelta(days=30)

    made = await opened.port.set(
        NAME, OLD, content_type="password", tags={"rotation": "rot-1"}, expires_at=expires_at
    )

    read = await opened.port.get(NAME, made.version)
    assert read.value == OLD
    assert read.properties == made
    assert (made.name, made.content_type, made.tags) == (NAME, "password", {"rotation": "rot-1"})
    assert (made.enabled, made.expires_at) == (True, expires_at)
    assert (made.created_at, made.updated_at) == (EPOCH, EPOCH)


async def test_the_last_version_is_the_latest_and_the_earlier_ones_stay(vault: SecretVault) -> None:
    old = await vault.set(NAME, OLD)
    new = await vault.set(NAME, NEW)

    assert (await vault.get(NAME)).value == NEW
    assert (await vault.get(NAME, old.version)).value == OLD
    assert old.version != new.version


async def test_versions_are_listed_newest_first(opened: OpenedVault) -> None:
    made = []
    for _ in range(27):  # more than a page
        made.append(await opened.port.set(NAME, OLD))
        opened.clock.pass_by(1)

    assert list(await opened.port.versions(NAME)) == made[::-1]


async def test_names_are_listed_sorted(vault: SecretVault) -> None:
    names = [f"secret-{number:02}" for number in range(27)]
    for name in reversed(names):
        await vault.set(name, OLD)

    assert list(await vault.names()) == names


async def test_an_empty_vault_lists_nothing(vault: SecretVault) -> None:
    assert list(await vault.names()) == []
    assert list(await vault.versions(NAME)) == []


async def test_names_are_compared_without_case(vault: SecretVault) -> None:
    await vault.set(NAME, OLD)
    made = await vault.set(NAME.lower(), NEW)

    assert (await vault.get(NAME.upper())).properties == made
    assert list(await vault.names()) == [NAME]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x" * VALUE_MAX_BYTES, id="the-longest"),
        pytest.param('é"\\\n\u2028\U0001f511\x00', id="any-text"),
    ],
)
async def test_a_value_comes_back_to_the_letter(vault: SecretVault, text: str) -> None:
    await vault.set(NAME, SecretValue(text))

    assert (await vault.get(NAME)).value.reveal() == text


async def test_a_disabled_version_is_not_read_until_it_is_enabled(opened: OpenedVault) -> None:
    vault = opened.port
    old = await vault.set(NAME, OLD, content_type="password", tags={"a": "b"})
    await vault.set(NAME, NEW)
    opened.clock.pass_by(60)

    disabled = await vault.set_enabled(NAME, old.version, enabled=False)

    assert not disabled.enabled
    assert disabled.updated_at == EPOCH + timedelta(seconds=60)
    assert (disabled.content_type, disabled.tags) == ("password", {"a": "b"})
    with pytest.raises(SecretDisabled):
        await vault.get(NAME, old.version)
    assert (await vault.get(NAME)).value == NEW
    await vault.set_enabled(NAME, old.version, enabled=True)
    assert (await vault.get(NAME, old.version)).value == OLD


async def test_no_earlier_version_stands_in_for_a_disabled_latest(vault: SecretVault) -> None:
    await vault.set(NAME, OLD)
    await vault.set(NAME, NEW, enabled=False)

    with pytest.raises(SecretDisabled):
        await vault.get(NAME)


async def test_an_expired_version_is_still_read(opened: OpenedVault) -> None:
    await opened.port.set(NAME, OLD, expires_at=EPOCH + timedelta(days=1))

    opened.clock.pass_by(2 * 24 * 3600)

    assert (await opened.port.get(NAME)).value == OLD


async def test_what_was_never_there_is_not_found(vault: SecretVault) -> None:
    with pytest.raises(NotFound):
        await vault.get(NAME)
    await vault.set(NAME, OLD)
    for version in (ABSENT, "versions", "", "../../deletedsecrets"):
        with pytest.raises(NotFound):
            await vault.get(NAME, version)
        with pytest.raises(NotFound):
            await vault.set_enabled(NAME, version, enabled=False)
    for change in (vault.delete, vault.recover, vault.purge):
        with pytest.raises(NotFound):
            await change("another")


async def test_a_deleted_secret_blocks_its_name_until_it_is_recovered(vault: SecretVault) -> None:
    old = await vault.set(NAME, OLD)
    await vault.set(NAME, NEW)

    await vault.delete(NAME)

    assert list(await vault.names()) == []
    assert list(await vault.versions(NAME)) == []
    for read in (vault.get(NAME), vault.get(NAME, old.version), vault.delete(NAME)):
        with pytest.raises(NotFound):
            await read
    with pytest.raises(SecretDeleted):
        await vault.set(NAME.lower(), NEW)
    await vault.recover(NAME)
    assert (await vault.get(NAME)).value == NEW
    assert (await vault.get(NAME, old.version)).value == OLD
    with pytest.raises(NotFound):
        await vault.recover(NAME)


async def test_a_purged_secret_is_gone_and_its_name_is_free(vault: SecretVault) -> None:
    old = await vault.set(NAME, OLD)
    with pytest.raises(NotFound):  # it is not deleted
        await vault.purge(NAME)
    await vault.delete(NAME)

    await vault.purge(NAME)

    with pytest.raises(NotFound):
        await vault.recover(NAME)
    new = await vault.set(NAME, NEW)
    assert list(await vault.versions(NAME)) == [new]
    with pytest.raises(NotFound):
        await vault.get(NAME, old.version)


async def test_a_deleted_secret_is_purged_after_its_time(opened: OpenedVault) -> None:
    await opened.port.set(NAME, OLD)
    await opened.port.delete(NAME)
    opened.clock.pass_by(90 * 24 * 3600 - 1)
    with pytest.raises(SecretDeleted):
        await opened.port.set(NAME, NEW)

    opened.clock.pass_by(1)

    with pytest.raises(NotFound):
        await opened.port.recover(NAME)
    await opened.port.set(NAME, NEW)
    assert len(await opened.port.versions(NAME)) == 1


@pytest.mark.parametrize("name", ["", "a/b", "a b", "a_b", "é", "x" * 128, "..", "a\n"])
async def test_a_name_that_key_vault_refuses_is_refused(vault: SecretVault, name: str) -> None:
    with pytest.raises(Invalid):
        await vault.set(name, OLD)
    with pytest.raises(Invalid):
        await vault.get(name)
    with pytest.raises(Invalid):
        await vault.versions(name)
    for change in (vault.delete, vault.recover, vault.purge):
        with pytest.raises(Invalid):
            await change(name)


async def test_attributes_over_their_bounds_are_refused(vault: SecretVault) -> None:
    with pytest.raises(TooLarge):
        await vault.set(NAME, SecretValue("é" * (VALUE_MAX_BYTES // 2) + "x"))
    with pytest.raises(Invalid):
        await vault.set(NAME, SecretValue("\ud800"))
    with pytest.raises(Invalid):
        await vault.set(NAME, OLD, tags={str(number): "" for number in range(16)})
    with pytest.raises(Invalid):
        await vault.set(NAME, OLD, tags={"a": "x" * 257})
    with pytest.raises(Invalid):
        await vault.set(NAME, OLD, content_type="x" * 256)
    assert list(await vault.names()) == []


async def test_a_throttled_vault_says_when_to_come_again(opened: OpenedVault) -> None:
    await opened.port.set(NAME, OLD)
    opened.embedded.throttle(times=1, retry_after_s=7)

    with pytest.raises(Unavailable) as refused:
        await opened.port.get(NAME)

    assert (refused.value.throttled, refused.value.retry_after_s) == (True, 7)
    assert (await opened.port.get(NAME)).value == OLD
