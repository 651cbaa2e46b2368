"""Which vaults are asked, by their URLs: one suite over this machine's and those over https."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_cloud.vault.local_vaults import LocalVaults
from local_cloud.vault.vault import Vaults as VaultFiles
from shared.kernel.entropy import SystemEntropy
from shared.kernel.errors import NotFound
from shared.kernel.ids import EnvironmentKey
from shared.vault.key_vaults import KEPT_MAX, KeyVaults
from shared.vault.port import SecretValue, Vaults
from shared.vault.vault_uris import AZURE_SUFFIX, NAME_OUTPUT, VaultMissing, VaultNotAllowed
from tests.kit.key_vault import wired_vault
from tests.kit.stores import HandClock

OWN = "environment-vault"
SHOP = "https://k7shop.vault.localhost"


@pytest.fixture(
    params=[
        pytest.param("files", id="embedded"),
        pytest.param("wire", id="key-vault-wire", marks=pytest.mark.real),
    ]
)
async def vaults(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    clock: HandClock,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Vaults]:
    """Vaults of one machine, of which `environment-vault` is the platform's own."""
    if request.param == "wire":
        async with wired_vault(tmp_path, clock, monkeypatch) as wire:
            yield wire.vaults
        return
    local = LocalVaults(VaultFiles(tmp_path, clock, SystemEntropy()), OWN)
    try:
        yield local
    finally:
        local.close()


async def test_each_vault_has_secrets_of_its_own(vaults: Vaults) -> None:
    made = await vaults.at(SHOP).set("db", SecretValue("of-the-shop"))

    found = await vaults.at(f"{SHOP.upper().replace('HTTPS', 'https')}/").get("db", made.version)
    assert found.value == SecretValue("of-the-shop")
    with pytest.raises(NotFound):
        await vaults.at("https://k8other.vault.localhost").get("db")


async def test_a_vault_that_nobody_used_has_nothing(vaults: Vaults) -> None:
    vault = vaults.at("https://k9new.vault.localhost")

    assert (await vault.names(), [*await vault.versions("db")]) == ([], [])


async def test_every_method_is_that_of_the_vault(vaults: Vaults) -> None:
    vault = vaults.at(SHOP)
    made = await vault.set("db", SecretValue("a"), tags={"rotation": "r-1"}, content_type="text")
    assert [each.version for each in await vault.versions("db")] == [made.version]
    assert (made.tags, made.content_type) == ({"rotation": "r-1"}, "text")

    assert not (await vault.set_enabled("db", made.version, enabled=False)).enabled
    await vault.delete("db")
    await vault.recover("db")
    assert await vault.names() == ["db"]
    await vault.delete("db")
    await vault.purge("db")
    assert await vault.names() == []


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("http://k7shop.vault.localhost", id="in-the-clear"),
        pytest.param("https://k7shop.vault.localhost:8443", id="another-port"),
        pytest.param("https://k7shop.vault.localhost/secrets", id="a-path"),
        pytest.param("https://k7shop.vault.localhost?x", id="a-query"),
        pytest.param("https://k7shop.vault.localhost#x", id="a-fragment"),
        pytest.param("https://me@k7shop.vault.localhost", id="a-user"),
        pytest.param("https://a.b.vault.localhost", id="two-labels"),
        pytest.param("https://vault.localhost", id="no-label"),
        pytest.param("https://k7shop.vault.localhost.evil.example", id="a-suffix-of-its-own"),
        pytest.param("https://k7shopvault.localhost", id="no-dot"),
        pytest.param("https://..vault.localhost", id="a-way-up"),
        pytest.param("https://a%2f..vault.localhost", id="escaped"),
        pytest.param("https://-a.vault.localhost", id="no-name-of-a-host"),
        pytest.param("https://K7\u017fhop.vault.localhost", id="no-ascii"),
        pytest.param("https://k7shop.vault.localhost\n", id="a-line"),
        pytest.param("https://169.254.169.254", id="metadata-of-a-machine"),
        pytest.param("https://localhost", id="the-address-of-the-endpoint"),
        pytest.param("https://k7shop.vault.azure.net", id="another-cloud"),
        pytest.param("", id="nothing"),
    ],
)
async def test_another_url_is_refused_by_name_before_anything_is_asked(
    vaults: Vaults, uri: str
) -> None:
    with pytest.raises(VaultNotAllowed, match="are asked at https://<name>") as no:
        vaults.at(uri)

    assert (no.value.code, no.value.target) == ("VaultNotAllowed", "/vaultUri")


async def test_the_platforms_own_vault_of_this_machine_is_not_given_out(
    tmp_path: Path, clock: HandClock
) -> None:
    vaults = LocalVaults(VaultFiles(tmp_path, clock, SystemEntropy()), OWN)

    with pytest.raises(VaultNotAllowed, match="the platform's own secrets"):
        vaults.at(f"https://{OWN}.vault.localhost")
    with pytest.raises(VaultNotAllowed, match="the platform's own secrets"):
        await vaults.opened(OWN)


def of_azure(own: str | None) -> KeyVaults:
    def credential() -> None:
        raise AssertionError("nothing is asked here")

    return KeyVaults(AZURE_SUFFIX, own=own, credential=credential)  # type: ignore[arg-type]


def test_in_azure_the_clouds_suffix_is_asked_and_the_platforms_own_vault_is_not() -> None:
    vaults = of_azure("https://platform.vault.azure.net/")

    vaults.at("https://kv-shop.vault.azure.net/")
    for uri in ("https://platform.vault.azure.net", "https://Platform.Vault.azure.net"):
        with pytest.raises(VaultNotAllowed, match="the platform's own secrets"):
            vaults.at(uri)
    for uri in (SHOP, "https://kv.vault.azure.cn", "https://a.privatelink.vault.azure.net"):
        with pytest.raises(VaultNotAllowed, match=r"https://<name>\.vault\.azure\.net only"):
            vaults.at(uri)


def test_a_client_is_kept_while_it_is_among_the_last_used() -> None:
    vaults = of_azure(None)
    first = vaults.at("https://first.vault.azure.net")
    for number in range(KEPT_MAX - 1):
        vaults.at(f"https://v{number}.vault.azure.net")

    assert vaults.at("https://first.vault.azure.net") is first
    for number in range(KEPT_MAX):
        vaults.at(f"https://w{number}.vault.azure.net")
    assert vaults.at("https://first.vault.azure.net") is not first


async def test_an_environment_of_this_machine_has_the_vault_of_its_key(vaults: Vaults) -> None:
    uri = vaults.of_environment(EnvironmentKey("k7shop"), {"data.uploads.path": "/data"})

    assert uri == SHOP
    assert await vaults.at(uri).names() == []


def test_an_environment_in_azure_has_the_vault_of_its_stack_or_none() -> None:
    vaults, key = of_azure(None), EnvironmentKey("k7shop")

    assert vaults.of_environment(key, {NAME_OUTPUT: "kv-shop"}) == "https://kv-shop.vault.azure.net"
    with pytest.raises(VaultMissing, match="environment k7shop has no vault of its own"):
        vaults.of_environment(key, {})
