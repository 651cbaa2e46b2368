"""Logins are set, overlap, and end one by one, at real servers of both kinds."""

import asyncio

import pytest

from shared.kernel.errors import Unavailable
from shared.passwords.logins import LoginNotMade, parse
from shared.passwords.port import AdministratorRefused, PasswordRefused
from shared.vault.port import SecretValue
from tests.passwords.conftest import RESOURCE, Opened
from tests.passwords.sessions import Session, refusals


async def test_what_nobody_set_is_refused(opened: Opened) -> None:
    with pytest.raises(PasswordRefused):
        await opened.passwords.test(RESOURCE, await opened.new_value())


async def test_a_set_login_is_taken_and_another_password_for_it_is_not(opened: Opened) -> None:
    value = await opened.one_set()
    await opened.passwords.set(RESOURCE, value)
    await opened.passwords.test(RESOURCE, value)

    other = value.reveal().replace(parse(value).password, "x" * 32)
    with pytest.raises(PasswordRefused):
        await opened.passwords.test(RESOURCE, SecretValue(other))


async def test_two_versions_are_valid_until_the_old_one_is_retired(opened: Opened) -> None:
    old, new = await opened.one_set(), await opened.one_set()
    await opened.passwords.test(RESOURCE, old)
    await opened.passwords.test(RESOURCE, new)

    await opened.passwords.retire(RESOURCE, old)
    await opened.passwords.retire(RESOURCE, old)

    with pytest.raises(PasswordRefused):
        await opened.passwords.test(RESOURCE, old)
    await opened.passwords.test(RESOURCE, new)


async def test_a_login_of_an_earlier_address_of_the_server_is_retired(opened: Opened) -> None:
    old = await opened.one_set()
    port = parse(old).port
    moved = SecretValue(old.reveal().replace(f":{port}/", f":{port + 1}/"))

    await opened.passwords.retire(RESOURCE, moved)

    with pytest.raises(PasswordRefused):
        await opened.passwords.test(RESOURCE, old)


async def test_a_login_that_was_not_made_here_is_not_retired(opened: Opened) -> None:
    with pytest.raises(LoginNotMade):
        await opened.passwords.retire(RESOURCE, SecretValue("set by hand"))


async def test_a_retired_login_loses_its_sessions_and_no_others(opened: Opened) -> None:
    old, new = await opened.one_set(), await opened.one_set()
    sessions = [await Session.open(old), await Session.open(old), await Session.open(new)]
    await sessions[2].keep(1)

    await opened.passwords.retire(RESOURCE, old)

    for session in sessions[:2]:
        with pytest.raises(refusals()):
            await session.kept()
    assert await sessions[2].kept() == 1
    for session in sessions:
        await session.close()


async def test_what_a_login_made_is_the_next_ones_to_change(opened: Opened) -> None:
    old = await opened.one_set("first")
    session = await Session.open(old)
    await session.keep(7)
    await session.close()
    new = await opened.one_set("second")

    await opened.passwords.retire(RESOURCE, old)

    session = await Session.open(new)
    assert await session.kept() == 7
    await session.keep(8)
    assert await session.kept() == 8
    await session.close()


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        pytest.param("CREATE ROLE mine LOGIN", ("ACL", "SETUSER", "mine", "on"), id="new-user"),
        pytest.param("ALTER SYSTEM SET port = 1", ("CONFIG", "SET", "port", "1"), id="settings"),
        pytest.param("SELECT pg_read_file('/etc/passwd')", ("SHUTDOWN",), id="the-machine"),
    ],
)
async def test_a_login_has_no_rights_over_the_server(
    opened: Opened, sql: str, words: tuple[str, ...]
) -> None:
    session = await Session.open(await opened.one_set())
    with pytest.raises(refusals(), match=r"permission|must be|NOPERM|no permissions"):
        await session.command(sql, *words)
    await session.close()


async def test_logins_outlive_a_kill_of_the_server(opened: Opened) -> None:
    old, new = await opened.one_set(), await opened.one_set()
    session = await Session.open(new)
    await session.keep(5)
    await session.close()
    await opened.passwords.retire(RESOURCE, old)

    opened.server.kill()
    with pytest.raises(Unavailable):
        await opened.passwords.test(RESOURCE, new)
    await opened.server.start()

    await opened.passwords.test(RESOURCE, new)
    with pytest.raises(PasswordRefused):
        await opened.passwords.test(RESOURCE, old)
    session = await Session.open(new)
    assert await session.kept() == 5
    await session.close()


async def test_a_server_that_is_away_is_asked_again_later(opened: Opened) -> None:
    value = await opened.new_value()
    await opened.server.stop()

    for ask in (opened.passwords.set, opened.passwords.test, opened.passwords.retire):
        with pytest.raises(Unavailable, match="is away"):
            await ask(RESOURCE, value)

    await opened.server.start()
    await opened.passwords.set(RESOURCE, value)
    await opened.passwords.test(RESOURCE, value)


async def test_a_vault_with_another_administrator_is_told_so(opened: Opened) -> None:
    value = await opened.new_value()
    opened.administrator = type(opened.administrator)(
        **{**vars(opened.administrator), "password": "another-password-0123456789"}
    )
    for change in (opened.passwords.set, opened.passwords.retire):
        with pytest.raises(AdministratorRefused) as refused:
            await change(RESOURCE, value)
        assert "0123456789" not in str(refused.value)


async def test_several_are_set_and_retired_at_once(opened: Opened) -> None:
    values = await asyncio.gather(*(opened.one_set() for _ in range(6)))

    await asyncio.gather(*(opened.passwords.retire(RESOURCE, each) for each in values[:3]))

    for each in values[:3]:
        with pytest.raises(PasswordRefused):
            await opened.passwords.test(RESOURCE, each)
    for each in values[3:]:
        await opened.passwords.test(RESOURCE, each)


async def test_no_password_is_in_what_the_server_keeps_or_writes(opened: Opened) -> None:
    value = await opened.one_set()
    session = await Session.open(value)
    await session.keep(1)
    await session.close()
    await opened.server.stop()

    canaries = [parse(value).password.encode(), opened.server.administrator.password.encode()]
    root = opened.server.process.folder.parents[4]
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if any(c in path.read_bytes() for c in canaries)] == []
