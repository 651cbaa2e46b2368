"""The embedded vault on disk: encrypted, bound to its place, and clear about a lost key."""

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from local_cloud.private_files import kept_key
from local_cloud.vault.vault import Vaults
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import Unavailable
from shared.vault.port import SecretValue
from tests.kit.stores import HandClock

OLD, NEW = SecretValue("old"), SecretValue("new")


@pytest.fixture
def vaults(tmp_path: Path) -> Vaults:
    return Vaults(tmp_path / "vaults", HandClock(), SystemEntropy())


async def fill(vaults: Vaults, vault: str = "v", name: str = "s") -> None:
    with closing(vaults.open(vault)) as opened:
        await opened.set(name, OLD)


async def test_a_vault_that_was_closed_is_read_again(vaults: Vaults) -> None:
    await fill(vaults)

    with closing(vaults.open("v")) as opened:
        assert (await opened.get("s")).value == OLD


async def test_the_key_is_only_its_owners_and_stays(vaults: Vaults) -> None:
    await fill(vaults)
    path = vaults.folder / "vault.key"
    key = path.read_bytes()

    await fill(vaults, "another")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(vaults.folder.stat().st_mode) == 0o700
    assert path.read_bytes() == key
    assert sorted(each.suffix for each in vaults.folder.iterdir()) == [".db", ".db", ".key"]


def test_a_key_that_another_process_made_first_is_used(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    first = kept_key(path)

    assert kept_key(path) == first
    assert len(first) == 32


async def test_without_its_key_a_vault_says_so_and_makes_no_other(vaults: Vaults) -> None:
    await fill(vaults)
    (vaults.folder / "vault.key").unlink()

    with pytest.raises(Unavailable, match="key of the vaults is lost"):
        vaults.open("v")
    with pytest.raises(Unavailable, match="key of the vaults is lost"):
        vaults.open("new")

    assert not (vaults.folder / "vault.key").exists()


@pytest.mark.parametrize(
    "other", [pytest.param(bytes(32), id="another-key"), pytest.param(b"", id="no-key")]
)
async def test_a_wrong_key_is_told_before_anything_is_read(vaults: Vaults, other: bytes) -> None:
    await fill(vaults)
    (vaults.folder / "vault.key").write_bytes(other)

    with pytest.raises(Unavailable, match="the key is not that of vault v"):
        vaults.open("v")


async def test_the_file_of_one_vault_is_not_another(vaults: Vaults) -> None:
    await fill(vaults)
    (vaults.folder / "v.db").rename(vaults.folder / "w.db")

    with pytest.raises(Unavailable, match="the key is not that of vault w"):
        vaults.open("w")


def _swapped(database: sqlite3.Connection) -> None:
    ((first, one), (second, other)) = database.execute("SELECT seq, sealed FROM versions")
    database.execute("UPDATE versions SET sealed = ? WHERE seq = ?", (other, first))
    database.execute("UPDATE versions SET sealed = ? WHERE seq = ?", (one, second))


def _changed(database: sqlite3.Connection) -> None:
    ((sealed,), *_) = database.execute("SELECT sealed FROM versions ORDER BY seq DESC")
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    database.execute("UPDATE versions SET sealed = ?", (changed,))


def _emptied(database: sqlite3.Connection) -> None:
    database.execute("UPDATE versions SET sealed = x''")


@pytest.mark.parametrize("damage", [_swapped, _changed, _emptied])
@pytest.mark.parametrize("names", [("s", "s"), ("s", "t")], ids=["versions", "secrets"])
async def test_a_value_opens_only_where_it_was_set(
    vaults: Vaults, damage: Callable[[sqlite3.Connection], None], names: tuple[str, str]
) -> None:
    with closing(vaults.open("v")) as opened:
        await opened.set(names[0], OLD)
        await opened.set(names[1], NEW)
    with closing(sqlite3.connect(vaults.folder / "v.db")) as database, database:
        damage(database)

    with closing(vaults.open("v")) as opened, pytest.raises(Unavailable, match="is damaged"):
        await opened.get(names[1])


async def test_one_value_is_never_sealed_alike(vaults: Vaults) -> None:
    await fill(vaults)
    await fill(vaults)

    with closing(sqlite3.connect(vaults.folder / "v.db")) as database:
        sealed = {row[0] for row in database.execute("SELECT sealed FROM versions")}
    assert len(sealed) == 2


@pytest.mark.long
async def test_it_is_opened_and_read_while_another_process_writes(vaults: Vaults) -> None:
    await fill(vaults)
    with closing(sqlite3.connect(vaults.folder / "v.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")

        with closing(vaults.open("v")) as opened:
            assert (await opened.get("s")).value == OLD
