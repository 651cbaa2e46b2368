"""A rolling upgrade: the apps of an earlier commit and these, on the same stores and histories.

Both run while a deployment is under way, then those stop that began it, and the others finish.
`PREVIOUS` is moved to the newest release when that is made: what it wrote must be read by others.
"""

import asyncio
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from cli.client import Client
from cli.exit_codes import ExitCode
from cli.failure import Failure
from local_agent.shutdown import stop_agent, stop_everything
from local_host.agent_process import AgentProcess
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.web.issuer import AUDIENCE, DEV_ISSUER, LocalIssuer
from tests.kit.cloud_process import a_cloud
from tests.kit.real_system import REPOSITORY, SteadyClient
from tests.kit.web_releases import ENDED, archive, release_body

pytestmark = [pytest.mark.real, pytest.mark.long(minutes=5), pytest.mark.xdist_group("processes")]
PREVIOUS: Final = "b5eae8f44f739e63af0f56442484f3cc9d00acc5"
WITHIN_S: Final = 600.0
READY: Final = re.compile(r"front end of .* on (http://127\.0\.0\.1:\d+)")


def tree_of(commit: str, target: Path) -> Path:
    """Return *target* with the files of *commit*."""
    packed = target.with_suffix(".tar")
    subprocess.run(["git", "archive", "--output", str(packed), commit], cwd=REPOSITORY, check=True)
    with tarfile.open(packed) as opened:
        opened.extractall(target, filter="data")
    return target


def packaged(tree: Path, target: Path) -> list[str]:
    """Write the packages of *tree* by its own tools; return their folders."""
    write = "import sys; from pathlib import Path; from tools.package import package"
    apps = sorted(path.parent.name for path in tree.glob("function_apps/*/function_app.py"))
    for app in apps:
        subprocess.run(
            [sys.executable, "-c", f"{write}; package(sys.argv[1], Path(sys.argv[2]))",
             app, str(target / app)],
            cwd=tree, check=True,
        )  # fmt: skip
    return [str(target / app) for app in apps]


class System:
    """The state folder with local cloud and agent, on which front ends of both trees run."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self._folder = folder
        self._clock = SystemClock()
        self.token = LocalIssuer(
            self.state / "issuer", DEV_ISSUER, AUDIENCE, self._clock, SystemEntropy()
        ).token("acme", "ann", ("Runtime.Admin",))

    @contextmanager
    def front_end(self, name: str, tree: Path, packages: Sequence[str]) -> Iterator[Client]:
        """Run *packages* of *tree* by the host in it; give a client of them."""
        state = self._folder / name
        for shared in ("apps", "issuer"):
            (self.state / shared).mkdir(exist_ok=True)
            state.mkdir(exist_ok=True)
            (state / shared).symlink_to(self.state / shared)
        cloud = self.state / "cloud"
        command = [
            *(sys.executable, "-m", "local_host.front_end"),
            *packages,
            *("--port", "0", "--state", str(state)),
            *("--settings", str(cloud / "identity-settings.json")),
            *("--archives", str(cloud / "app-settings.json")),
        ]
        log = self._folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=tree, stdout=output, stderr=output,
                env={**os.environ, "PYTHONPATH": str(tree)},
            )  # fmt: skip
        try:
            url = self.until(lambda: READY.search(log.read_text()), process)[1]
            client = Client(url, self.token)
            self.until(lambda: _answers(client))
            with closing(client):
                yield client
        finally:
            process.terminate()
            process.wait(WITHIN_S)
            asyncio.run(stop_agent(state, self._clock))

    def until(self, holds: Any, process: "subprocess.Popen[bytes] | None" = None) -> Any:
        """Return the first true result of *holds*, or fail."""
        give_up_at_s = self._clock.monotonic_s() + WITHIN_S
        while not (found := holds()):
            assert process is None or process.poll() is None, "the front end has ended"
            assert self._clock.monotonic_s() < give_up_at_s, f"not within {WITHIN_S} s"
            asyncio.run(self._clock.sleep(0.1))
        return found

    def close(self) -> None:
        asyncio.run(stop_agent(self.state, self._clock))
        asyncio.run(stop_everything(self.state / "surface", self._clock))


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    found = System(tmp_path)
    cloud = found.state / "cloud"
    with a_cloud(cloud, "--agent-folder", str(found.state)):
        AgentProcess(found.state, SystemClock(), cloud / "app-settings.json").ensure()
        try:
            yield found
        finally:
            found.close()


def _answers(client: Client) -> bool:
    """Return whether the apps have started; until then the front end says which are away."""
    try:
        client.get("/v1/runtime/environments")
    except Failure as failure:
        if failure.exit_code is not ExitCode.UNAVAILABLE:
            raise
        return False
    return True


def ended(system: System, client: Client, path: str) -> Any:
    def deployment() -> Any:
        found = client.get(path).body
        return found if found["status"] in ENDED else None

    return system.until(deployment)


def until_judged(system: System, client: Client, path: str) -> None:
    system.until(lambda: client.get(path).body["status"] == "HealthGating")


def deploy(client: Client, environment: str, name: str) -> str:
    upload = client.upload("/v1/runtime/artifacts", archive(name), "application/zip")
    body = release_body(environment, name, upload.body["digest"])
    answer = client.write("POST", "/v1/runtime/deployments", body).body
    return f"/v1/runtime/deployments/{answer['deploymentId']}"


def provisioned(system: System, client: Client) -> Any:
    body = {
        "name": "shop", "projectId": "proj-web", "stage": "test", "region": "local",
        "computeTargets": [{"kind": "LocalProcess"}],
    }  # fmt: skip
    path = client.write("POST", "/v1/runtime/environments", body).body["environmentId"]

    def ready() -> Any:
        environment = client.get(f"/v1/runtime/environments/{path}").body
        return environment if environment["status"] == "Provisioned" else None

    return system.until(ready)


def test_a_deployment_is_finished_by_the_other_release(system: System, tmp_path: Path) -> None:
    previous = tree_of(PREVIOUS, tmp_path / "previous")
    earlier = (previous, packaged(previous, tmp_path / "earlier-packages"))
    later = (REPOSITORY, packaged(REPOSITORY, tmp_path / "later-packages"))
    results = []
    running = ExitStack()
    try:
        client = running.enter_context(system.front_end("earlier", *earlier))
        environment = provisioned(system, client)
        site, endpoint = environment["environmentId"], environment["provisioned"][0]["endpoint"]
        assert ended(system, client, deploy(client, site, "r1"))["status"] == "Completed"
        with SteadyClient(endpoint, rate=20) as steady:
            for name, tree in (("later", later), ("earlier-again", earlier)):
                path = deploy(client, site, name)
                until_judged(system, client, path)
                following = ExitStack()
                client = following.enter_context(system.front_end(name, *tree))
                assert client.get(path).body["status"] not in ENDED
                running.close()
                running = following
                results.append(ended(system, client, path)["status"])
    finally:
        running.close()

    assert results == ["Completed", "Completed"]
    assert steady.failed == []
