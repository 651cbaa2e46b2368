"""A front end that cannot start ends with a sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local_host.front_end.app_routes import AppRoutes


@pytest.mark.real
@pytest.mark.parametrize(
    ("settings", "apps", "port", "said"),
    [
        pytest.param({"shop": {}}, ["shop"], "99999", "expected 0 to 65535", id="high-port"),
        pytest.param({"shop": {}}, ["shop"], "-1", "expected 0 to 65535", id="low-port"),
        pytest.param({"shop": 5}, ["shop"], "0", "has no settings of shop", id="number-for-app"),
        pytest.param(None, ["shop"], "0", "has no settings of shop", id="null"),
        pytest.param({"shop": {}}, ["shop", "shop"], "0", "shop: an app is given once", id="twice"),
        pytest.param({"s-p": {}}, ["s-p", "s_p"], "0", "s-p: an app is given once", id="one-name"),
    ],
)
def test_what_it_is_given_is_checked(
    settings: object, apps: list[str], port: str, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(settings))

    ended = subprocess.run(
        [
            sys.executable, "-m", "local_host.front_end", *(str(tmp_path / app) for app in apps),
            f"--port={port}", "--state", str(tmp_path / "state"),
            "--settings", str(file), "--archives", str(file),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("path", ["/v1/platform/shop/alive", "/V1/PLATFORM/SHOP/alive"])
def test_an_apps_own_paths_ignore_case_as_all_routes_do(path: str) -> None:
    assert AppRoutes(("shop",)).app_of(path) == "shop"
