"""A tenant that is bound to another one's environment cannot read it, and uses it by its id."""

from typing import Any, Final

import pytest

from cli.exit_codes import ExitCode
from tests.cli.small_platform import DEPLOYMENT, ENVIRONMENT, RUNTIME, THE_ACCEPTED, RuntimeCtl
from tests.cli.small_server import serving

pytestmark = pytest.mark.real
_MODULE: Final = "module-shop"
_FOREIGN: Final[dict[str, Any]] = {
    f"GET {RUNTIME}/environments": [],
    f"GET {RUNTIME}/environments/{ENVIRONMENT}": None,
    f"GET {RUNTIME}/tenant-bindings": [],
    f"GET {RUNTIME}/secret-bindings": [],
    f"GET {RUNTIME}/configurations": [],
    f"GET {RUNTIME}/scaling-policies": [],
    f"POST {RUNTIME}/deployments": THE_ACCEPTED,
    f"POST {RUNTIME}/deployments/{DEPLOYMENT}/promote": THE_ACCEPTED,
    f"POST {RUNTIME}/deployments/{DEPLOYMENT}/rollback": THE_ACCEPTED,
}


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.mark.parametrize(
    "line",
    [
        f"deploy --env {ENVIRONMENT} --module {_MODULE} --version 1 --artifact sha256:{'a' * 64}",
        f"promote {DEPLOYMENT} --to {ENVIRONMENT}",
        f"rollback {ENVIRONMENT}",
        f"deployment {ENVIRONMENT}",
        f"deployments --env {ENVIRONMENT}",
        f"status --env {ENVIRONMENT}",
        f"history {_MODULE} --env {ENVIRONMENT}",
        f"tenant list --env {ENVIRONMENT}",
        f"secret list --env {ENVIRONMENT}",
        f"config list --env {ENVIRONMENT}",
        f"scale list --env {ENVIRONMENT}",
    ],
)
def test_its_id_is_taken_as_it_is(line: str, runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(line, _FOREIGN)

    assert ran.code == ExitCode.OK, ran.err
    assert f"{RUNTIME}/environments/{ENVIRONMENT}" not in {asked.path for asked in ran.asked}


def test_its_deployments_are_listed_with_its_id(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("deployments", _FOREIGN)

    assert ENVIRONMENT in ran.out


def test_what_only_its_owner_sees_leads_to_the_bindings(runtimectl: RuntimeCtl) -> None:
    error = {"error": {"code": "EnvironmentNotFound", "message": "no environment"}}
    with serving(lambda _: (404, error), keeps_connections=False) as server:
        ran = runtimectl.run_at(server, f"env show {ENVIRONMENT}")

    assert ran.code == ExitCode.NOT_FOUND
    assert "`runtimectl tenant list`" in ran.err


def test_a_layer_there_is_called_by_the_id(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(f"config set a=1 --env {ENVIRONMENT} --dry-run", _FOREIGN)

    assert "no environment" not in ran.err
    assert [asked.method for asked in ran.asked] == ["GET", "GET", "POST"]
    assert ENVIRONMENT in ran.asked[-1].body.decode()
