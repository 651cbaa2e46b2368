"""`secret`: what is bound and rotated is as the contract has it, and each consumer is shown."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from cli.secret_bindings import rotations_of
from cli.secret_words import revocation_lines
from shared.contracts.secret_bindings import (
    BindSecret,
    Revocation,
    SecretBinding,
    SecretBindingPlan,
    SecretRotation,
    SecretRotationOrder,
)
from tests.cli.small_platform import (
    DEPLOYMENT,
    ENVIRONMENT,
    NOON,
    OPERATION,
    RUNTIME,
    SERVICE,
    THE_OPERATION,
    THE_SERVICE,
    Ran,
    RuntimeCtl,
    answer_of,
)
from tests.cli.small_server import Asked, serving

pytestmark = pytest.mark.real
RUNNING = {"moduleId": "module-new", "status": "Running"}
RETIRED = {"moduleId": "module-new", "status": "Retired"}
SHOP = "sec-w5ekllr23tyb-aaaaaaaaaaaa"
JOBS = "sec-w5ekllr23tyb-bbbbbbbbbbbb"
ROTATION = "rot-w5ekllr23tyb-aaaaaaaaaaaa-1"
OLD, NEW = "0" * 32, "1" * 32
ROOT = f"{RUNTIME}/secret-bindings"


def binding(module: str = "module-shop", **changes: Any) -> dict[str, Any]:
    body = {
        "bindingId": SHOP if module == "module-shop" else JOBS, "tenantId": "acme",
        "environmentId": ENVIRONMENT, "moduleId": module, "secretName": "db-password",
        "vaultUri": "https://w5ekllr23tyb.vault.localhost", "external": False, "version": OLD,
        "identity": None, "delivery": "environmentVariable", "target": "DB_PASSWORD",
        "rotation": {}, "status": "Bound", "rotatedAt": None, "expiresAt": None, "revision": 2,
        "lastOperationId": None, **changes,
    }  # fmt: skip
    return SecretBinding.model_validate(body).model_dump(mode="json", by_alias=True)


def rotation(status: str, proved: Sequence[str] = (), **changes: Any) -> dict[str, Any]:
    consumers = [
        {
            "bindingId": SHOP if module == "module-shop" else JOBS, "moduleId": module,
            "version": NEW if module in proved else OLD, "releaseRevision": 4, "provedAt": NOON,
        }
        for module in ("module-shop", "module-jobs")
    ]  # fmt: skip
    body = {
        "rotationId": ROTATION, "tenantId": "acme", "environmentId": ENVIRONMENT,
        "vaultUri": "https://w5ekllr23tyb.vault.localhost", "secretName": "db-password",
        "fromVersion": OLD, "toVersion": NEW, "status": status, "consumers": consumers,
        "canary": True, "overlap": "PT5S", "overlapUntil": NOON, "requestReason": "monthly",
        "reason": None, "revision": 3, "createdAt": NOON, "endedAt": None,
        "operationId": "op-secret-bindings-w5ekllr23tyb-0123456789abcdef", **changes,
    }  # fmt: skip
    return SecretRotation.model_validate(body).model_dump(mode="json", by_alias=True)


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.watch_resource._POLL_INTERVAL_S", 0.01)


def watched(runtimectl: RuntimeCtl, line: str, states: Sequence[Mapping[str, Any] | None]) -> Ran:
    """Run *line* while the rotation goes through *states*; at None the host does not answer."""
    left = iter(states)

    def answer(asked: Asked) -> tuple[int, Any]:
        path = asked.path.partition("?")[0]
        if path == f"{RUNTIME}/secret-rotations/{ROTATION}":
            state = next(left)
            if state is None:
                return 503, {"error": {"code": "Unavailable", "message": "restarting"}}
            return 200, state
        return answer_of(
            asked,
            {
                f"GET {ROOT}": [binding(), binding("module-jobs")],
                f"POST {ROOT}/{SHOP}/rotate": rotation("Created", toVersion=None),
            },
        )

    with serving(answer, keeps_connections=False) as server:
        return runtimectl.run_at(server, line)


@pytest.mark.parametrize(
    ("options", "more"),
    [
        pytest.param("", {}, id="a-variable-of-the-own-vault"),
        pytest.param(
            "--delivery file --generator databasePassword --resource orders-db --rotate-every P30D",
            {
                "delivery": "file",
                "generator": {"kind": "databasePassword", "settings": {"resource": "orders-db"}},
                "rotation": {"every": "P30D"},
            },
            id="a-file-with-a-generator",
        ),
        pytest.param(
            "--vault https://other.vault.azure.net --external",
            {"vaultUri": "https://other.vault.azure.net", "external": True},
            id="somebody-elses-vault",
        ),
    ],
)
def test_a_secret_is_bound_as_the_options_say(
    options: str, more: Mapping[str, Any], runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(
        f"secret bind db-password --env test --module module-shop --target DB_PASSWORD {options}",
        {f"POST {ROOT}": binding()},
    )

    assert ran.code == ExitCode.OK, ran.err
    method, body = ran.written
    assert method == f"POST {ROOT}"
    assert body == {
        "environmentId": ENVIRONMENT, "moduleId": "module-shop", "secretName": "db-password",
        "target": "DB_PASSWORD", **more,
    }  # fmt: skip
    BindSecret.model_validate(body)
    assert "db-password" in ran.out


def test_all_bindings_of_a_secret_are_listed_with_their_versions(runtimectl: RuntimeCtl) -> None:
    answers = {f"GET {ROOT}": [binding(), binding("module-jobs", version=NEW)]}

    ran = runtimectl.run("secret versions db-password --env test", answers)
    shown = runtimectl.run("secret list --env test", answers)

    rows = [line.split()[:3] for line in ran.out.splitlines()[1:]]
    assert rows == [["module-jobs", NEW, "Bound"], ["module-shop", OLD, "Bound"]]
    assert "DB_PASSWORD (environmentVariable)" in shown.out


def test_what_is_not_bound_is_not_found_and_revoked_ones_are_none(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(
        "secret show db-password --env test", {f"GET {ROOT}": [binding(status="Revoked")]}
    )

    assert ran.code == ExitCode.NOT_FOUND
    assert "no secret 'db-password' is bound in test" in ran.err


def test_of_several_modules_one_is_named(runtimectl: RuntimeCtl) -> None:
    answers = {f"GET {ROOT}": [binding(), binding("module-jobs")]}

    ran = runtimectl.run("secret show db-password --env test", answers)
    revoked = runtimectl.run("secret revoke db-password --env test", answers)

    assert (ran.code, revoked.code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "2 modules are bound to db-password: module-jobs, module-shop" in ran.err


def test_a_binding_is_revoked_with_its_reason(runtimectl: RuntimeCtl) -> None:
    answers = {
        f"GET {ROOT}": [binding()],
        f"POST {ROOT}/{SHOP}/revoke": binding(status="Revoked"),
    }

    ran = runtimectl.run(
        "secret revoke db-password --env test -m module-shop --reason unused", answers
    )

    assert ran.written == (f"POST {ROOT}/{SHOP}/revoke", {"reason": "unused"})
    Revocation.model_validate(ran.written[1])
    assert "Revoked" in ran.out


@pytest.mark.parametrize(
    ("generator", "options", "rest"),
    [
        ({"kind": "random"}, "--delivery environmentVariable --generator random`)", False),
        (
            {"kind": "databasePassword", "settings": {"resource": "orders"}},
            "--generator databasePassword --resource orders`)",
            False,
        ),
        ({"kind": "random", "length": 64}, "--generator random`; the rest of its generator", True),
    ],
    ids=["random", "of-a-resource", "of-another-length"],
)
def test_the_line_that_binds_it_again_binds_it_as_it_was(
    generator: Mapping[str, Any], options: str, *, rest: bool
) -> None:
    *_, line = revocation_lines(binding(generator=generator), "test", others=[], rotations=[])

    assert options in line
    assert ("only `secrets:` of a release file has" in line) is rest


def test_a_rotation_is_asked_for_and_how_to_watch_it_is_said(runtimectl: RuntimeCtl) -> None:
    ran = watched(
        runtimectl,
        f"secret rotate db-password --env test --version {NEW} --overlap PT1H --reason leaked",
        [],
    )

    path, body = ran.written
    assert path == f"POST {ROOT}/{SHOP}/rotate"
    assert body == {"version": NEW, "overlap": "PT1H", "reason": "leaked"}
    SecretRotationOrder.model_validate(body)
    assert f"next:  runtimectl secret rotation {ROTATION} --wait" in ran.err


def test_what_was_asked_for_of_a_rotation_is_shown(runtimectl: RuntimeCtl) -> None:
    one = f"GET {RUNTIME}/secret-rotations/{ROTATION}"

    ran = runtimectl.run(f"secret rotation {ROTATION}", {one: rotation("Rolling")})

    assert f"to version {NEW}, asked for at {NOON} with an overlap of PT5S: monthly" in ran.out


def test_a_rotation_that_is_joined_is_called_so(runtimectl: RuntimeCtl) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        return answer_of(
            asked, {f"GET {ROOT}": [binding()], f"POST {ROOT}/{SHOP}/rotate": rotation("Rolling")}
        )

    headers = {"Repeatability-Result": "accepted"}
    with serving(answer, keeps_connections=False, headers=headers) as server:
        ran = runtimectl.run_at(server, "secret rotate db-password --env test")

    assert ran.code == ExitCode.OK, ran.err
    assert (
        f"nothing is begun: db-password is being rotated, to version {NEW}, asked for at {NOON}"
        " with an overlap of PT5S: monthly"
    ) in ran.err


def test_what_is_not_taken_by_a_rotation_in_flight_is_refused_with_what_ends_that(
    runtimectl: RuntimeCtl,
) -> None:
    operation = rotation("Verified")["operationId"]
    error = {
        "code": "RotationInFlight",
        "message": f"db-password is being rotated by {ROTATION}, with another overlap: wait for "
        f"it, or cancel {operation}",
        "details": [
            {"code": "Differs", "target": "/overlap", "message": "differs from what is active",
             "expected": "PT5S", "received": "PT0S"}
        ],
    }  # fmt: skip

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("/rotate"):
            return 409, {"error": error}
        return answer_of(asked, {f"GET {ROOT}": [binding()]})

    with serving(answer, keeps_connections=False) as server:
        ran = runtimectl.run_at(server, "secret rotate db-password --env test --overlap PT0S")

    assert ran.code == ExitCode.CONFLICT
    assert "--overlap: differs from what is active; expected PT5S, got PT0S" in ran.err
    assert f"runtimectl operations cancel {operation}" in ran.err


def test_each_consumer_is_shown_as_it_gets_there(runtimectl: RuntimeCtl) -> None:
    ran = watched(
        runtimectl,
        "secret rotate db-password --env test --wait",
        [
            rotation("Canary"),
            None,
            rotation("Rolling", ["module-shop"]),
            rotation("Verified", ["module-shop", "module-jobs"]),
        ],
    )

    assert ran.code == ExitCode.OK, ran.err
    assert "✓ module-shop runs 111111111111 (r4, proved 12:00:00.0)" in ran.out
    assert "✓ module-jobs runs 111111111111" in ran.out
    assert f"the old version stays enabled until {NOON}" in ran.err


def test_the_steps_of_a_rotation_are_told_in_order_each_done_at_its_end(
    runtimectl: RuntimeCtl,
) -> None:
    states = ["Created", "Set", "Tested", "Canary", "Rolling", "Verified", "Revoked"]
    both = ["module-shop", "module-jobs"]

    ran = watched(
        runtimectl,
        f"secret rotation {ROTATION} --wait --until-revoked",
        [rotation(status, both) for status in states],
    )

    assert ran.code == ExitCode.OK, ran.err
    done = [line.split()[1].rstrip(":") for line in ran.out.splitlines() if "✓" in line]
    assert [step for step in done if step in states] == states


@pytest.mark.parametrize(
    "command", ["rotate db --env test", f"rotation {ROTATION}"], ids=["rotate", "rotation"]
)
def test_until_revoked_without_wait_is_refused_before_anything_is_sent(
    command: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"secret {command} --until-revoked")

    assert ran.code == ExitCode.USAGE, ran.err
    assert "--until-revoked says how long --wait waits" in ran.err
    assert "add --wait" in ran.err
    assert ran.asked == []


@pytest.mark.parametrize(
    ("proved", "canary"),
    [pytest.param([], True, id="no-consumer-runs-it"),
     pytest.param(["module-shop", "module-jobs"], False, id="all-follow-at-once")],
)  # fmt: skip
def test_no_canary_is_shown_where_no_consumer_ran_it_first(
    proved: list[str], *, canary: bool, runtimectl: RuntimeCtl
) -> None:
    one = f"GET {RUNTIME}/secret-rotations/{ROTATION}"

    shown = rotation("Verified", proved, canary=canary)
    ran = runtimectl.run(f"secret rotation {ROTATION}", {one: shown})

    assert "✓ Rolling" in ran.out
    assert "Canary" not in ran.out


def test_a_watch_until_old_versions_are_disabled_goes_on_after_verified(
    runtimectl: RuntimeCtl,
) -> None:
    both = ["module-shop", "module-jobs"]

    ran = watched(
        runtimectl,
        f"secret rotation {ROTATION} --wait --until-revoked -o json",
        [rotation("Rolling"), rotation("Verified", both), rotation("Revoked", both)],
    )

    assert ran.code == ExitCode.OK, ran.err
    assert json.loads(ran.out)["status"] == "Revoked"


def test_a_rotation_that_fails_says_why_and_that_nothing_is_broken(runtimectl: RuntimeCtl) -> None:
    reason = {"code": "ConsumerRolledBack", "message": "module-jobs was rolled back"}

    ran = watched(
        runtimectl,
        "secret rotate db-password --env test --wait",
        [rotation("Rolling"), rotation("Failed", ["module-shop"], reason=reason)],
    )

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "module-jobs was rolled back; every version stays enabled [ConsumerRolledBack]" in (
        ran.err
    )


def test_a_rotation_that_failed_is_shown_with_its_reason_and_the_line_that_goes_on(
    runtimectl: RuntimeCtl,
) -> None:
    reason = {"code": "ConsumerRolledBack", "message": "module-jobs did not come up with it"}
    line = f"`runtimectl secret rotate db-password --env {ENVIRONMENT} --version {NEW} --wait`"
    one = f"GET {RUNTIME}/secret-rotations/{ROTATION}"
    failed = rotation("Failed", ["module-shop"], reason=reason)

    shown = runtimectl.run(f"secret rotation {ROTATION}", {one: failed})
    waited = runtimectl.run(f"secret rotation {ROTATION} --wait", {one: failed})

    assert shown.code == ExitCode.OK
    assert "module-jobs did not come up with it; every version stays enabled" in shown.out
    assert line in shown.out
    assert waited.code == ExitCode.ENDED_OTHERWISE
    assert line in waited.err


def test_the_hold_that_a_failed_roll_out_may_have_left_is_named_with_the_line_that_goes_on(
    runtimectl: RuntimeCtl,
) -> None:
    deployment = "dep-5wurtohc6f5x-01m8qdfsd9tgf3a3"
    message = f"module-jobs was rolled back: {deployment} ended as RolledBack"
    reason = {"code": "ConsumerRolledBack", "message": message}
    one = f"GET {RUNTIME}/secret-rotations/{ROTATION}"

    ran = runtimectl.run(
        f"secret rotation {ROTATION}", {one: rotation("Failed", ["module-shop"], reason=reason)}
    )

    assert f"`runtimectl release-hold {deployment}` where its gate turned it back" in ran.out


@pytest.mark.parametrize(
    ("proved", "to"), [([], None), (["module-shop", "module-jobs"], NEW)], ids=["none", "all-run"]
)
def test_a_rotation_that_nobody_is_behind_of_shows_no_line_that_goes_on(
    proved: list[str], to: str | None, runtimectl: RuntimeCtl
) -> None:
    reason = {"code": "ReleaseOnItsWay", "message": "module-jobs is on its way"}
    one = f"GET {RUNTIME}/secret-rotations/{ROTATION}"

    ran = runtimectl.run(
        f"secret rotation {ROTATION}",
        {one: rotation("Failed", proved, reason=reason, toVersion=to)},
    )

    assert "[ReleaseOnItsWay]" in ran.out
    assert "secret rotate db-password" not in ran.out


def test_a_rotation_that_failed_without_a_code_shows_none(runtimectl: RuntimeCtl) -> None:
    one = f"GET {RUNTIME}/secret-rotations/{ROTATION}"

    ran = runtimectl.run(f"secret rotation {ROTATION}", {one: rotation("Failed")})

    assert "no reason was given; every version stays enabled\n" in ran.out
    assert "[]" not in ran.out


def test_whoever_stops_watching_goes_on_for_what_was_waited_for(
    runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.watch_resource.pause", stop)

    ran = watched(
        runtimectl,
        f"secret rotation {ROTATION} --wait --until-revoked",
        [rotation("Rolling"), rotation("Rolling")],
    )

    assert ran.code == ExitCode.INTERRUPTED
    assert f"`runtimectl secret rotation {ROTATION} --wait --until-revoked`" in ran.err


def test_a_binding_that_fails_is_a_failure_of_the_command(runtimectl: RuntimeCtl) -> None:
    failed = {
        **THE_OPERATION, "operationId": OPERATION, "status": "Failed", "steps": [],
        "error": {"code": "SecretHasNoVersion", "message": "the vault has no version"},
    }  # fmt: skip

    def answer(asked: Asked) -> tuple[int, Any]:
        return answer_of(
            asked,
            {
                f"POST {ROOT}": binding(status="Requested", version=None),
                f"GET {RUNTIME}/operations/{OPERATION}": failed,
            },
        )

    location = {"Operation-Location": f"http://here{RUNTIME}/operations/{OPERATION}"}
    with serving(answer, keeps_connections=False, headers=location) as server:
        ran = runtimectl.run_at(
            server, "secret bind db-password -e test -m module-shop --target DB_PASSWORD --wait"
        )

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "set a version in the vault" in ran.err


def test_no_command_takes_a_value(runtimectl: RuntimeCtl) -> None:
    options = runtimectl.run("secret bind -h").out + runtimectl.run("secret rotate -h").out

    assert "--value" not in options
    assert runtimectl.run("secret set db-password hunter2").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "would be bound, if its vault gives it a version"),
        (
            "--generator random",
            "would be bound, with the version of its vault, or one that its generator makes",
        ),
    ],
)
def test_a_dry_run_says_where_the_first_version_comes_from(
    runtimectl: RuntimeCtl, options: str, words: str
) -> None:
    plan = {"bindingId": SHOP, "change": "Bind", "status": None, "version": None, "refusals": []}
    line = f"secret bind pw -e test -m module-shop --target PW --dry-run {options}"

    ran = runtimectl.run(line, {f"POST {ROOT}": plan, f"GET {RUNTIME}/services": [RUNNING]})

    assert ran.code == ExitCode.OK, ran.err
    assert words in ran.out


@pytest.mark.parametrize(
    ("refusals", "services", "code"),
    [
        pytest.param([], [RUNNING], ExitCode.OK, id="it-would-be-given"),
        pytest.param([], [RETIRED], ExitCode.OK, id="nothing-is-released"),
        pytest.param(
            [{"code": "SecretHasNoVersion", "message": f"the vault of {ENVIRONMENT} has none"}],
            [], ExitCode.REFUSED, id="it-has-no-version",
        ),
    ],
)  # fmt: skip
def test_a_dry_run_of_a_binding_says_what_is_missing(
    refusals: list[Any], services: list[Any], code: ExitCode, runtimectl: RuntimeCtl
) -> None:
    plan = SecretBindingPlan.model_validate(
        {
            "bindingId": SHOP, "change": "Bind", "status": None, "version": None,
            "refusals": refusals,
        }
    )  # fmt: skip
    answers = {
        f"POST {ROOT}": plan.model_dump(mode="json", by_alias=True),
        f"GET {RUNTIME}/services": services,
    }

    ran = runtimectl.run(
        "secret bind db-password -e test -m module-new --target DB_PASSWORD --dry-run", answers
    )

    assert ran.code == code, ran.err
    assert ("refused: the vault of test has none" in ran.out) is bool(refusals)
    assert ("would be bound" in ran.out) is not bool(refusals)
    is_running = services == [RUNNING]
    assert ("module-new has no release there" in ran.err) is not is_running


def rotating(number: int = 2, status: str = "Running") -> dict[str, Any]:
    """Return the operation of a rotation of the secret of `binding`."""
    return {
        **THE_OPERATION, "operationId": rotation("Rolling")["operationId"], "status": status,
        "kind": "RotateSecret",
        "resourceId": f"{RUNTIME}/secret-rotations/{rotations_of(binding())}{number}",
    }  # fmt: skip


OPERATIONS = "GET /v1/platform/secret-bindings/operations"


def in_flight(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is answered of the rotation *body* of the secret of `binding`."""
    identity = f"{rotations_of(binding())}2"
    return {
        f"{OPERATIONS}?kind=RotateSecret&status=Running": [rotating()],
        f"GET {RUNTIME}/secret-rotations/{identity}": {**body, "rotationId": identity},
    }


@pytest.mark.parametrize(
    "line",
    [
        "secret list",
        "secret versions db-password --env test",
        "secret show db-password --env test -m module-shop",
    ],
)
def test_who_went_back_in_the_overlap_runs_another_version_than_it_is_given_next(
    line: str, runtimectl: RuntimeCtl
) -> None:
    back = rotation("Verified", ["module-jobs"])
    module = f"GET {ROOT}?environmentId={ENVIRONMENT}&secretName=db-password&moduleId=module-shop"
    bound = {
        f"GET {ROOT}": [binding(version=NEW), binding("module-jobs", version=NEW)],
        module: [binding(version=NEW)],
    }

    ran = runtimectl.run(line, {**bound, **in_flight(back)})

    assert ran.code == ExitCode.OK, ran.err
    assert f"module-shop runs {OLD[:12]} of db-password, and is given {NEW[:12]} next" in ran.err
    assert "module-jobs runs" not in ran.err


@pytest.mark.parametrize("line", ["secret list", "secret versions db-password --env test"])
def test_a_rotation_in_flight_is_said_where_its_secret_is_listed(
    line: str, runtimectl: RuntimeCtl
) -> None:
    quiet = {f"GET {ROOT}": [binding(), binding("module-jobs")]}
    busy = in_flight(rotation("Rolling"))

    ran = runtimectl.run(line, {**quiet, **busy})
    none = runtimectl.run(line, quiet)

    identity = f"{rotations_of(binding())}2"
    said = f"db-password in test is being rotated: `runtimectl secret rotation {identity} --wait`"
    assert ran.err.count(said) == 1
    assert "is being rotated" not in none.err


def test_of_two_secrets_of_one_name_each_rotation_is_said(runtimectl: RuntimeCtl) -> None:
    other = binding(
        "module-jobs", bindingId="sec-aaaaaaaaaaaa-bbbbbbbbbbbb", environmentId="env-aaaaaaaaaaaa",
    )  # fmt: skip
    ids = [f"{rotations_of(each)}2" for each in (binding(), other)]
    running = [{**rotating(), "resourceId": f"{RUNTIME}/secret-rotations/{each}"} for each in ids]

    ran = runtimectl.run(
        "secret list",
        {
            f"GET {ROOT}": [binding(), other],
            f"{OPERATIONS}?kind=RotateSecret&status=Running": running,
            **{
                f"GET {RUNTIME}/secret-rotations/{each}": rotation("Rolling", rotationId=each)
                for each in ids
            },
        },
    )

    for where, identity in zip(("test", "env-aaaaaaaaaaaa"), ids, strict=True):
        said = f"db-password in {where} is being rotated: `runtimectl secret rotation {identity}"
        assert said in ran.err


REVOKE = "secret revoke db-password --env test -m module-shop"


def revoked(*others: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is answered of a revocation beside *others*."""
    return {
        f"GET {ROOT}": [binding(), *others],
        f"GET {ROOT}?environmentId={ENVIRONMENT}&secretName=db-password&moduleId=module-shop": [
            binding()
        ],
        f"GET {ROOT}?environmentId={ENVIRONMENT}&secretName=db-password": [
            binding(status="Revoked"),
            *others,
        ],
        f"POST {ROOT}/{SHOP}/revoke": binding(status="Revoked"),
        f"{OPERATIONS}?kind=RotateSecret&status=Running": [],
    }


def test_a_revocation_says_what_it_ends(runtimectl: RuntimeCtl) -> None:
    alone = runtimectl.run(REVOKE, revoked())
    beside = runtimectl.run(REVOKE, revoked(binding("module-jobs")))
    elsewhere = runtimectl.run(
        REVOKE, revoked(binding("module-jobs", vaultUri="https://other.vault.azure.net"))
    )

    for ran in (alone, beside, elsewhere):
        assert ran.code == ExitCode.OK, ran.err
        assert "module-shop keeps DB_PASSWORD until its next deployment" in ran.err
        assert "goes on" not in ran.err
    nobody = "no module is bound to db-password any more, so no rotation of it begins"
    again = "secret bind db-password --env test --module module-shop --target DB_PASSWORD"
    assert again in alone.err
    assert [nobody in each.err for each in (alone, beside, elsewhere)] == [True, False, True]


def test_a_revocation_says_which_rotation_goes_on(runtimectl: RuntimeCtl) -> None:
    running = {f"{OPERATIONS}?kind=RotateSecret&status=Running": [rotating()]}

    ran = runtimectl.run(REVOKE, {**revoked(), **running})

    line = f"`runtimectl secret rotation {rotations_of(binding())}2 --wait --until-revoked`"
    assert f"the rotation of db-password goes on, and disables its old versions: {line}" in ran.err


def test_the_rotation_of_a_secret_that_nobody_has_any_more_is_found(
    runtimectl: RuntimeCtl,
) -> None:
    identity = f"{rotations_of(binding())}2"
    answers = {
        f"GET {ROOT}": [binding(status="Revoked")],
        f"{OPERATIONS}?kind=RotateSecret": [rotating(2)],
        f"GET {RUNTIME}/secret-rotations/{identity}": rotation("Verified", rotationId=identity),
    }

    ran = runtimectl.run("secret rotation db-password --env test", answers)
    never = runtimectl.run("secret rotation another --env test", {f"GET {ROOT}": []})

    assert ran.code == ExitCode.OK, ran.err
    assert "Verified" in ran.out
    assert "no secret 'another' was ever bound in test" in never.err


@pytest.mark.parametrize("status", [403, 404])
def test_who_may_not_read_rotations_is_told_so_and_not_that_there_is_none(
    status: int, runtimectl: RuntimeCtl
) -> None:
    def answer(asked: Asked) -> tuple[int, Any]:
        if "/operations" in asked.path:
            return status, {"error": {"code": "PermissionMissing", "message": "it is so"}}
        return answer_of(asked, {f"GET {ROOT}": [binding()]})

    def revoke(asked: Asked) -> tuple[int, Any]:
        return answer(asked) if "/operations" in asked.path else answer_of(asked, revoked())

    with serving(answer, keeps_connections=False) as server:
        listed = runtimectl.run_at(server, "secret list")
    with serving(answer, keeps_connections=False) as server:
        named = runtimectl.run_at(server, "secret rotation db-password --env test")
    with serving(revoke, keeps_connections=False) as server:
        ended = runtimectl.run_at(server, REVOKE)

    assert listed.code == ExitCode.OK
    assert "rotations on their way are not shown: you may not read operations" in listed.err
    assert ended.code == ExitCode.OK, ended.err
    assert (
        "a rotation of db-password, if one is on its way, goes on; rotations on their way are not"
        " shown"
    ) in ended.err
    assert named.code == ExitCode.REFUSED
    assert "are not shown: you may not read operations" in named.err
    assert "secret rotate" not in named.err


def test_the_last_rotation_of_a_secret_is_found_by_its_name(runtimectl: RuntimeCtl) -> None:
    identity = f"{rotations_of(binding())}2"
    answers: dict[str, Any] = {
        f"GET {ROOT}": [binding()],
        f"{OPERATIONS}?kind=RotateSecret": [rotating(2), rotating(1, "Succeeded")],
        f"GET {RUNTIME}/secret-rotations/{identity}": rotation("Rolling", rotationId=identity),
    }

    ran = runtimectl.run("secret rotation db-password --env test -o json", answers)
    nowhere = runtimectl.run("secret rotation db-password", answers)
    doubly = runtimectl.run(f"secret rotation {identity} --env test", answers)
    answers[f"{OPERATIONS}?kind=RotateSecret"] = []
    never = runtimectl.run("secret rotation db-password --env test", answers)

    assert json.loads(ran.out)["rotationId"] == identity
    assert (nowhere.code, doubly.code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "leave out --env" in doubly.err
    assert "`runtimectl secret rotation db-password --env NAME`" in nowhere.err
    assert never.code == ExitCode.NOT_FOUND
    assert "`runtimectl secret rotate db-password --env test`" in never.err


def test_operations_are_listed_with_what_they_are_about(runtimectl: RuntimeCtl) -> None:
    gate = {**THE_OPERATION, "kind": "EvaluateGate", "createdAt": "2026-11-28T12:00:01Z",
            "resourceId": f"{RUNTIME}/services/{SERVICE}/health"}  # fmt: skip
    deploying = {**THE_OPERATION, "kind": "Deploy", "createdAt": "2026-11-28T12:00:02Z",
                 "resourceId": f"{RUNTIME}/deployments/{DEPLOYMENT}"}  # fmt: skip
    answers = {
        f"GET {ROOT}": [binding()],
        f"GET {RUNTIME}/services": [THE_SERVICE],
        "GET /v1/platform/deployments/operations": [gate, deploying],
        OPERATIONS: [rotating()],
    }

    ran = runtimectl.run("operations", answers)

    rotated, judged, deployed = ran.out.splitlines()[1:]
    assert "db-password in test" in rotated
    assert "module-shop in test" in judged
    assert "shop-1 in test" in deployed
