"""`tenant`: what is bound, suspended and unbound is as the contract has it."""

from typing import Any

import pytest

from cli.exit_codes import ExitCode
from shared.contracts.tenants import BindTenant, IsolationProofs, RuntimeTenantBinding, Suspension
from shared.contracts.validation import read
from tests.cli.small_platform import ENVIRONMENT, NOON, RUNTIME, RuntimeCtl

pytestmark = pytest.mark.real
BINDING = "tb-w5ekllr23tyb-aaaaaaaaaaaa"
ROOT = f"{RUNTIME}/tenant-bindings"
ONE = f"{ROOT}/{BINDING}"


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def binding(**changes: Any) -> dict[str, Any]:
    body = {
        "bindingId": BINDING, "tenantId": "acme", "environmentId": ENVIRONMENT,
        "ownerTenantId": "acme", "stage": "prod", "isolationModel": "pool", "requires": [],
        "namespace": "acme-shop", "identity": None, "quota": {}, "status": "Enforced",
        "phase": None, "moved": [], "proofs": [], "reason": None, "revision": 2,
        "createdAt": NOON, "updatedAt": NOON, "lastOperationId": None, **changes,
    }  # fmt: skip
    return RuntimeTenantBinding.model_validate(body).model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        pytest.param("tenant bind test", {"environmentId": ENVIRONMENT}, id="ones-own"),
        pytest.param(
            "tenant bind test --tenant globex --model POOL --require network --instances 20",
            {
                "environmentId": ENVIRONMENT,
                "tenantId": "globex",
                "isolationModel": "pool",
                "requires": ["network"],
                "quota": {"instances": 20},
            },
            id="one-that-is-admitted",
        ),
        pytest.param(
            f"tenant bind {ENVIRONMENT} --owner globex",
            {"environmentId": ENVIRONMENT, "ownerTenantId": "globex"},
            id="to-the-environment-of-another-one",
        ),
    ],
)
def test_a_tenant_is_bound_as_it_is_asked_for(
    line: str, body: dict[str, Any], runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(line, {f"POST {ROOT}": binding(status="Bound")})

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"POST {ROOT}", body)
    read(BindTenant, body)
    assert f"runtimectl tenant show {BINDING}" in ran.err


def test_the_environment_of_another_tenant_is_named_by_its_id(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant bind test --owner globex")

    assert ran.code == ExitCode.USAGE
    assert "env-…" in ran.err


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_it_is_suspended_and_resumed_by_its_environment(verb: str, runtimectl: RuntimeCtl) -> None:
    answers = {f"GET {ROOT}": [binding()], f"POST {ONE}/{verb}": binding()}

    ran = runtimectl.run(f"tenant {verb} test --reason unpaid", answers)

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"POST {ONE}/{verb}", {"reason": "unpaid"})
    read(Suspension, {"reason": "unpaid"})


def test_what_its_isolation_showed_is_listed_with_the_evidence(runtimectl: RuntimeCtl) -> None:
    proof = {
        "layer": "quota", "verdict": "Breach", "positiveControl": True, "checkedAt": NOON,
        "evidence": ["acme-shop: quota/instances is 500, not 5"],
    }  # fmt: skip
    proofs = IsolationProofs.model_validate({"bindingId": BINDING, "value": [proof]})
    shown = proofs.model_dump(mode="json", by_alias=True)

    ran = runtimectl.run(
        f"tenant proofs {BINDING}", {f"GET {ONE}": binding(), f"GET {ONE}/proofs": shown}
    )

    assert ran.code == ExitCode.OK, ran.err
    assert [each for each in ("Breach", "500, not 5") if each not in ran.out] == []


def test_a_tenant_that_is_not_bound_is_not_found(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant show test", {f"GET {ROOT}": []})

    assert ran.code == ExitCode.NOT_FOUND
    assert "runtimectl tenant bind test" in ran.err
