"""Each service as a packaged app, alone in the embedded host and side by side in one."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.kit.host_processes import started
from tools.package import APPS, package

pytestmark = pytest.mark.real


def _health(port: str, app: str) -> str:
    url = f"http://127.0.0.1:{port}/v1/platform/{app.replace('_', '-')}/health"
    with urllib.request.urlopen(url, timeout=10) as answer:
        status: str = json.load(answer)["status"]
    return status


@pytest.mark.parametrize("app", APPS)
def test_a_packaged_app_comes_up_alone(app: str, tmp_path: Path) -> None:
    folder = package(app, tmp_path / app)
    with started(folder, "--port", "0", state=tmp_path / "state") as host:
        port = host.read_until(r"functions ready on http://127.0.0.1:(\d+)").group(1)

        assert _health(port, app) == "Healthy"
        assert "refused" not in host.text


def test_packaged_apps_come_up_together_as_separate_apps(tmp_path: Path) -> None:
    folders = [package(app, tmp_path / app) for app in APPS]
    with started(*folders, "--port", "0", state=tmp_path / "state") as host:
        port = host.read_until(r"functions ready on http://127.0.0.1:(\d+)").group(1)

        assert {_health(port, app) for app in APPS} == {"Healthy"}


def test_no_two_packaged_apps_share_a_task_hub(tmp_path: Path) -> None:
    hubs = [
        json.loads((package(app, tmp_path / app) / "host.json").read_text())["extensions"][
            "durableTask"
        ]["hubName"]
        for app in APPS
    ]

    assert len(set(hubs)) == len(APPS)
