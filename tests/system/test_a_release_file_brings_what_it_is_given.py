"""A release file with configuration and secrets: its deployment is given just that."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.g16_scale import archive
from benchmarks.memory_app import folder_in
from cli.client import Client
from tests.kit.patience import PATIENCE_S
from tests.kit.real_system import REPOSITORY, RealSystem, real_system

pytestmark = pytest.mark.real
RELEASE = """
releaseRef: shop-1.0
environment: shop
components:
  - moduleId: module-shop
    componentType: gateway
    version: '1.0'
    artifactDigest: {digest}
    command: [serve]
    port: 8080
    pathPrefix: /
    probes: {{readiness: {{path: /}}}}
configuration:
  - module: module-shop
    values: {{greeting: "1.0"}}
  - layer: tenant
    values: {{currency: EUR}}
secrets:
  - {{name: session-key, target: SESSION_KEY, generator: {{kind: random}}}}
"""


def ran(system: RealSystem, client: Client, *words: str) -> Any:
    """Run a line of `runtimectl`; return what it printed as JSON."""
    environ = {"RUNTIMECTL_URL": system.url, "RUNTIMECTL_TOKEN": client._token or ""}
    process = subprocess.run(
        [sys.executable, "-m", "cli.main", *words, "-o", "json"], cwd=REPOSITORY,
        env={**os.environ, **environ}, capture_output=True, text=True, timeout=PATIENCE_S,
        check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.long
def test_the_first_deployment_is_given_what_its_file_publishes_and_binds(tmp_path: Path) -> None:
    file = tmp_path / "release.yaml"
    with (
        real_system(tmp_path / "state", folder_in(tmp_path)) as system,
        closing(system.client("acme")) as client,
    ):
        ran(system, client, "env", "create", "shop", "--wait")
        digest = client.upload("/v1/runtime/artifacts", archive(1), "application/zip").body
        file.write_text(RELEASE.format(digest=digest["digest"]))
        planned = ran(system, client, "deploy", "-f", str(file), "--dry-run")
        deployed = ran(system, client, "deploy", "-f", str(file), "--wait")

    (before,), (after,) = planned["components"], deployed["releaseUnit"]["components"]
    assert before["configuration"]["module"] in {0, None}
    assert (after["configuration"]["module"], after["configuration"]["tenant"]) == (1, 1)
    assert [each["name"] for each in after["secrets"]] == ["session-key"]
    assert after["secretVersions"]["session-key"]
