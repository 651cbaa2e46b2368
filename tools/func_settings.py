"""Writes the `local.settings.json` with which Core Tools start an app on the local cloud.

    python -m tools.func_settings            → local.settings.json, for the root
    python -m tools.func_settings catalog    → build/catalog/local.settings.json

The values are those of `runtimectl cloud settings`, but that Cosmos DB is reached by https: the
extension of the Functions host takes nothing else. A value that somebody else wrote stays, and is
named; `--replace` takes ours.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from cli.cloud_process import identity_settings
from cli.state_folder import (
    StateFolder,
    read_json,
    state_folder_at,
    write_private,
)
from cli.typed import DEFAULT_STATE, STATE_VARIABLE
from tools.app_modules import ROOT
from tools.package import APPS, BUILD

_COSMOS: Final = "CosmosDB"
_ENDPOINT: Final = "CosmosDB__accountEndpoint"
_OPERATOR: Final = "operator"
_UNCHECKED: Final = "DisableServerCertificateValidation=True"
"""For the extension alone, on this machine's loopback: our adapters read no such word, and check
the certificate by `RUNTIME_CA_FILE`."""


def cloud_values(folder: StateFolder) -> dict[str, str]:
    """Return the settings of an app under Core Tools; the local cloud of *folder* runs."""
    command = [sys.executable, "-m", "cli.main", "--state", str(folder.path), "cloud", "settings"]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    values: dict[str, str] = json.loads(printed.stdout)["Values"]
    endpoint = identity_settings(folder)[_OPERATOR][_ENDPOINT]
    key = values[_COSMOS].partition(";AccountKey=")[2]
    values[_COSMOS] = f"AccountEndpoint={endpoint};AccountKey={key};{_UNCHECKED}"
    return values


def merged(
    there: Mapping[str, str], ours: Mapping[str, str], written: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return the values to write, and the names of those that stay as somebody else wrote them.

    *there* are the values of the file, *written* those that were written into it the last time.
    """
    theirs = {name: value for name, value in there.items() if written.get(name) != value}
    kept = [name for name, value in theirs.items() if ours.get(name, value) != value]
    return {**ours, **theirs}, kept


def write_settings(
    target: Path, ours: Mapping[str, str], record: Path, *, replaces: bool
) -> list[str]:
    """Write *ours* into the settings file *target*; return the names of what was left.

    *record* keeps what was written into which file, by which the next call knows its own values.
    Other sections of the file stay as they are.
    """
    settings: dict[str, Any] = {"IsEncrypted": False, **(read_json(target) or {})}
    records = read_json(record) or {}
    there = {} if replaces else settings.get("Values", {})
    settings["Values"], kept = merged(there, ours, records.get(str(target), {}))
    write_private(target, settings)
    write_private(record, {**records, str(target): dict(ours)})
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make func-settings", description=__doc__)
    parser.add_argument("app", nargs="?", choices=APPS, metavar="APP", help=" | ".join(APPS))
    parser.add_argument("--replace", action="store_true", help="overwrite what others wrote too")
    asked = parser.parse_args(arguments)
    place = BUILD / asked.app if asked.app else ROOT
    if not (place / "host.json").exists():
        print(f"{place} is no package: make package APP={asked.app}", file=sys.stderr)
        return 1
    target = place / "local.settings.json"
    if target.exists() and read_json(target) is None:
        print(
            f"{target.relative_to(ROOT)} is no JSON object: correct or remove it", file=sys.stderr
        )
        return 1
    folder = state_folder_at(Path(os.environ.get(STATE_VARIABLE, DEFAULT_STATE)))
    try:
        ours = cloud_values(folder)
    except subprocess.CalledProcessError as ended:
        return int(ended.returncode)  # it has said why
    record = folder.path / "func-settings.json"
    kept = write_settings(target, ours, record, replaces=asked.replace)
    print(f"{target.relative_to(ROOT)}: {len(ours)} values; python -m local_host takes them too")
    for name in kept:
        print(f"  {name} stays as it was written there; REPLACE=1 writes ours")
    return 0


if __name__ == "__main__":
    sys.exit(main())
