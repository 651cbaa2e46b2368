"""Each command's requests to the platform, and what people and programs read of the answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from shared.kernel.clock import SystemClock, isoformat
from tests.cli.small_platform import (
    DEAD_LETTER,
    DEPLOYMENT,
    DIGEST,
    ENVIRONMENT,
    EVENT,
    NOON,
    OPERATION,
    RUNTIME,
    SERVICE,
    THE_ACCEPTED,
    THE_DEPLOYMENT,
    THE_ENVIRONMENT,
    THE_OPERATION,
    THE_SERVICE,
    RuntimeCtl,
    answer_of,
    platform,
)
from tests.cli.small_server import Asked, serving

pytestmark = pytest.mark.real
ANOTHER = "dep-w5ekllr23tyb-0123456789abcdeg"
PLAN: dict[str, Any] = {
    "planId": DIGEST, "currency": "EUR", "monthlyCost": None, "refusals": [],
    "resources": [{"action": "create", "type": "folder", "urn": "a::files", "dependsOn": []}],
}  # fmt: skip
ROLLING_OUT = {**THE_DEPLOYMENT, "status": "RollingOut"}
NO_TRAFFIC: dict[str, Any] = {
    "moduleId": "module-shop", "releaseRevision": 4, "takenAt": None, "epoch": None,
    "revisions": [], "reason": None,
    "notReady": ["module-shop-4-0: CannotStart: exceeded quota: tenant"],
}  # fmt: skip


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("line", "method", "path", "body"),
    [
        pytest.param(
            "env create test --data files=LocalFolder --tag team=web --protected",
            "POST",
            "environments",
            {
                "computeTargets": [{"kind": "LocalProcess"}],
                "name": "test",
                "stage": "test",
                "projectId": "proj-default",
                "region": "local",
                "dataResources": [{"name": "files", "kind": "LocalFolder"}],
                "tags": {"team": "web"},
                "protected": True,
            },
            id="an-environment-is-created-as-the-options-say",
        ),
        pytest.param(
            "env create test --target aks --target LocalProcess",
            "POST",
            "environments",
            {
                "computeTargets": [{"kind": "AKS"}, {"kind": "LocalProcess"}],
                "name": "test",
                "stage": "test",
                "projectId": "proj-default",
                "region": "local",
            },
            id="an-environment-has-the-targets-that-are-named",
        ),
        pytest.param(
            "env update test --isolation silo",
            "PUT",
            f"environments/{ENVIRONMENT}",
            {
                "isolationModel": "silo",
                "computeTargets": [{"kind": "LocalProcess"}],
                "protected": False,
                "tags": {"team": "web"},
            },
            id="an-update-keeps-what-is-not-named",
        ),
        pytest.param(
            "env delete test --confirm test",
            "DELETE",
            f"environments/{ENVIRONMENT}?confirm=test",
            None,
            id="a-deletion-has-the-name",
        ),
    ],
)
def test_a_command_writes_what_it_was_told(
    line: str, method: str, path: str, body: Any, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(line)

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"{method} {RUNTIME}/{path}", body)


@pytest.mark.parametrize(
    ("line", "action", "body"),
    [
        pytest.param("rollback test --reason slow", "rollback", {"reason": "slow"}, id="rollback"),
        pytest.param(
            f"rollback {DEPLOYMENT} --to {DEPLOYMENT}",
            "rollback",
            {"reason": "", "toDeploymentId": DEPLOYMENT},
            id="rollback-to-one",
        ),
        pytest.param(
            "promote test --to test --strategy canary --weights 10,100",
            "promote",
            {
                "toEnvironmentId": ENVIRONMENT,
                "strategy": {"kind": "canary", "steps": [{"weight": 10}, {"weight": 100}]},
            },
            id="promote",
        ),
        pytest.param(f"cancel {DEPLOYMENT}", "cancel", {"reason": ""}, id="cancel"),
        pytest.param(f"retry {DEPLOYMENT}", "retry", {"reason": ""}, id="retry"),
        pytest.param(
            f"release-hold {DEPLOYMENT} --reason checked",
            "release-hold",
            {"reason": "checked"},
            id="release-hold",
        ),
    ],
)
def test_a_deployment_is_acted_on_by_its_id_or_its_environment(
    line: str, action: str, body: Any, runtimectl: RuntimeCtl
) -> None:
    path = f"{RUNTIME}/deployments/{DEPLOYMENT}/{action}"

    ran = runtimectl.run(line, {f"POST {path}": THE_ACCEPTED})

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"POST {path}", body)


@pytest.mark.parametrize("line", ["status", f"deployment {DEPLOYMENT}"])
def test_why_new_instances_do_not_come_is_said_while_they_are_waited_for(
    line: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(
        line,
        {
            f"GET {RUNTIME}/deployments": [ROLLING_OUT],
            f"GET {RUNTIME}/deployments/{DEPLOYMENT}": ROLLING_OUT,
            f"GET {RUNTIME}/deployments/{DEPLOYMENT}/traffic": [NO_TRAFFIC],
        },
    )

    assert ran.code == ExitCode.OK, ran.err
    assert "module-shop-4-0: CannotStart: exceeded quota: tenant" in ran.out + ran.err


def test_an_older_system_does_not_say_why_new_instances_do_not_come(
    runtimectl: RuntimeCtl,
) -> None:
    older = {name: value for name, value in NO_TRAFFIC.items() if name != "notReady"}
    answers = {
        f"GET {RUNTIME}/deployments": [ROLLING_OUT],
        f"GET {RUNTIME}/deployments/{DEPLOYMENT}/traffic": [older],
    }

    with platform(answers) as server:
        ran = runtimectl.run_at(server, "status")

    assert ran.code == ExitCode.OK, ran.err
    assert "module-shop" in ran.out


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(404, ExitCode.OK, id="it-has-ended"),
        pytest.param(503, ExitCode.OK, id="its-surface-is-away"),
        pytest.param(401, ExitCode.NOT_LOGGED_IN, id="the-login-has-expired"),
        pytest.param(500, ExitCode.DEFECT, id="a-defect"),
    ],
)
def test_the_table_of_services_needs_no_word_of_a_rollout_but_no_defect_is_hidden(
    status: int, code: ExitCode, runtimectl: RuntimeCtl
) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("/traffic"):
            return status, {"error": {"code": "Refused", "message": "it is so"}}
        return answer_of(asked, {f"GET {RUNTIME}/deployments": [ROLLING_OUT]})

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, "status")

    assert ran.code == code, ran.err
    assert "module-shop" in ran.out


def test_of_many_deployments_on_their_way_a_few_are_asked_why(runtimectl: RuntimeCtl) -> None:
    ids = [f"dep-w5ekllr23tyb-{number:016x}" for number in range(12)]
    many = [{**ROLLING_OUT, "deploymentId": each} for each in ids]

    ran = runtimectl.run("status", {f"GET {RUNTIME}/deployments": many})

    assert ran.code == ExitCode.OK, ran.err
    assert len([each for each in ran.asked if each.path.endswith("/traffic")]) == 10
    assert f"2 more are on their way; see one: `runtimectl deployment {ids[10]}`" in ran.err


def test_a_release_on_its_way_is_said_in_status_beside_the_one_that_runs(
    runtimectl: RuntimeCtl,
) -> None:
    waits = {**THE_DEPLOYMENT, "status": "HealthGating", "weight": 10, "waitingFor": "approval"}
    queued = {
        **THE_DEPLOYMENT, "deploymentId": ANOTHER, "kind": "secret", "status": "Requested",
        "weight": 0, "waitingFor": "queue", "secret": {"secretName": "s1", "version": "1234"},
    }  # fmt: skip

    ran = runtimectl.run("status", {f"GET {RUNTIME}/deployments": [queued, waits]})

    release, secret = [line for line in ran.err.splitlines() if "is on its way" in line]
    assert "module-shop" in ran.out
    assert "shop-1 in test is on its way: HealthGating at 10 %, waits for approval" in release
    assert f"`runtimectl deployment {DEPLOYMENT}`" in release
    assert "the roll-out of secret s1 1234 to module-shop in test" in secret
    assert "Requested, waits for queue" in secret


def test_a_first_release_on_its_way_has_a_row_and_is_said_once(runtimectl: RuntimeCtl) -> None:
    component = {"moduleId": "module-new", "version": "1.0"}
    rolls = {**THE_DEPLOYMENT, "status": "RollingOut", "components": [component]}

    ran = runtimectl.run("status", {f"GET {RUNTIME}/deployments": [rolls]})

    assert "module-new" in ran.out
    assert "is on its way" not in ran.err


def test_a_deployment_that_no_one_in_the_environment_fits_is_not_found(
    runtimectl: RuntimeCtl,
) -> None:
    ran = runtimectl.run("cancel test")

    assert ran.code == ExitCode.NOT_FOUND
    assert "runtimectl deployments --env test" in ran.err


def test_a_cancellation_that_two_deployments_fit_names_both_and_sends_nothing(
    runtimectl: RuntimeCtl,
) -> None:
    queued = {**THE_DEPLOYMENT, "deploymentId": ANOTHER, "status": "Requested"}
    rolls = {**THE_DEPLOYMENT, "status": "RollingOut"}

    ran = runtimectl.run("cancel test", {f"GET {RUNTIME}/deployments": [rolls, queued]})

    assert ran.code == ExitCode.USAGE
    assert [asked for asked in ran.asked if asked.method != "GET"] == []
    assert f"`runtimectl cancel {DEPLOYMENT}`" in ran.err
    assert f"`runtimectl cancel {ANOTHER}`" in ran.err


def test_the_only_deployment_on_its_way_is_cancelled(runtimectl: RuntimeCtl) -> None:
    rolls = {**THE_DEPLOYMENT, "status": "RollingOut"}
    path = f"{RUNTIME}/deployments/{DEPLOYMENT}/cancel"

    ran = runtimectl.run(
        "cancel test", {f"GET {RUNTIME}/deployments": [rolls], f"POST {path}": THE_ACCEPTED}
    )

    assert ran.written == (f"POST {path}", {"reason": ""})


def test_a_cancellation_is_planned_without_stopping_anything(runtimectl: RuntimeCtl) -> None:
    rolls = {**THE_DEPLOYMENT, "status": "RollingOut"}
    path = f"{RUNTIME}/deployments/{DEPLOYMENT}/cancel"
    taken_back = {"deploymentId": DEPLOYMENT, "kind": "release", "releaseRef": "shop-1",
                  "modules": ["module-shop"], "secret": None}  # fmt: skip
    plan = {"environmentId": ENVIRONMENT, "takenBack": taken_back, "releaseRef": None,
            "restores": [{"moduleId": "module-shop", "version": "0.9", "startsAgain": False}],
            "removals": [], "waitingFor": None, "holder": None, "warnings": []}  # fmt: skip

    ran = runtimectl.run(
        "cancel test --dry-run", {f"GET {RUNTIME}/deployments": [rolls], f"POST {path}": plan}
    )

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written == (f"POST {path}", {"reason": "", "dryRun": True})
    assert "would take back shop-1, which is on its way: what is in force stays" in ran.out
    assert "in force then: module-shop 0.9" in ran.out


def test_the_hold_of_a_rollback_that_completed_is_released_by_its_environment(
    runtimectl: RuntimeCtl,
) -> None:
    hold = {"moduleId": "module-shop", "version": "2.1", "releaseRef": "shop-leak2"}
    holder = {**THE_DEPLOYMENT, "kind": "rollback", "holds": [hold]}
    newer = {
        **THE_DEPLOYMENT,
        "deploymentId": ANOTHER,
        "createdAt": "2026-11-29T12:00:00Z",
        "holds": [],
    }
    path = f"{RUNTIME}/deployments/{DEPLOYMENT}/release-hold"

    ran = runtimectl.run(
        "release-hold test",
        {
            f"GET {RUNTIME}/deployments": [newer, holder],
            f"GET {RUNTIME}/deployments/{DEPLOYMENT}": holder,
            f"POST {path}": THE_ACCEPTED,
        },
    )

    assert ran.written == (f"POST {path}", {"reason": ""})
    assert "shop-leak2 (module-shop 2.1) may be deployed there again" in ran.err


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param(
            "env list", ["test", "Provisioned", "http://127.0.0.1:9000", NOON], id="env-list"
        ),
        pytest.param("env show test", [ENVIRONMENT, "team=web"], id="env-show"),
        pytest.param("deployments --env test", ["shop-1", "Completed", "user:ann"], id="all"),
        pytest.param(f"deployment {DEPLOYMENT}", [OPERATION, "Completed"], id="one-deployment"),
        pytest.param(
            "status",
            ["module-shop", "Degraded", "1/2", "2 (last 12:00:00", "GET /health answered 404"],
            id="status",
        ),
        pytest.param(f"history {SERVICE}", ["nothing is recorded yet"], id="history-of-nothing"),
        pytest.param("operations --running", ["rollOut", "40", "analyze"], id="operations"),
        pytest.param(f"operations show {OPERATION}", ["Running"], id="one-operation"),
        pytest.param("parked", ["SecretRotated", "UnknownSecret", "deployments"], id="parked"),
        pytest.param("parked", ["SecretBound", "DeadLettered", DEAD_LETTER], id="dead-letters"),
        pytest.param(f"parked show {EVENT}", ["no such secret"], id="one-parked-message"),
        pytest.param(f"parked show {DEAD_LETTER}", ["20 deliveries"], id="one-dead-letter"),
        pytest.param("events", ["RuntimeDeploymentCompleted", "shop-1 in test"], id="events"),
    ],
)
def test_what_there_is_is_shown_in_words(
    line: str, shown: list[str], runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(line)

    assert ran.code == ExitCode.OK, ran.err
    assert [word for word in shown if word not in ran.out] == []


@pytest.mark.parametrize("line", ["env list", "deployments", "status", "operations", "events"])
def test_programs_get_the_list_as_json(line: str, runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(f"{line} -o json")

    assert len(json.loads(ran.out)) == 1


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("events --type SecretBound", id="another-type"),
        pytest.param("events --since 2026-11-29", id="before"),
        pytest.param(f"events --about {SERVICE}", id="about-something-else"),
    ],
)
def test_events_that_were_not_asked_for_are_not_shown(line: str, runtimectl: RuntimeCtl) -> None:
    assert "nothing happened yet" in runtimectl.run(line).out


def test_a_service_without_health_is_shown_as_unknown(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("status", {f"GET {RUNTIME}/services/{SERVICE}/health": None})

    assert ran.code == ExitCode.OK
    assert "Unknown" in ran.out


@pytest.mark.parametrize(
    ("observed_at", "checked_at", "shown"),
    [
        pytest.param("2", "1", ["Unavailable", "Unknown"], id="health-looked-earlier"),
        pytest.param("1", "2", ["Unknown", "Healthy"], id="the-inventory-looked-earlier"),
    ],
)
def test_what_two_services_say_of_one_is_never_a_contradiction(
    observed_at: str, checked_at: str, shown: list[str], runtimectl: RuntimeCtl
) -> None:
    service = {**THE_SERVICE, "status": "Unavailable", "lastObservedAt": observed_at}
    health = {"status": "Healthy", "since": NOON, "checkedAt": checked_at}

    ran = runtimectl.run(
        "status",
        {
            f"GET {RUNTIME}/services": [service],
            f"GET {RUNTIME}/services/{SERVICE}/health": health,
        },
    )

    assert ran.out.splitlines()[1].split()[4:6] == shown


def test_a_first_release_on_its_way_is_shown_before_it_is_a_service(
    runtimectl: RuntimeCtl,
) -> None:
    component = {"moduleId": "module-new", "version": "1.0"}
    rolls = {**THE_DEPLOYMENT, "status": "RollingOut", "components": [component]}

    ran = runtimectl.run(
        "status", {f"GET {RUNTIME}/deployments": [rolls], f"GET {RUNTIME}/services": []}
    )

    (_, row) = ran.out.splitlines()
    assert row.split()[:2] == ["module-new", "test"]
    assert {"RollingOut", DEPLOYMENT} <= {*row.split()}


def test_the_past_of_a_service_is_asked_for_as_of_and_as_known_at(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(f"history {SERVICE} --as-of {NOON} --known-at {NOON}")

    assert ran.query_of(f"{RUNTIME}/services/{SERVICE}") == {"asOf": NOON, "knownAt": NOON}


def test_a_plan_of_an_environment_shows_resources_refusals_and_cost(
    runtimectl: RuntimeCtl,
) -> None:
    refusal = {"target": "region", "message": "not offered", "code": "RegionNotOffered"}

    ran = runtimectl.run(
        "env plan test",
        {f"POST {RUNTIME}/environments": {**PLAN, "refusals": [refusal], "monthlyCost": 12.5}},
    )

    assert ran.written[1]["dryRun"] is True
    assert ran.code == ExitCode.REFUSED
    assert "files" in ran.out
    assert "refused: region: not offered [RegionNotOffered]" in ran.out
    assert "12.50 EUR a month" in ran.out


@pytest.mark.parametrize("is_other", [False, True], ids=["as-it-is", "another"])
def test_an_update_from_a_file_leaves_the_fixed_fields_alone(
    runtimectl: RuntimeCtl, tmp_path: Path, *, is_other: bool
) -> None:
    file = tmp_path / "test.yaml"
    file.write_text(f"stage: {'prod' if is_other else 'test'}\nisolationModel: silo\n")

    ran = runtimectl.run(f"env update test -f {file}")

    if is_other:
        assert ran.code == ExitCode.REFUSED
        assert "stage cannot change: expected test, got prod" in ran.err
        assert "`runtimectl env delete test --wait`" in ran.err
    else:
        assert ran.written[1]["isolationModel"] == "silo"
        assert "stage" not in ran.written[1]


def test_a_region_of_this_machine_is_said_to_be_recorded_only(runtimectl: RuntimeCtl) -> None:
    assert "region mars is recorded only" in runtimectl.run("env create test --region mars").err
    assert "recorded only" not in runtimectl.run("env create test").err


def test_an_environment_that_is_called_as_a_stage_and_is_none_is_named(
    runtimectl: RuntimeCtl,
) -> None:
    said = "prod is the name only, and its stage is test"

    assert said in runtimectl.run("env create prod").err
    assert said not in runtimectl.run("env create prod --stage prod").err


def test_an_operation_has_a_row_for_each_step_and_a_cancellation_what_to_watch(
    runtimectl: RuntimeCtl,
) -> None:
    steps = [
        {"name": "prepare", "state": "Succeeded", "message": "ready"},
        {"name": "analyze", "state": "Running", "message": ""},
    ]
    more = {
        f"GET {RUNTIME}/operations/{OPERATION}": {**THE_OPERATION, "steps": steps},
        f"POST {RUNTIME}/operations/{OPERATION}/cancel": THE_OPERATION,
    }

    shown = runtimectl.run(f"operations show {OPERATION}", more)
    canceled = runtimectl.run(f"operations cancel {OPERATION}", more)

    rows = [line.split()[:2] for line in shown.out.splitlines()]
    assert [row for row in rows if row[0] in {"prepare", "analyze"}] == [
        ["prepare", "Succeeded"],
        ["analyze", "Running"],
    ]
    assert f"runtimectl operations show {OPERATION} --wait" in canceled.err


@pytest.mark.parametrize(
    ("status", "code"),
    [("Canceled", ExitCode.OK), ("Succeeded", ExitCode.ENDED_OTHERWISE)],
    ids=["it-stopped", "it-was-done-before"],
)
def test_a_cancellation_is_waited_for(status: str, code: ExitCode, runtimectl: RuntimeCtl) -> None:
    ended = {**THE_OPERATION, "status": status, "steps": []}
    more = {
        f"GET {RUNTIME}/operations/{OPERATION}": ended,
        f"POST {RUNTIME}/operations/{OPERATION}/cancel": THE_OPERATION,
    }

    ran = runtimectl.run(f"operations cancel {OPERATION} --wait", more)

    assert ran.code == code, ran.err
    assert status in ran.out + ran.err
    assert f"runtimectl operations show {OPERATION} --wait" not in ran.err


def test_a_first_release_that_waits_for_an_approval_says_in_status_why(
    runtimectl: RuntimeCtl,
) -> None:
    waits = {**THE_DEPLOYMENT, "status": "HealthGating", "waitingFor": "approval"}
    more = {
        f"GET {RUNTIME}/services": [],
        f"GET {RUNTIME}/deployments": [waits],
        f"GET {RUNTIME}/deployments/{DEPLOYMENT}/traffic": [NO_TRAFFIC],
    }

    with platform(more) as server:
        ran = runtimectl.run_at(server, "status")

    assert ran.code == ExitCode.OK, ran.err
    assert "waits for approval" in ran.out


def test_a_tag_without_a_value_is_a_usage_error_that_shows_how(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("env create test --tag team")

    assert ran.code == ExitCode.USAGE
    assert "--tag team=payments" in ran.err


def test_logs_are_those_of_the_newest_deployment_that_has_instances(
    runtimectl: RuntimeCtl,
) -> None:
    instances = [
        {"instance": "i-1", "releaseRevision": 3, "lines": ["started"], "reason": ""},
        {"instance": "i-2", "releaseRevision": 3, "lines": [], "reason": "file is gone"},
    ]

    ran = runtimectl.run(
        "logs module-shop --env test",
        {f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": instances},
    )

    assert ran.out.splitlines() == ["== i-1 (r3)", "started", "== i-2 (r3)", "file is gone"]


def test_logs_of_a_release_that_was_rolled_back_come_before_those_of_what_runs(
    runtimectl: RuntimeCtl,
) -> None:
    line = {"lines": ["no port"], "reason": None}
    stopped = {"instance": "i-2", "releaseRevision": 4, "live": False, **line}
    runs = {"instance": "i-1", "releaseRevision": 3, "live": True, **line, "lines": ["started"]}
    newer = {**THE_DEPLOYMENT, "deploymentId": ANOTHER, "status": "RolledBack"}

    ran = runtimectl.run(
        "logs module-shop --env test",
        {
            f"GET {RUNTIME}/deployments": [newer, THE_DEPLOYMENT],
            f"GET {RUNTIME}/deployments/{ANOTHER}/logs": [stopped],
            f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": [runs],
        },
    )

    assert ran.out.splitlines() == ["== i-2 (r4, stopped)", "no port", "== i-1 (r3)", "started"]


def test_a_live_value_that_differs_and_may_be_a_secret_is_said_to_differ(
    runtimectl: RuntimeCtl,
) -> None:
    workload = {"environ/URL": "another", "version": "1.0"}
    revision = {"releaseRevision": 3, "properties": {"workload": workload}, "isWhole": True}

    ran = runtimectl.run(
        f"live {SERVICE}",
        {f"GET {RUNTIME}/services/{SERVICE}/live": {"revisions": [revision]}},
    )

    lines = [line.split(maxsplit=3) for line in ran.out.splitlines()[1:]]
    assert lines == [
        ["3", "workload", "environ/URL", "(differs, not shown)"],
        ["3", "workload", "version", "1.0"],
    ]


def test_logs_of_a_release_that_was_removed_say_when_they_were_stored(
    runtimectl: RuntimeCtl,
) -> None:
    stored_at = "2026-11-29T10:00:00Z"
    stored = {"source": "stored", "storedAt": stored_at, "live": False, "releaseRevision": 3}
    instances = [{**stored, "instance": "i-1", "lines": ["started"], "reason": None}]

    ran = runtimectl.run(
        "logs module-shop --env test",
        {f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": instances},
    )

    assert ran.out.splitlines() == [f"== i-1 (r3, stopped, stored {stored_at})", "started"]


def test_logs_of_a_module_that_its_surface_says_nothing_of_call_no_instance_stopped(
    runtimectl: RuntimeCtl,
) -> None:
    unknown = {"instance": None, "moduleId": "module-shop", "live": None, "releaseRevision": 3}
    instances = [{**unknown, "lines": [], "reason": "the cluster is away"}]

    ran = runtimectl.run(
        "logs module-shop --env test",
        {f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": instances},
    )

    assert ran.out.splitlines() == [
        "== module-shop (r3, not known whether it runs)",
        "the cluster is away",
    ]


@pytest.mark.parametrize("message", [EVENT, DEAD_LETTER], ids=["parked", "dead-lettered"])
def test_a_message_is_replayed_at_the_app_that_did_not_handle_it(
    message: str, runtimectl: RuntimeCtl
) -> None:
    path = f"/v1/platform/deployments/parked/{message}/replay"

    ran = runtimectl.run(f"parked replay {message}", {f"POST {path}": {"eventId": message}})

    assert ran.written[0] == f"POST {path}"


def test_a_message_that_nobody_parked_is_not_found(runtimectl: RuntimeCtl) -> None:
    assert runtimectl.run("parked replay evt-no").code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("parked replay evt-odd", ExitCode.CONFLICT, "is unreadable: its content was not kept"),
        ("parked show evt-odd", ExitCode.OK, "Unreadable"),
    ],
)
def test_an_unreadable_message_is_shown_and_not_replayed(
    line: str, code: ExitCode, said: str, runtimectl: RuntimeCtl
) -> None:
    odd = {"eventId": "evt-odd", "code": "Unreadable"}

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path.startswith("/v1/platform/health/parked?") and "unreadable" in asked.path:
            return 200, {"value": [odd], "nextLink": None}
        return answer_of(asked, {"GET /v1/platform/health/parked/evt-odd": odd})

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, line)

    assert ran.code == code
    assert said in ran.out + ran.err


@pytest.mark.parametrize(
    "line", ["deployments --last 10 -o json", "logs module-shop --env test -o json"]
)
def test_pages_of_deployments_that_nobody_sees_are_not_asked_for(
    line: str, runtimectl: RuntimeCtl
) -> None:
    """The first page is enough for both; the list has two."""
    newest_first = [
        {**THE_DEPLOYMENT, "releaseRef": f"shop-{number}"} for number in range(10, 0, -1)
    ]
    more = {f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": []}

    def answer(asked: Asked) -> tuple[int, Any]:
        if "continuation" in asked.path:
            return 500, {}
        if asked.path.startswith(f"{RUNTIME}/deployments?"):
            next_link = f"{RUNTIME}/deployments?continuation=2"
            return 200, {"value": newest_first, "nextLink": next_link}
        return answer_of(asked, more)

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, line)

    shown = [each["releaseRef"] for each in json.loads(ran.out)]
    expected = [f"shop-{number}" for number in range(1, 11)] if "--last" in line else []
    assert (ran.code, shown) == (ExitCode.OK, expected)


@pytest.mark.parametrize(
    ("environment", "shown"),
    [pytest.param(ENVIRONMENT, 1, id="its-own"), pytest.param("env-aaaaaaaaaaaa", 0, id="others")],
)
def test_events_of_one_environment_are_those_of_everything_in_it(
    environment: str, shown: int, runtimectl: RuntimeCtl
) -> None:
    there = {**THE_ENVIRONMENT, "environmentId": environment}
    answers = {f"GET {RUNTIME}/environments/{environment}": there}

    ran = runtimectl.run(f"events --env {environment} -o json", answers)

    assert (ran.code, len(json.loads(ran.out))) == (ExitCode.OK, shown)


def test_a_release_that_has_just_completed_is_shown_before_catalog_has_heard(
    runtimectl: RuntimeCtl,
) -> None:
    component = {"moduleId": "module-shop", "version": "1.0", "releaseRevision": 1}
    ended = {**THE_DEPLOYMENT, "components": [component]}

    def shown(ended_at: str) -> str:
        more = {
            f"GET {RUNTIME}/deployments": [{**ended, "endedAt": ended_at}],
            f"GET {RUNTIME}/services": [],
        }
        return runtimectl.run("status", more).out

    assert "catalog has not heard of it yet" in shown(isoformat(SystemClock().now()))
    assert "nothing runs yet" in shown(NOON)


def test_a_degraded_service_says_why(runtimectl: RuntimeCtl) -> None:
    ready = {"status": "Ready", "releaseRevision": 3, "restarts": 0, "startedAt": NOON}
    health = {"status": "Degraded", "since": NOON, "reason": "db is Degraded: slow disk"}

    ran = runtimectl.run(
        "status",
        {
            f"GET {RUNTIME}/services": [{**THE_SERVICE, "instances": [ready]}],
            f"GET {RUNTIME}/services/{SERVICE}/health": health,
        },
    )

    assert "db is Degraded: slow disk" in ran.out
