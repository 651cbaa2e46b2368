"""`deploy` and `deployment --wait`: what is sent, what is shown while it goes, how it ends."""

from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from tests.cli.small_platform import (
    DEPLOYMENT,
    DIGEST,
    ENVIRONMENT,
    RUNTIME,
    THE_ACCEPTED,
    THE_DEPLOYMENT,
    RuntimeCtl,
    answer_of,
)
from tests.cli.small_server import Asked, serving

pytestmark = pytest.mark.real
POST = f"POST {RUNTIME}/deployments"
GET = f"GET {RUNTIME}/deployments/{DEPLOYMENT}"
PROMOTE = f"{POST}/{DEPLOYMENT}/promote"
NO_PORT = "module-shop has no port: it gets no traffic; only a worker needs none"
RELEASE = f"deploy --env test --module module-shop --version 1.0 --artifact {DIGEST}"


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def _ended(status: str, **more: Any) -> dict[str, Any]:
    return {**THE_DEPLOYMENT, "status": status, **more}


def test_a_release_of_one_module_is_sent_as_the_options_say(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(
        f"{RELEASE} --port 8080 --readiness /health --environ LOG=info --weights 10,100 --restart",
        {POST: THE_ACCEPTED},
    )

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written[1] == {
        "environmentId": ENVIRONMENT,
        "releaseRef": "module-shop-1.0",
        "strategy": {"kind": "canary", "steps": [{"weight": 10}, {"weight": 100}]},
        "restart": True,
        "components": [
            {
                "moduleId": "module-shop",
                "componentType": "microservice",
                "version": "1.0",
                "artifactDigest": DIGEST,
                "port": 8080,
                "pathPrefix": "/",
                "probes": {"readiness": {"path": "/health"}},
                "environ": {"LOG": "info"},
            }
        ],
    }
    assert f"runtimectl deployment {DEPLOYMENT} --wait" in ran.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param(RELEASE, "which is Completed; `--restart` starts it anew", id="deploy"),
        pytest.param(f"promote {DEPLOYMENT} --to test", "which is Completed\n", id="promote"),
    ],
)
def test_a_release_that_is_there_already_is_not_shown_as_a_new_one(
    runtimectl: RuntimeCtl, line: str, said: str
) -> None:
    more = {POST: THE_DEPLOYMENT, f"{POST}/{DEPLOYMENT}/promote": THE_ACCEPTED}
    for headers in ({}, {"Repeatability-Result": "accepted"}):
        with serving(
            lambda asked: answer_of(asked, more), keeps_connections=False, headers=headers
        ) as server:
            ran = runtimectl.run_at(server, line)

        assert ran.code == ExitCode.OK, ran.err
        assert (f"nothing differs: this is deployment {DEPLOYMENT} of " in ran.err) == bool(headers)
        assert (said in ran.err) == bool(headers)


@pytest.mark.parametrize(
    ("option", "fix"),
    [
        pytest.param("--weights 10,many", "--weights 10,50,100", id="weights"),
        pytest.param("--weights 10,٣", "--weights 10,50,100", id="weights-of-other-digits"),
        pytest.param("--environ LOG", "--environ LOG_LEVEL=info", id="environ"),
        pytest.param("--command 'serve", "close each quote", id="an-open-quote"),
    ],
)
def test_an_option_that_cannot_be_read_shows_how_it_is_written(
    option: str, fix: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"{RELEASE} {option}")

    assert ran.code == ExitCode.USAGE
    assert fix in ran.err


def test_a_dry_run_shows_components_refusals_and_what_would_be_waited_for(
    runtimectl: RuntimeCtl,
) -> None:
    plan = {
        "components": [
            {"moduleId": "module-shop", "version": "1.0", "releaseRevision": 4, "replicas": 2,
             "digest": DIGEST, "dependsOn": []},
        ],
        "refusals": [
            {"message": "cpu is not limited here", "code": "NotSupported"},
            {"message": "/components/0/dependsOn/1: no such module", "code": "ModuleMissing"},
        ],
        "replicas": {"module-shop": 3},
        "warnings": [NO_PORT],
        "waitingFor": "queue",
    }  # fmt: skip

    ran = runtimectl.run(f"{RELEASE} --dry-run", {POST: plan})

    assert ran.out.splitlines()[1].split()[:4] == ["module-shop", "1.0", "4", "3"]
    assert "refused: cpu is not limited here [NotSupported]" in ran.out
    assert "refused: components[0].dependsOn[1]: no such module [ModuleMissing]" in ran.out
    assert "would wait for queue" in ran.out
    assert ran.err.count("warning: ") == 1


def test_a_dry_run_shows_what_would_be_removed(runtimectl: RuntimeCtl, tmp_path: Path) -> None:
    file = tmp_path / "rm.yaml"
    file.write_text("releaseRef: gone\nremove: [module-shop, module-cart]\n")
    removals = [
        {"moduleId": "module-shop", "version": "1.0", "releaseRevision": 4},
        {"moduleId": "module-cart", "version": None, "releaseRevision": None},
    ]
    plan = {"components": [], "removals": removals, "refusals": [], "waitingFor": None}

    ran = runtimectl.run(f"deploy -f {file} --env test --dry-run", {POST: plan})

    assert ran.code == ExitCode.OK, ran.err
    assert ran.out.splitlines() == ["would remove module-shop 1.0 r4", "would remove module-cart"]


def test_a_dry_run_of_what_is_there_already_plans_nothing(runtimectl: RuntimeCtl) -> None:
    component = {"moduleId": "module-shop", "version": "1.0", "releaseRevision": 21}
    plan = {
        "components": [component], "refusals": [], "waitingFor": None, "repeats": DEPLOYMENT,
    }  # fmt: skip

    ran = runtimectl.run(f"{RELEASE} --dry-run", {POST: plan, GET: THE_DEPLOYMENT})

    assert ran.code == ExitCode.OK, ran.err
    assert f"nothing differs: this is deployment {DEPLOYMENT}" in ran.err
    assert "which is Completed; nothing would begin" in ran.err
    assert ran.out == ""


def test_a_dry_run_that_waits_does_not_say_that_nothing_would_change(
    runtimectl: RuntimeCtl,
) -> None:
    warning = "it is not known"
    plan = {
        "components": [], "refusals": [], "waitingFor": "environment", "warnings": [warning],
    }  # fmt: skip

    ran = runtimectl.run(f"{RELEASE} --dry-run", {POST: plan})

    assert "nothing would change" not in ran.out
    assert "would wait for environment" in ran.out
    assert f"warning: {warning}" in ran.err


@pytest.mark.parametrize("form", ["table", "json"])
def test_a_dry_run_that_is_refused_exits_as_refused_with_the_remedy(
    form: str, runtimectl: RuntimeCtl
) -> None:
    refusal = {"message": "/ is another's", "code": "RouteTaken"}
    plan = {"components": [], "refusals": [refusal], "waitingFor": None}

    ran = runtimectl.run(f"{RELEASE} --dry-run -o {form}", {POST: plan})

    assert ran.code == ExitCode.REFUSED
    assert "give the component another pathPrefix" in ran.err


def test_a_promotion_that_is_refused_in_a_dry_run_exits_as_refused(runtimectl: RuntimeCtl) -> None:
    refusal = {"message": "the soak time is not over", "code": "SoakTimeLeft"}
    plan = {"components": [], "refusals": [refusal], "waitingFor": None}

    ran = runtimectl.run(
        "promote test --to test --dry-run",
        {f"POST {RUNTIME}/deployments/{DEPLOYMENT}/promote": plan},
    )

    assert ran.code == ExitCode.REFUSED
    assert "next:  " in ran.err


@pytest.mark.parametrize(
    "line",
    [
        f"{RELEASE}", f"{RELEASE} --wait", f"{RELEASE} -o json", f"promote {DEPLOYMENT} --to test",
        f"rollback {DEPLOYMENT}", f"cancel {DEPLOYMENT}",
    ],
)  # fmt: skip
def test_a_command_that_is_taken_says_each_of_its_warnings_once(
    line: str, runtimectl: RuntimeCtl
) -> None:
    warning = "module-shop runs 3 instances now"
    accepted = {**THE_ACCEPTED, "warnings": [NO_PORT, warning]}
    actions = [f"{POST}/{DEPLOYMENT}/{each}" for each in ("promote", "rollback", "cancel")]

    ran = runtimectl.run(line, {POST: accepted, **dict.fromkeys(actions, accepted)})

    said = [each for each in ran.err.splitlines() if each.startswith("warning: ")]
    assert said == [f"warning: {NO_PORT}", f"warning: {warning}"]
    assert (warning in ran.out) == ("json" in line)


def test_a_promotion_says_what_stays_behind(runtimectl: RuntimeCtl) -> None:
    lacks = "module-shop has no configuration in this environment"
    warning = f"{lacks},\r\nas it has in {ENVIRONMENT}"
    accepted = {**THE_ACCEPTED, "warnings": [warning]}

    ran = runtimectl.run("promote test --to test", {PROMOTE: accepted})

    assert ran.code == ExitCode.OK, ran.err
    assert "warning: module-shop has no configuration in this environment, as it has in test" in (
        ran.err
    )
    assert len([asked for asked in ran.asked if asked.method == "POST"]) == 1


def test_a_refusal_names_an_environment_as_it_was_typed(runtimectl: RuntimeCtl) -> None:
    service = f"svc-{ENVIRONMENT[4:]}-vw6kkn6z3s of {ENVIRONMENT}x"
    message = f"{DEPLOYMENT} is in {ENVIRONMENT} already, {service}"
    refusal = {"code": "NotPromotable", "message": message}

    def answer(asked: Asked) -> tuple[int, Any]:
        return (409, {"error": refusal}) if asked.method == "POST" else answer_of(asked)

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, f"promote {DEPLOYMENT} --to test")
        by_id = runtimectl.run_at(server, f"promote {DEPLOYMENT} --to {ENVIRONMENT}")

    assert f"{DEPLOYMENT} is in test already, {service}" in ran.err
    assert f"{DEPLOYMENT} is in {ENVIRONMENT} already" in by_id.err


def test_a_file_that_only_removes_modules_is_sent(runtimectl: RuntimeCtl, tmp_path: Path) -> None:
    file = tmp_path / "rm.yaml"
    file.write_text("releaseRef: gone\nremove: [module-shop]\n")

    ran = runtimectl.run(f"deploy -f {file} --env test", {POST: THE_ACCEPTED})

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written[1] == {
        "environmentId": ENVIRONMENT,
        "releaseRef": "gone",
        "remove": ["module-shop"],
        "components": [],
    }


def test_a_removal_without_a_name_is_called_after_what_goes(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "rm.yaml"
    file.write_text("remove: [module-shop]\n")

    ran = runtimectl.run(f"deploy -f {file} --env test", {POST: THE_ACCEPTED})

    assert ran.written[1]["releaseRef"] == "without-module-shop"


@pytest.mark.parametrize("text", ["version: 2026-11-28", "weight: .nan", "a: [" * 5000])
def test_a_file_with_what_json_does_not_have_is_a_usage_error(
    text: str, runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "release.yaml"
    file.write_text(text)

    ran = runtimectl.run(f"deploy -f {file} --env test")

    assert ran.code == ExitCode.USAGE
    assert str(file) in ran.err


def test_waiting_ends_well_with_the_proof_of_each_instance(runtimectl: RuntimeCtl) -> None:
    departure = {
        "path": "environ.LOG",
        "live": "debug",
        "recorded": "info",
        "reason": {"code": "Departs", "message": "somebody changed it"},
    }
    proof = {
        "whole": False,
        "instances": [
            {"instance": "i-1", "releaseRevision": 3, "digest": DIGEST, "departures": [departure]}
        ],
    }

    ran = runtimectl.run(
        f"{RELEASE} --wait", {POST: THE_ACCEPTED, GET: _ended("Completed", proof=proof)}
    )

    assert ran.code == ExitCode.OK, ran.err
    assert "i-1 runs r3" in ran.out
    assert "DEPARTS: environ.LOG is debug, not info" in ran.out
    assert "departs: environ.LOG: somebody changed it" in ran.out
    assert "not every instance could be asked" in ran.out


def test_waiting_for_a_release_that_is_rolled_back_exits_with_its_reason(
    runtimectl: RuntimeCtl,
) -> None:
    reason = {"code": "GateFailed", "message": "2 of 100 requests failed"}
    hold = {"moduleId": "module-shop", "digest": DIGEST}

    ran = runtimectl.run(
        f"deployment {DEPLOYMENT} --wait", {GET: _ended("RolledBack", reason=reason, holds=[hold])}
    )

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "held: module-shop" in ran.out
    assert "2 of 100 requests failed" in ran.err


def test_too_little_evidence_is_met_with_requests_not_with_another_version(
    runtimectl: RuntimeCtl,
) -> None:
    reason = {"code": "GateInconclusive", "message": "3 of 50 samples"}

    ran = runtimectl.run(
        f"deployment {DEPLOYMENT} --wait", {GET: _ended("RolledBack", reason=reason)}
    )

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert f"next:  release its hold (`runtimectl release-hold {DEPLOYMENT}`)" in ran.err
    assert "send it requests" in ran.err
    assert "a version that passes" not in ran.err


def test_of_a_system_that_does_not_answer_nothing_is_claimed(runtimectl: RuntimeCtl) -> None:
    answers = [None, None, (200, _ended("Completed"))]

    def answer(_: Asked) -> tuple[int, Any] | None:
        return answers.pop(0) if answers[1:] else answers[0]

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, f"deployment {DEPLOYMENT} --wait")

    assert ran.code == ExitCode.OK, ran.err
    assert "the host does not answer; waiting for it" in ran.out
    assert "traffic continues" not in ran.out


@pytest.mark.parametrize("code", ["NotReadyInTime", "StartFailed"])
def test_a_release_that_was_not_ready_in_time_leads_to_the_output_of_its_instances(
    code: str, runtimectl: RuntimeCtl
) -> None:
    reason = {"code": code, "message": "module-shop has 0 of 1 within 90 s"}

    ran = runtimectl.run(
        f"{RELEASE} --wait",
        {POST: THE_ACCEPTED, GET: _ended("RolledBack", reason=reason)},
    )

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "`runtimectl logs module-shop --env test`" in ran.err


@pytest.mark.parametrize(
    ("holds", "first"),
    [
        ([], "next:  have room for the new"),
        (
            [{"moduleId": "module-shop", "digest": DIGEST}],
            f"next:  `runtimectl release-hold {DEPLOYMENT}`",
        ),
    ],
    ids=["free", "held"],
)
def test_what_a_quota_refused_and_is_held_leads_to_the_release_of_its_hold_first(
    holds: list[dict[str, str]], first: str, runtimectl: RuntimeCtl
) -> None:
    reason = {"code": "NotReadyInTime", "message": "module-shop-4-0: exceeded quota: tenant"}
    ended = {**_ended("RolledBack", reason=reason), "holds": holds}

    ran = runtimectl.run(f"{RELEASE} --wait", {POST: THE_ACCEPTED, GET: ended})

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert first in ran.err
    assert "`--strategy recreate`" in ran.err


@pytest.mark.parametrize(
    ("code", "next_step"),
    [("CannotStart", "then deploy again"), ("DataMissing", "put the folder back")],
)
def test_a_release_that_the_machine_cannot_start_leads_to_its_cause_and_to_no_new_version(
    code: str, next_step: str, runtimectl: RuntimeCtl
) -> None:
    reason = {"code": code, "message": "data folder uploads is not there"}

    ran = runtimectl.run(
        f"{RELEASE} --wait",
        {POST: THE_ACCEPTED, GET: _ended("RolledBack", reason=reason)},
    )

    assert next_step in ran.err
    assert "version" not in ran.err


def test_a_gate_that_an_instance_failed_leads_to_its_output(runtimectl: RuntimeCtl) -> None:
    message = "at 100 % the gate said Fail; module-shop-2-0: Exited, exit status 1; its last lines:"
    reason = {"code": "GateFailed", "message": message}

    ran = runtimectl.run(
        f"{RELEASE} --wait",
        {POST: THE_ACCEPTED, GET: _ended("RolledBack", reason=reason)},
    )

    assert "`runtimectl logs module-shop --env test`" in ran.err


@pytest.mark.parametrize("status", ["Cancelled", "RolledBack"])
def test_a_cancellation_is_waited_for_and_both_its_ends_are_good(
    status: str, runtimectl: RuntimeCtl
) -> None:
    cancel = f"POST {RUNTIME}/deployments/{DEPLOYMENT}/cancel"
    reason = {"code": "Cancelled", "message": "asked by a caller"}

    ran = runtimectl.run(
        f"cancel {DEPLOYMENT} --wait",
        {cancel: THE_ACCEPTED, GET: _ended(status, reason=reason)},
    )

    assert ran.code == ExitCode.OK, ran.err
    assert f"{status} shop-1" in ran.out


@pytest.mark.parametrize("code", ["Cancelled", "RollbackAsked"])
def test_who_waits_for_a_release_that_somebody_stopped_is_told_so(
    code: str, runtimectl: RuntimeCtl
) -> None:
    reason = {"code": code, "message": "asked by a caller"}

    ran = runtimectl.run(
        f"deployment {DEPLOYMENT} --wait", {GET: _ended("RolledBack", reason=reason)}
    )

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "next:  nothing to do: it was stopped on request" in ran.err


def test_a_release_that_does_not_say_which_it_is_leads_to_its_question(
    runtimectl: RuntimeCtl,
) -> None:
    message = "module-shop cannot be proved: i-1 does not say its release at /v (version)"
    reason = {"code": "Unavailable", "message": message}

    ran = runtimectl.run(
        f"deployment {DEPLOYMENT} --wait", {GET: _ended("RolledBack", reason=reason)}
    )

    assert "next:  correct path and field of `release:`" in ran.err


def test_waiting_ends_in_time_and_says_that_the_release_goes_on(runtimectl: RuntimeCtl) -> None:
    running = _ended("RollingOut", waitingFor="queue", holder=DEPLOYMENT)

    ran = runtimectl.run(f"deployment {DEPLOYMENT} --wait --timeout 1", {GET: running})

    assert ran.code == ExitCode.STILL_RUNNING
    assert "waiting for queue" in ran.out
    assert f"runtimectl deployment {DEPLOYMENT} --wait" in ran.err
