"""Without settings the strict values hold, or the app does not start and says why."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from cli.host_start import environ_of_host
from function_apps.catalog.ports import CatalogApp
from local_host.embedded_parts import EmbeddedHost, EmbeddedParts
from shared.composition.settings import ISSUER_KEYS, ISSUERS, PROFILE, InvalidSetting, read_settings
from shared.kernel.clock import SystemClock
from shared.web.issuer import DEV_ISSUER
from tests.kit.apps import APPS
from tests.kit.host_processes import started
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.service import Sent, memory_storage

TWO: Final = "https://login.test/one https://login.test/two"
NAMED: Final = {ISSUERS: TWO, "RUNTIME_TENANT_ISSUERS": TWO}
REPOSITORY: Final = Path(__file__).parents[2]


def built(service: Any, settings: Mapping[str, str], folder: Path) -> Any:
    clock = SystemClock()
    host = EmbeddedHost(clock, SeededEntropy(1), Sent(), memory_storage(clock), folder)
    read = read_settings(settings)
    return service.build(read, EmbeddedParts(host, read))


@pytest.mark.parametrize("name", APPS)
def test_without_a_profile_the_rules_of_production_hold(name: str, tmp_path: Path) -> None:
    app = built(APPS[name], NAMED, tmp_path)
    local = built(APPS[name], {PROFILE: "local"}, tmp_path)

    assert app.rules == type(app.rules)()
    assert local.rules != app.rules


MISSING: dict[str, tuple[dict[str, str], str]] = {
    "issuers": ({ISSUER_KEYS: "/keys.json"}, ISSUERS),
    "issuers-that-are-blank": ({ISSUERS: " ", ISSUER_KEYS: "/keys.json"}, ISSUERS),
    "issuers-that-are-blank-in-the-local-profile": ({ISSUERS: "", PROFILE: "local"}, ISSUERS),
}


@pytest.mark.parametrize(("settings", "named"), MISSING.values(), ids=MISSING.keys())
def test_a_missing_setting_stops_the_start_and_is_named(
    settings: dict[str, str], named: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSetting, match=f"{named} is missing: expected") as refused:
        built(APPS["catalog"], settings, tmp_path)

    assert refused.value.target == named


ISSUERS_TAKEN: dict[str, tuple[dict[str, str], list[str]]] = {
    "the-named-ones": (NAMED, ["https://login.test/one", "https://login.test/two"]),
    "this-machine's-in-the-local-profile": ({PROFILE: "local"}, [DEV_ISSUER]),
    "the-named-one-in-the-local-profile-too": (
        {
            PROFILE: "local",
            ISSUERS: "https://login.test",
            "RUNTIME_TENANT_ISSUERS": "https://login.test",
        },
        ["https://login.test"],
    ),
}


@pytest.mark.parametrize(("settings", "expected"), ISSUERS_TAKEN.values(), ids=ISSUERS_TAKEN.keys())
def test_only_the_local_profile_takes_tokens_of_this_machine(
    settings: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    app: CatalogApp = built(APPS["catalog"], settings, tmp_path)

    assert list(app.service.authenticator.issuers) == expected
    assert app.service.authenticator.tenancy.naming == frozenset(expected)


def test_the_command_line_and_the_sample_settings_ask_for_the_local_profile_by_name() -> None:
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]

    assert read_settings(sample).is_local
    assert read_settings(environ_of_host(7071)).is_local


@pytest.mark.long
@pytest.mark.real
def test_a_host_that_is_started_without_a_profile_serves_nothing_and_names_the_setting(
    tmp_path: Path,
) -> None:
    environ = {PROFILE: "production", ISSUERS: ""}
    with started(REPOSITORY, "--port", "0", state=tmp_path / "state", **environ) as host:
        host.read_until(f"{ISSUERS} is missing")
