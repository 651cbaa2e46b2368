"""What somebody changes in the whole story behind the platform's back: a process, a file, a route.

Nothing here asks the platform to do it: it is what a person with a shell on the machine can do.
"""

import json
import os
import shlex
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from cli.demo.promises import OutsideChange
from cli.demo.rollouts import service_id, wait_until
from cli.demo.sandbox import DemoFailed, Sandbox
from cli.demo.scenario import MODULE
from cli.demo.two_tenants import OWNER, answered_version, host_of
from cli.demo.whole_scenario import GUEST
from local_agent.configuration_files import FOLDER as CONFIGURATION
from local_agent.observation import StartedProcess
from shared.connections import envoy_documents

_ASKED: Final = 20
"""Requests that show which versions answer."""


def kill_a_workload(sandbox: Sandbox) -> None:
    """Kill the workload of staging: its surface starts it again, which is no drift."""
    (killed,) = _running(sandbox, "staging")
    pid = killed.identity.pid
    sandbox.print_command(f"kill -9 {pid}    # {MODULE} in staging")
    os.kill(pid, signal.SIGKILL)

    def started_again() -> StartedProcess | None:
        running = [each for each in _running(sandbox, "staging") if each.identity.pid != pid]
        return running[0] if running else None

    again = wait_until(sandbox, "the killed process is started again", started_again)
    sandbox.print(f"pid {pid} is {again.identity.pid} now: its surface keeps it running")


def edit_configuration(sandbox: Sandbox) -> OutsideChange:
    """Edit the configuration file of the instance of prod."""
    file = os.path.relpath(_running(sandbox, "prod")[0].folder / CONFIGURATION)
    file = f"{file}/configuration.json"
    line = f"sed -i s/pause_ms/pause_s/ {shlex.quote(file)}"
    sandbox.print_command(f"{line}    # in prod")
    before = Path(file).read_bytes()
    subprocess.run(shlex.split(line), check=True)  # noqa: S603  our own line
    if Path(file).read_bytes() == before:
        raise DemoFailed(f"{file} has no pause_ms that could be edited")
    return OutsideChange(sandbox.environment("prod")["environmentId"], "workload", "instances")


def turn_traffic(sandbox: Sandbox) -> OutsideChange:
    """Send half of the owner's requests in test to the service of its guest."""
    environment = sandbox.environment("test")["environmentId"]
    file = sandbox.proxy_folder(environment) / "routes.json"
    table = split_in_halves(json.loads(file.read_bytes()), host_of(OWNER), host_of(GUEST))
    draft = file.with_suffix(".edited")
    draft.write_text(json.dumps(table), encoding="utf-8")
    sandbox.print_command(f"$EDITOR {os.path.relpath(file)}    # half of test goes to {GUEST}")
    draft.replace(file)
    wait_until(sandbox, "the proxy has the edited table", lambda: len(answers_of_test(sandbox)) > 1)
    print_answers(sandbox)
    return OutsideChange(environment, "routing", "weight")


def answers_of_test(sandbox: Sandbox) -> Mapping[str, int]:
    """Return how often each version answers the owner's path of test."""
    public = str(sandbox.environment("test")["provisioned"][0]["endpoint"])
    return Counter(answered_version(public) for _ in range(_ASKED))


def print_answers(sandbox: Sandbox) -> Mapping[str, int]:
    answers = answers_of_test(sandbox)
    shown = ", ".join(f"{version}: {count}" for version, count in sorted(answers.items()))
    sandbox.print(f"answers:   of {_ASKED} requests to test, {shown}")
    return answers


def split_in_halves(table: Mapping[str, Any], host: str, other: str) -> Mapping[str, Any]:
    """Return a route *table* in which half of what goes where *host* goes, goes to *other*'s."""
    resources = deepcopy(table["resources"])
    hosts = resources[0]["virtual_hosts"]
    (cluster,), (another,) = (
        [name for each in hosts if name_of in each["domains"] for name in _clusters(each)]
        for name_of in (host, other)
    )
    for each in hosts:
        for route in each["routes"]:
            if _clusters({"routes": [route]}) == [cluster]:
                halves = [{"name": name, "weight": 50} for name in (cluster, another)]
                route["route"]["weighted_clusters"]["clusters"] = halves
    return envoy_documents.response(resources)


def _clusters(virtual_host: Mapping[str, Any]) -> Sequence[str]:
    return [
        entry["name"]
        for route in virtual_host["routes"]
        for entry in route.get("route", {}).get("weighted_clusters", {}).get("clusters", [])
    ]


def _running(sandbox: Sandbox, environment: str) -> Sequence[StartedProcess]:
    """Return the processes of the service of *environment*."""
    found = sandbox.environment(environment)
    return sandbox.live_processes(found["environmentId"], service_id(sandbox, found))
