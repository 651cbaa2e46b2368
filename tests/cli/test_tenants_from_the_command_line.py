"""`tenant`: what is bound, suspended and unbound is as the contract has it."""

import asyncio
import json
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from cli.exit_codes import ExitCode
from cli.tenant_bindings import TenantBindingOptions
from function_apps.tenants.model.move import TAKEN_BACK_BY_CALLER
from shared.contracts.isolation import IsolationLayer
from shared.contracts.tenants import (
    BindingMove,
    BindTenant,
    ErasureReport,
    IsolationProofs,
    RuntimeTenantBinding,
    Suspension,
)
from shared.contracts.validation import read
from shared.contracts.values import IsolationModel
from shared.kernel.clock import SystemClock
from shared.kernel.entropy import SystemEntropy
from shared.vault.signing_keys import SigningKeys
from tests.cli.small_platform import ENVIRONMENT, NOON, RUNTIME, RuntimeCtl, answer_of, platform
from tests.cli.small_server import Asked, serving
from tests.kit.memory_vaults import MemoryVaults, platform_vault

pytestmark = pytest.mark.real
BINDING = "tb-w5ekllr23tyb-aaaaaaaaaaaa"
GUEST = "tb-w5ekllr23tyb-bbbbbbbbbbbb"
ROOT = f"{RUNTIME}/tenant-bindings"
ONE = f"{ROOT}/{BINDING}"


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def binding(**changes: Any) -> dict[str, Any]:
    body = {
        "bindingId": BINDING, "tenantId": "acme", "environmentId": ENVIRONMENT,
        "ownerTenantId": "acme", "stage": "prod", "isolationModel": "pool", "requires": [],
        "namespace": "acme-shop", "identity": None, "quota": {}, "quotaFull": [],
        "status": "Enforced", "suspendedBy": None, "phase": None, "moved": [], "proofs": [],
        "reason": None, "revision": 2,
        "createdAt": NOON, "updatedAt": NOON, "lastOperationId": None, **changes,
    }  # fmt: skip
    return RuntimeTenantBinding.model_validate(body).model_dump(mode="json", by_alias=True)


def guest(**changes: Any) -> dict[str, Any]:
    return binding(**{"bindingId": GUEST, "tenantId": "globex", **changes})


@pytest.mark.parametrize(
    ("line", "body"),
    [
        pytest.param("tenant bind test", {"environmentId": ENVIRONMENT}, id="ones-own"),
        pytest.param(
            "tenant bind test --tenant globex --model POOL --require network --instances 20 "
            "--requests-per-second 50",
            {
                "environmentId": ENVIRONMENT,
                "tenantId": "globex",
                "isolationModel": "pool",
                "requires": ["network"],
                "quota": {"instances": 20, "requestsPerSecond": 50.0},
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
    assert f"next:  runtimectl tenant show {BINDING}\n" in ran.err


def test_the_environment_of_another_tenant_is_named_by_its_id(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant bind test --owner globex")

    assert ran.code == ExitCode.USAGE
    assert "env-…" in ran.err


@pytest.mark.parametrize(
    ("line", "begun", "wanted"),
    [
        ("tenant bind test --wait", f"POST {ROOT}", "Enforced"),
        (f"tenant unbind {BINDING} --confirm acme --wait", f"DELETE {ONE}", "Unbound"),
    ],
)
def test_it_is_waited_for_until_it_is_enforced_or_gone(
    line: str, begun: str, wanted: str, runtimectl: RuntimeCtl
) -> None:
    on_its_way = binding(status="Bound" if wanted == "Enforced" else "Unbinding")

    ran = runtimectl.run(line, {begun: on_its_way, f"GET {ONE}": binding(status=wanted)})

    assert ran.code == ExitCode.OK, ran.err
    assert f"✓ {wanted}" in ran.out
    assert "next:" not in ran.err


def test_a_binding_whose_isolation_failed_is_not_waited_for(runtimectl: RuntimeCtl) -> None:
    reason = {"code": "TenantNotAdmitted", "message": "it does not list acme in admits"}
    failed = binding(status="Bound", reason=reason)

    ran = runtimectl.run(
        "tenant bind test --wait",
        {f"POST {ROOT}": binding(status="Bound"), f"GET {ONE}": failed},
    )

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "does not list acme" in ran.err


@pytest.mark.parametrize(
    ("line", "begun", "wanted"),
    [
        ("tenant bind test --tenant globex --wait", f"POST {ROOT}", "Enforced"),
        (
            "tenant unbind test --tenant globex --confirm globex --wait",
            f"DELETE {ROOT}/{GUEST}",
            "Unbound",
        ),
    ],
)
def test_the_owner_waits_for_a_guest_too(
    line: str, begun: str, wanted: str, runtimectl: RuntimeCtl
) -> None:
    one = f"{ROOT}/{GUEST}"
    on_its_way = guest(status="Bound" if wanted == "Enforced" else "Unbinding")

    ran = runtimectl.run(
        line,
        {f"GET {ROOT}": [guest()], begun: on_its_way, f"GET {one}": guest(status=wanted)},
    )

    assert ran.code == ExitCode.OK, ran.err
    assert f"✓ {wanted}" in ran.out
    assert ran.query_of(one)["tenantId"] == "globex"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("tenant show test --tenant globex", ROOT),
        (f"tenant show {GUEST} --tenant globex", f"{ROOT}/{GUEST}"),
        ("tenant proofs test --tenant globex", f"{ROOT}/{GUEST}/proofs"),
    ],
)
def test_a_guest_is_shown_to_the_owner(line: str, path: str, runtimectl: RuntimeCtl) -> None:
    answers = {
        f"GET {ROOT}": [binding(), guest()],
        f"GET {ROOT}/{GUEST}": guest(),
        f"GET {ROOT}/{GUEST}/proofs": {"bindingId": GUEST, "value": []},
    }

    ran = runtimectl.run(line, answers)

    assert ran.code == ExitCode.OK, ran.err
    assert path == ROOT or ran.query_of(path)["tenantId"] == "globex"
    assert path != ROOT or GUEST in ran.out


def test_without_a_tenant_it_is_ones_own_binding(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant show test", {f"GET {ROOT}": [guest(), binding()]})

    assert BINDING in ran.out
    assert GUEST not in ran.out


@pytest.mark.parametrize("line", ["tenant show test --tenant initech", "tenant show test"])
def test_where_it_is_not_clear_whose_binding_is_meant_those_that_are_there_are_named(
    line: str, runtimectl: RuntimeCtl
) -> None:
    other = binding(bindingId="tb-w5ekllr23tyb-cccccccccccc", tenantId="umbrella")

    ran = runtimectl.run(line, {f"GET {ROOT}": [guest(), other]})

    assert ran.code == ExitCode.NOT_FOUND
    assert "globex, umbrella" in ran.err
    assert "--tenant globex" in ran.err


def test_what_is_no_id_of_a_binding_is_told_how_one_looks(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant show tb-xxx")

    assert ran.code == ExitCode.USAGE
    assert "such as tb-" in ran.err


def test_a_list_says_of_which_quota_nothing_is_left(runtimectl: RuntimeCtl) -> None:
    full = guest(quota={"instances": 2, "memoryMib": 512}, quotaFull=["instances", "memoryMib"])

    ran = runtimectl.run("tenant list --env test", {f"GET {ROOT}": [binding(), full]})

    own, guests = ran.out.splitlines()[1:3]
    assert "instances" not in own
    assert "instances, memoryMib" in guests


def test_a_list_is_of_one_tenant(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant list --tenant globex", {f"GET {ROOT}": [binding(), guest()]})

    assert BINDING not in ran.out
    assert GUEST in ran.out


def test_a_tenant_is_moved_to_another_model_and_shown_with_its_step(runtimectl: RuntimeCtl) -> None:
    moving = binding(status="Moving", phase="CutOver", isolationModel="silo")
    answers = {f"GET {ROOT}": [binding()], f"POST {ONE}/move": moving}

    ran = runtimectl.run("tenant move test --model silo --reason grown --allow-downtime", answers)

    assert ran.code == ExitCode.OK, ran.err
    body = {"isolationModel": "silo", "reason": "grown", "allowDowntime": True}
    assert ran.written == (f"POST {ONE}/move", body)
    read(BindingMove, body)
    assert "Moving (CutOver)" in ran.out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({}, "it is isolated by pool already: nothing changed\n", id="it-has-it"),
        pytest.param(
            {"reason": {"code": "MoveTakenBack", "message": "no room:\nexceeded quota"}},
            "it is isolated by pool already: nothing changed; its reason is of an earlier move\n",
            id="it-has-it-since-a-move-was-taken-back",
        ),
        pytest.param(
            {
                "status": "Moving", "phase": "Preparing",
                "reason": {"code": "MovedByCaller", "message": "grown"},
            },
            "it is being moved to pool already: nothing changed\n",
            id="it-is-on-its-way",
        ),
    ],
)  # fmt: skip
def test_a_move_to_the_model_that_is_there_says_that_nothing_changed(
    changes: dict[str, Any], said: str, runtimectl: RuntimeCtl
) -> None:
    known = binding(isolationModel="pool", **changes)

    ran = runtimectl.run(
        "tenant move test --model pool", {f"GET {ROOT}": [known], f"POST {ONE}/move": known}
    )

    assert ran.code == ExitCode.OK, ran.err
    assert said in ran.err


@pytest.mark.parametrize(
    ("option", "said"),
    [("", "no such binding of your tenant; `--env`"), ("--env test", "no such binding in that")],
)
def test_a_list_without_a_binding_says_of_whom_there_is_none(
    option: str, said: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"tenant list {option}", {f"GET {ROOT}": []})

    assert said in ran.out + ran.err


def test_the_reason_of_a_binding_is_on_one_line_of_the_table(runtimectl: RuntimeCtl) -> None:
    reason = {"code": "MoveTakenBack", "message": "no room:\nexceeded quota"}

    ran = runtimectl.run("tenant list", {f"GET {ROOT}": [binding(reason=reason)]})

    assert "no room: exceeded quota" in ran.out


def test_a_list_says_which_layer_of_a_tenant_is_breached(runtimectl: RuntimeCtl) -> None:
    proofs = [
        {"layer": layer, "verdict": verdict, "positiveControl": True, "evidence": [],
         "checkedAt": NOON}
        for layer, verdict in (("network", "Breach"), ("identity", "Pass"))
    ]  # fmt: skip

    ran = runtimectl.run("tenant list", {f"GET {ROOT}": [binding(proofs=proofs)]})

    assert (
        f"isolation is breached (network): see `runtimectl tenant proofs {binding()['bindingId']}`"
        in ran.out
    )


def test_the_owner_of_an_environment_moves_a_guest_that_it_names(runtimectl: RuntimeCtl) -> None:
    moving = guest(status="Moving", phase="Preparing", isolationModel="pool")
    answers = {f"GET {ROOT}": [guest()], f"POST {ROOT}/{GUEST}/move": moving}

    ran = runtimectl.run("tenant move test --tenant globex --model pool", answers)

    assert ran.code == ExitCode.OK, ran.err
    path, body = ran.written
    assert (path, body["tenantId"]) == (f"POST {ROOT}/{GUEST}/move", "globex")
    read(BindingMove, body)


@pytest.mark.parametrize(
    "line",
    [
        "tenant move test --model pool",
        "tenant suspend test --reason because",
        "tenant unbind test --confirm globex",
    ],
)
def test_the_owner_of_an_environment_is_told_to_name_the_guest_that_it_changes(
    line: str, runtimectl: RuntimeCtl
) -> None:
    error = {"code": "TenantBindingNotFound", "message": f"no tenant binding '{GUEST}'"}

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.method != "GET":
            return 404, {"error": error}
        return answer_of(asked, {f"GET {ROOT}": [guest()]})

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, line)

    assert ran.code == ExitCode.NOT_FOUND
    assert f"{GUEST} is of globex" in ran.err
    assert "next:  type the command again with `--tenant globex`" in ran.err


def test_a_move_that_was_taken_back_is_no_success(runtimectl: RuntimeCtl) -> None:
    reason = {"code": "MoveTakenBack", "message": "module-web, GateFailed: too slow"}
    moving = {**binding(status="Moving", phase="Preparing"), "reason": None}

    ends = {
        "moved": binding(isolationModel="silo"),
        "back": binding(reason=reason),
    }
    ran = {
        name: runtimectl.run(
            f"tenant move {BINDING} --model silo --wait",
            {f"POST {ONE}/move": moving, f"GET {ONE}": end},
        )
        for name, end in ends.items()
    }

    assert ran["moved"].code == ExitCode.OK, ran["moved"].err
    assert ran["back"].code == ExitCode.ENDED_OTHERWISE
    assert "too slow" in ran["back"].err


def test_a_move_that_somebody_took_back_needs_no_mending(runtimectl: RuntimeCtl) -> None:
    reason = {"code": TAKEN_BACK_BY_CALLER, "message": "not now"}
    answers = {
        f"GET {ROOT}": [binding()],
        f"POST {ONE}/move": binding(status="Moving", phase="CutOver", revision=5),
        f"GET {ONE}": binding(reason=reason, revision=6),
    }

    ran = runtimectl.run("tenant move test --model silo --wait", answers)

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "✓" not in ran.out
    assert "✗ Enforced as before: the move was taken back" in ran.out
    assert "nothing to mend: somebody took it back" in ran.err


def test_a_second_unbinding_says_that_it_changed_nothing(runtimectl: RuntimeCtl) -> None:
    gone = binding(status="Unbound", revision=4)
    answers = {f"GET {ROOT}": [gone], f"DELETE {ONE}": gone}

    ran = runtimectl.run("tenant unbind test --confirm acme", answers)

    assert (ran.code, "it was Unbound already" in ran.err) == (ExitCode.OK, True)


def test_a_binding_is_shown_with_its_proofs_in_short(runtimectl: RuntimeCtl) -> None:
    proof = {
        "layer": "compute", "verdict": "Pass", "positiveControl": True,
        "evidence": ["x" * 900], "checkedAt": NOON, "raisedAt": None,
    }  # fmt: skip

    ran = runtimectl.run("tenant show test", {f"GET {ROOT}": [binding(proofs=[proof])]})

    assert f"compute Pass; evidence: `runtimectl tenant proofs {BINDING}`" in ran.out
    assert "xxx" not in ran.out


def test_who_suspends_says_why(runtimectl: RuntimeCtl) -> None:
    with platform({f"GET {ROOT}": [binding()]}) as server:
        ran = runtimectl.run_words(server, ["tenant", "suspend", "test", "--reason", " "])

    assert ran.code == ExitCode.USAGE
    assert [asked.method for asked in ran.asked] == []


def test_a_second_suspension_says_that_it_changed_nothing(runtimectl: RuntimeCtl) -> None:
    suspended = binding(status="Suspended")

    ran = runtimectl.run(
        "tenant suspend test --reason unpaid",
        {f"GET {ROOT}": [suspended], f"POST {ONE}/suspend": suspended},
    )

    assert "nothing changed" in ran.err


@pytest.mark.parametrize(
    ("by", "own", "line"),
    [
        pytest.param("acme", "", "ask acme to resume it", id="that-the-owner-suspended"),
        pytest.param("globex", "", "runtimectl tenant resume test", id="that-suspended-itself"),
        pytest.param(
            "globex", " --tenant globex", "resume test --tenant globex", id="by-the-owner"
        ),
    ],
)
def test_who_moves_a_suspended_tenant_is_told_who_resumes_it(
    by: str, own: str, line: str, runtimectl: RuntimeCtl
) -> None:
    known = guest(status="Suspended", suspendedBy={"tenantId": by, "actor": "user:ann"})
    words = "not possible for a tenant binding in state Suspended (MoveRequested); allowed in: x"
    problem = {"error": {"code": "TransitionRefused", "message": words}}

    def answer(asked: Asked) -> tuple[int, Any] | None:
        is_move = asked.method == "POST"
        return (409, problem) if is_move else answer_of(asked, {f"GET {ROOT}": [known]})

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_words(server, f"tenant move test --model silo{own}".split())

    assert ran.code == ExitCode.CONFLICT
    assert line in ran.err.splitlines()[-1]


def test_a_binding_is_planned_without_being_waited_for(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant bind test --dry-run --wait", {f"POST {ROOT}": binding()})

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"POST {ROOT}", {"environmentId": ENVIRONMENT, "dryRun": True})
    assert "acme would be bound to test, isolated by pool" in ran.err
    read(BindTenant, ran.written[1])


@pytest.mark.parametrize(
    ("after", "words"),
    [
        pytest.param(
            {"status": "Moving", "phase": "Preparing", "isolationModel": "silo", "revision": 3},
            "it would be moved from pool to silo: each of its modules", id="begun",
        ),
        pytest.param(
            {"isolationModel": "silo", "revision": 3},
            "its move to pool would be taken back: it stays in silo", id="taken-back",
        ),
        pytest.param({}, "it is isolated by pool already: nothing changed", id="there-already"),
    ],
)  # fmt: skip
def test_a_move_is_planned(after: dict[str, Any], words: str, runtimectl: RuntimeCtl) -> None:
    answers = {f"GET {ROOT}": [binding()], f"POST {ONE}/move": binding(**after)}

    ran = runtimectl.run("tenant move test --model silo --dry-run", answers)

    assert ran.code == ExitCode.OK, ran.err
    assert words in ran.err
    assert ran.written[1]["dryRun"] is True
    read(BindingMove, ran.written[1])


@pytest.mark.parametrize("option", ["model", "require"])
def test_help_has_every_word_of_an_option(option: str) -> None:
    words = {"model": IsolationModel, "require": IsolationLayer}[option]
    hint = get_type_hints(TenantBindingOptions, include_extras=True)[option]
    help_text = hint.__metadata__[0].help

    assert [word for word in words if word not in help_text] == []


@pytest.mark.parametrize("verb", ["suspend", "resume"])
def test_a_guest_is_suspended_and_resumed_by_the_owner(verb: str, runtimectl: RuntimeCtl) -> None:
    path = f"{ROOT}/{GUEST}/{verb}"
    answers = {f"GET {ROOT}": [binding(), guest()], f"POST {path}": guest()}

    ran = runtimectl.run(f"tenant {verb} test --tenant globex --reason unpaid", answers)

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"POST {path}", {"reason": "unpaid", "tenantId": "globex"})
    read(Suspension, {"reason": "unpaid", "tenantId": "globex"})


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
    assert "isolate it again: `runtimectl env update test --wait`" in ran.err


def test_a_tenant_that_is_not_bound_is_not_found(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("tenant show test", {f"GET {ROOT}": []})

    assert ran.code == ExitCode.NOT_FOUND
    assert "runtimectl tenant bind test" in ran.err


def _signed_report(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a report, with *changes* since it was signed, and the key set that verifies it."""
    vaults = MemoryVaults(SystemClock(), SystemEntropy())
    keys = SigningKeys(platform_vault(vaults), "key")
    statement = {
        "bindingId": BINDING, "revision": 4, "tenantId": "acme", "environmentId": ENVIRONMENT,
        "ownerTenantId": "globex", "stage": "prod", "isolationModel": "pool", "namespace": None,
        "identity": None, "ending": "GuestLeft", "reason": None, "boundAt": NOON,
        "unboundAt": NOON, "reportedAt": NOON, "retained": ["urn:db"],
        "erased": [{
            "kind": "instances", "target": "AKS", "outcome": "Removed", "lookedAt": NOON,
            "evidence": "the surface lists no component",
        }],
        "kept": [{
            "service": "every service", "kinds": ["audit"], "days": None, "reason": "chained",
        }],
    }  # fmt: skip
    whole = ErasureReport.model_validate({**statement, "signature": ""})
    shown = whole.model_dump(mode="json", by_alias=True, exclude={"signature"})

    async def main() -> tuple[str, Any]:
        signed = await keys.sign(json.dumps(shown).encode(), "erasure-report+json")
        return signed, await keys.key_set()

    signature, key_set = asyncio.run(main())
    return {**shown, "signature": signature, **changes}, {"keys": key_set}


def test_a_report_is_shown_with_what_was_looked_at_and_what_is_kept(
    runtimectl: RuntimeCtl,
) -> None:
    report, keys = _signed_report()
    answers = {f"GET {ONE}/erasure-report": report, f"GET {RUNTIME}/erasure-keys": keys}

    ran = runtimectl.run(
        f"tenant erasure {BINDING} --verify", {**answers, f"GET {ONE}": binding(status="Unbound")}
    )

    assert ran.code == ExitCode.OK, ran.err
    assert "the surface lists no component" in ran.out
    assert "no end" in ran.out
    assert "urn:db" in ran.err
    assert "verified" in ran.err


@pytest.mark.parametrize(
    ("changes", "code", "told"),
    [
        pytest.param({}, ExitCode.OK, "verified", id="as-it-was-signed"),
        pytest.param(
            {"ending": "OwnerUnbound"}, ExitCode.REFUSED, "something else", id="changed-since"
        ),
        pytest.param({"more": 1}, ExitCode.REFUSED, "more", id="with-something-added"),
        pytest.param({"revision": 4.0}, ExitCode.REFUSED, "revision", id="another-kind-of-number"),
        pytest.param(
            {"signature": "e30.e30.e30"}, ExitCode.REFUSED, "not verified", id="signed-by-nobody"
        ),
    ],
)
def test_a_saved_report_is_verified_with_saved_keys_and_without_the_platform(
    changes: dict[str, Any], code: ExitCode, told: str, runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    report, keys = _signed_report(**changes)
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    words = ["tenant", "erasure", "--verify", "--file", f"{tmp_path}/report.json"]

    with platform({}) as server:
        ran = runtimectl.run_words(server, [*words, "--keys", f"{tmp_path}/keys.json"])

    assert ran.code == code, ran.err
    assert told in ran.err
    assert ran.asked == []


def test_a_report_on_another_binding_is_not_verified_though_it_is_signed(
    runtimectl: RuntimeCtl,
) -> None:
    report, keys = _signed_report()
    other = BINDING[:-1] + "b"
    one = f"{ROOT}/{other}"

    ran = runtimectl.run(
        f"tenant erasure {other} --verify",
        {
            f"GET {one}": binding(bindingId=other, status="Unbound"),
            f"GET {one}/erasure-report": report,
            f"GET {RUNTIME}/erasure-keys": keys,
        },
    )

    assert ran.code == ExitCode.REFUSED
    assert BINDING in ran.err
    assert "verified: signed" not in ran.err


@pytest.mark.parametrize("without", ["erased", "retained", "kept"])
def test_a_file_without_a_part_of_a_report_is_named(
    without: str, runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    report, _ = _signed_report()
    del report[without]
    (tmp_path / "report.json").write_text(json.dumps(report))

    ran = runtimectl.run(f"tenant erasure --file {tmp_path}/report.json")

    assert ran.code == ExitCode.USAGE
    assert "report.json has not the form of an erasure report" in ran.err


def test_a_report_that_another_platform_signed_is_refused(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    (report, _), (_, foreign) = _signed_report(), _signed_report()
    (tmp_path / "report.json").write_text(json.dumps(report))

    ran = runtimectl.run(
        f"tenant erasure --verify --file {tmp_path}/report.json",
        {f"GET {RUNTIME}/erasure-keys": foreign},
    )

    assert ran.code == ExitCode.REFUSED
    assert "has no key" in ran.err


@pytest.mark.parametrize(
    "line",
    ["tenant erasure", f"tenant erasure {BINDING} --keys k.json", "tenant erasure --file no.json"],
)
def test_a_report_is_named_in_one_way(line: str, runtimectl: RuntimeCtl) -> None:
    assert runtimectl.run(line).code == ExitCode.USAGE


def test_the_keys_of_reports_are_saved_as_they_are_published(runtimectl: RuntimeCtl) -> None:
    _, keys = _signed_report()

    ran = runtimectl.run("tenant erasure-keys -o json", {f"GET {RUNTIME}/erasure-keys": keys})

    assert json.loads(ran.out) == keys


@pytest.mark.parametrize(
    ("known", "said"),
    [
        pytest.param(binding(), "acme is not unbound without its name", id="ones-own"),
        pytest.param(
            guest(ownerTenantId="acme"),
            "all that it has in the environment of acme goes",
            id="a-guest",
        ),
    ],
)
def test_an_unbinding_says_what_it_takes_before_it_is_confirmed(
    known: dict[str, Any], said: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run("tenant unbind test", {f"GET {ROOT}": [known]})

    assert ran.code == ExitCode.REFUSED
    assert said in ran.err
    assert f"`--confirm {known['tenantId']}`" in ran.err
    assert {each.method for each in ran.asked} == {"GET"}
