import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli import host_program
from cli.exit_codes import ExitCode
from cli.main import main
from cli.state_folder import REPOSITORY
from local_agent.agent_lock import held_lock
from local_agent.state_files import DesiredSite, SurfaceFolder
from shared.persistence.lock_files import write_owner
from shared.surfaces.capabilities import Feature
from tests.cli.ended_host import ended_host
from tests.cli.small_platform import Ran, RuntimeCtl
from tests.kit.real_system import free_port
from tests.surfaces.harness import SITE

HEALTH = "GET /v1/platform/{}/health"


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def findings(output: str) -> Mapping[str, Mapping[str, Any]]:
    return {finding["check"]: finding for finding in json.loads(output)}


def test_a_machine_without_a_system_lacks_it_and_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIMECTL_URL", raising=False)

    code = main(["doctor", "--state", str(tmp_path), "-o", "json"])

    found = findings(capsys.readouterr().out)
    assert code == ExitCode.OK
    assert str(REPOSITORY) in found["program"]["detail"]
    assert found["host"]["detail"] == "it does not run: `runtimectl up`"
    assert found["agent"]["result"] == "lacks"
    assert found["state folder"]["result"] == "ok"
    assert found["cpuLimit"]["result"] == "lacks"
    assert found["cpuLimit"]["detail"]


def test_a_host_that_ended_is_one_finding_with_one_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIMECTL_URL", raising=False)
    ended_host(tmp_path, port=7491)
    main(["login", "--dev", "--state", str(tmp_path)])
    capsys.readouterr()

    code = main(["doctor", "--state", str(tmp_path), "-o", "json"])

    printed = capsys.readouterr()
    failed = [each["check"] for each in json.loads(printed.out) if each["result"] == "fails"]
    assert (code, failed) == (ExitCode.UNAVAILABLE, ["host"])
    remedy = json.loads(printed.err)["error"]["next"]
    assert remedy.startswith(f"start it: `runtimectl --state {tmp_path} up`")


@pytest.mark.real
def test_a_program_on_the_public_port_of_an_environment_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIMECTL_URL", raising=False)
    site = SurfaceFolder(tmp_path / "surface").site(SITE.environment)
    site.path.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        site.write_site(DesiredSite(SITE, port, 1))
        code = main(["doctor", "--state", str(tmp_path), "-o", "json"])

    printed = capsys.readouterr()
    found = findings(printed.out)["public port"]
    assert (code, found["result"]) == (ExitCode.UNAVAILABLE, "fails")
    assert f"port {port}, the public port of {SITE.environment}" in found["detail"]
    assert f"process {os.getpid()}" in found["detail"]


@pytest.mark.real
def test_a_system_elsewhere_that_does_not_answer_is_one_finding(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNTIMECTL_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("RUNTIMECTL_TOKEN", "a-token")

    code = main(["doctor", "-o", "json"])

    printed = capsys.readouterr()
    failed = [each["check"] for each in json.loads(printed.out) if each["result"] == "fails"]
    assert (code, failed) == (ExitCode.UNAVAILABLE, ["services"])
    assert json.loads(printed.err)["error"]["next"].startswith("check RUNTIMECTL_URL")


def test_each_word_for_what_workloads_are_held_to_has_its_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIMECTL_URL", raising=False)

    main(["doctor", "--state", str(tmp_path), "-o", "json"])

    found = findings(capsys.readouterr().out)
    assert [feature for feature in Feature if " " not in found[feature]["detail"]] == []


def test_a_state_folder_that_cannot_be_one_fails(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--state", "/dev/null/here"])

    assert code == ExitCode.UNAVAILABLE
    assert "error: state folder: /dev/null/here cannot be written" in capsys.readouterr().err


def test_the_disk_that_the_state_takes_is_shown_by_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.commands.doctor.NAMES_MAX", 3)
    monkeypatch.delenv("RUNTIMECTL_URL", raising=False)
    for at, mib in (
        ("blobs/artifacts/sha256/a", 2),
        ("environments/volumes/env-a/up/file", 1),
        ("databases/runtime/a.db", 1),
        ("host.db", 1),
    ):
        (tmp_path / at).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / at).write_bytes(b"x" * mib * 2**20)
    for number in range(5):
        (tmp_path / "surface" / "sites" / f"{number}").mkdir(parents=True)

    main(["doctor", "--state", str(tmp_path), "-o", "json"])

    shown = findings(capsys.readouterr().out)["disk"]["detail"]
    assert shown == ("artifacts 2.0 MiB, instances more than 0.0 MiB, data 1.0 MiB, stores 2.0 MiB")


def test_a_running_agent_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with held_lock(tmp_path) as lock:
        write_owner(lock or 0, 4711)

        main(["doctor", "--state", str(tmp_path), "-o", "json"])

    found = findings(capsys.readouterr().out)
    assert (found["agent"]["result"], found["agent"]["detail"][:8]) == ("ok", "pid 4711")


def test_an_agent_that_has_no_owner_yet_has_no_pid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with held_lock(tmp_path):
        main(["doctor", "--state", str(tmp_path), "-o", "json"])

    detail = findings(capsys.readouterr().out)["agent"]["detail"]
    assert detail.startswith("it starts or ends")


@pytest.mark.real
def test_a_service_that_is_unwell_fails_with_its_reason(runtimectl: RuntimeCtl) -> None:
    entry = {"status": "Unhealthy", "description": "no space left on the device"}
    unwell = {"status": "Unhealthy", "entries": {"store": entry}}
    well = {"status": "Healthy", "entries": {}}

    ran: Ran = runtimectl.run(
        "doctor", {HEALTH.format("health"): unwell, HEALTH.format("catalog"): well}
    )

    assert ran.code == ExitCode.UNAVAILABLE
    assert "health: store is Unhealthy: no space left on the device" in ran.err
    assert "catalog" in ran.out


def test_a_client_of_clusters_that_is_not_installed_is_named_before_a_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIMECTL_URL", raising=False)
    monkeypatch.setenv("RUNTIME_KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(host_program, "find_spec", lambda _name: None)

    code = main(["up", "--state", str(tmp_path / "state"), "-o", "json"])
    error = json.loads(capsys.readouterr().err)["error"]
    main(["doctor", "--state", str(tmp_path), "-o", "json"])

    assert code == ExitCode.USAGE
    assert error["message"].startswith("RUNTIME_KUBECONFIG names a cluster")
    assert "lightkube, httpx2" in error["message"]
    assert "requirements/azure.txt" in error["next"]
    found = findings(capsys.readouterr().out)["cluster client"]
    assert found["result"] == "lacks"
    assert "requirements/azure.txt" in found["detail"]
