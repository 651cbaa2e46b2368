"""`make func-settings` writes its own values anew and leaves those of others."""

import json
import stat
from pathlib import Path
from typing import Any

from tools.func_settings import write_settings

FIRST = {"CosmosDB": "https://localhost:1", "RUNTIME_PROFILE": "local"}
SECOND = {"CosmosDB": "https://localhost:2", "RUNTIME_PROFILE": "local"}


def _written(target: Path, ours: dict[str, str], *, replaces: bool = False) -> list[str]:
    return write_settings(target, ours, target.parent / "record.json", replaces=replaces)


def _read(target: Path) -> Any:
    return json.loads(target.read_text())


def test_a_new_file_has_our_values_for_this_user_alone(tmp_path: Path) -> None:
    target = tmp_path / "local.settings.json"

    assert _written(target, FIRST) == []
    assert _read(target) == {"IsEncrypted": False, "Values": FIRST}
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_our_own_values_change_with_the_ports_of_the_cloud(tmp_path: Path) -> None:
    target = tmp_path / "local.settings.json"
    _written(target, FIRST)

    assert _written(target, SECOND) == []
    assert _read(target)["Values"] == SECOND


def test_a_value_that_is_ours_no_more_goes(tmp_path: Path) -> None:
    target = tmp_path / "local.settings.json"
    _written(target, {**FIRST, "KeyVault__vaultUri": "https://localhost:3"})

    _written(target, FIRST)

    assert _read(target)["Values"] == FIRST


def test_a_value_of_somebody_else_stays_and_is_named(tmp_path: Path) -> None:
    target = tmp_path / "local.settings.json"
    mine = {"CosmosDB": "mine", "MY_OWN": "1"}
    target.write_text(json.dumps({"Values": mine, "Host": {"LocalHttpPort": 7072}}))

    assert _written(target, FIRST) == ["CosmosDB"]
    assert _written(target, SECOND) == ["CosmosDB"]
    assert _read(target) == {
        "IsEncrypted": False,
        "Values": {**SECOND, **mine},
        "Host": {"LocalHttpPort": 7072},
    }


def test_replacing_takes_ours_and_leaves_other_sections(tmp_path: Path) -> None:
    target = tmp_path / "local.settings.json"
    target.write_text(json.dumps({"Values": {"CosmosDB": "mine"}, "Host": {"CORS": "*"}}))

    assert _written(target, FIRST, replaces=True) == []
    assert _read(target) == {"IsEncrypted": False, "Values": FIRST, "Host": {"CORS": "*"}}
