"""A command that names an environment acts on the deployment that anyone would mean, or refuses."""

from typing import Any

import pytest

from cli.exit_codes import ExitCode
from cli.remedy_lookup import remedy_for
from tests.cli.small_platform import (
    DEPLOYMENT,
    ENVIRONMENT,
    RUNTIME,
    SERVICE,
    THE_ACCEPTED,
    THE_DEPLOYMENT,
    Ran,
    RuntimeCtl,
)

pytestmark = pytest.mark.real
OLDER, NEWER = DEPLOYMENT, "dep-w5ekllr23tyb-0123456789abcdeg"


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def run(runtimectl: RuntimeCtl, line: str, *statuses: str, **more: Any) -> Ran:
    """Run *line* where the deployments of `test` have *statuses*, oldest first."""
    deployments = [
        {**THE_DEPLOYMENT, "deploymentId": identity, "status": status, "createdAt": at,
         "releaseRef": f"shop-{at}", **more}
        for identity, status, at in zip((OLDER, NEWER), statuses, ("1", "2"), strict=False)
    ]  # fmt: skip
    answers = {
        f"POST {RUNTIME}/deployments/{identity}/{action}": THE_ACCEPTED
        for identity in (OLDER, NEWER)
        for action in ("rollback", "release-hold", "retry")
    }
    return runtimectl.run(line, {f"GET {RUNTIME}/deployments": deployments[::-1], **answers})


def writes(ran: Ran) -> list[str]:
    return [asked.path.removeprefix(f"{RUNTIME}/") for asked in ran.asked if asked.method != "GET"]


@pytest.mark.parametrize("status", ["RolledBack", "Failed"])
def test_what_was_rolled_back_already_is_not_rolled_back_by_name_again(
    status: str, runtimectl: RuntimeCtl
) -> None:
    ran = run(runtimectl, "rollback test", "Completed", status)

    assert (ran.code, writes(ran)) == (ExitCode.CONFLICT, [])
    assert f"shop-2, ended as {status}; of module-shop shop-1 serves" in ran.err
    assert f"`runtimectl rollback {OLDER}`" in ran.err


def test_a_rollback_by_name_that_is_typed_twice_goes_back_once(runtimectl: RuntimeCtl) -> None:
    back = {**THE_DEPLOYMENT, "deploymentId": NEWER, "kind": "rollback", "releaseRef": "shop-1"}

    ran = runtimectl.run(
        "rollback test", {f"GET {RUNTIME}/deployments": [back, {**THE_DEPLOYMENT}]}
    )

    assert (ran.code, writes(ran)) == (ExitCode.CONFLICT, [])
    assert f"{NEWER}, is a rollback already: shop-1 is in force" in ran.err
    assert f"`runtimectl rollback {NEWER}`" in ran.err


def deployed(identity: str, status: str, *modules: str, **more: Any) -> dict[str, Any]:
    components = [{"moduleId": module} for module in modules]
    ref = f"{modules[0]}-{status}" if modules else status
    return {**THE_DEPLOYMENT, "deploymentId": identity, "status": status, "releaseRef": ref,
            "components": components, **more}  # fmt: skip


@pytest.mark.parametrize(
    ("earlier", "said", "named"),
    [
        pytest.param(
            [deployed(OLDER, "Completed", "module-node")],
            "nothing of module-notes serves",
            None,
            id="another-module-is-not-its-concern",
        ),
        pytest.param(
            [
                deployed(NEWER, "Completed", "module-node"),
                deployed(OLDER, "Completed", "module-notes"),
            ],
            "of module-notes module-notes-Completed serves",
            OLDER,
            id="what-serves-of-the-same-module",
        ),
        pytest.param(
            [
                deployed(NEWER, "Completed", remove=["module-notes"]),
                deployed(OLDER, "Completed", "module-notes"),
            ],
            "nothing of module-notes serves",
            None,
            id="taken-away-since",
        ),
    ],
)
def test_a_rollback_by_name_leads_to_no_other_module(
    earlier: list[Any], said: str, named: str | None, runtimectl: RuntimeCtl
) -> None:
    rejected = deployed(f"{OLDER[:-1]}z", "RolledBack", "module-notes")

    ran = runtimectl.run("rollback test", {f"GET {RUNTIME}/deployments": [rejected, *earlier]})

    assert (ran.code, writes(ran)) == (ExitCode.CONFLICT, [])
    assert said in ran.err
    assert ("`runtimectl rollback dep-" in ran.err) is (named is not None)
    assert f"`runtimectl rollback {named}`" in ran.err or named is None


@pytest.mark.parametrize(
    ("line", "statuses", "undone"),
    [
        pytest.param("rollback test", ("Completed", "Completed"), NEWER, id="the-newest"),
        pytest.param("rollback test", ("Completed", "RollingOut"), NEWER, id="one-on-its-way"),
        pytest.param("rollback test", ("Completed", "Cancelled"), OLDER, id="not-a-cancelled-one"),
        pytest.param(
            f"rollback test --to {OLDER}", ("Completed", "RolledBack"), OLDER, id="a-named-goal"
        ),
        pytest.param(f"rollback {OLDER}", ("Completed", "RolledBack"), OLDER, id="named-itself"),
    ],
)
def test_a_rollback_by_name_is_of_what_anyone_would_mean(
    line: str, statuses: tuple[str, str], undone: str, runtimectl: RuntimeCtl
) -> None:
    assert writes(run(runtimectl, line, *statuses)) == [f"deployments/{undone}/rollback"]


def test_a_rollback_to_an_empty_name_is_not_one_to_the_last_good_one(
    runtimectl: RuntimeCtl,
) -> None:
    _, body = run(runtimectl, "rollback test --to=", "Completed", "Completed").written

    assert body["toDeploymentId"] == "", "which the platform refuses"


@pytest.mark.parametrize(
    ("line", "statuses", "more"),
    [
        pytest.param("rollback", ("RollingOut", "Requested"), {}, id="two-on-their-way"),
        pytest.param("release-hold", ("RolledBack", "RolledBack"), {"holds": [{}]}, id="two-holds"),
    ],
)
def test_where_two_fit_both_are_named_and_nothing_is_sent(
    line: str, statuses: tuple[str, str], more: Any, runtimectl: RuntimeCtl
) -> None:
    ran = run(runtimectl, f"{line} test", *statuses, **more)

    assert (ran.code, writes(ran)) == (ExitCode.USAGE, [])
    assert f"`runtimectl {line} {OLDER}`" in ran.err
    assert f"`runtimectl {line} {NEWER}`" in ran.err


@pytest.mark.parametrize("status", ["Completed", "RolledBack", "Cancelled"])
def test_a_failure_of_long_ago_is_not_retried_by_name(status: str, runtimectl: RuntimeCtl) -> None:
    ran = run(runtimectl, "retry test", "Failed", status)

    assert (ran.code, writes(ran)) == (ExitCode.CONFLICT, [])
    assert f"shop-2, is {status}; a Failed or a paused one is retried" in ran.err


@pytest.mark.parametrize("status", ["Failed", "HealthGating"])
def test_the_newest_failure_and_the_one_on_its_way_are_retried_by_name(
    status: str, runtimectl: RuntimeCtl
) -> None:
    ran = run(runtimectl, "retry test", "Failed", status)

    assert writes(ran) == [f"deployments/{NEWER}/retry"]


def test_without_a_hold_nothing_is_released(runtimectl: RuntimeCtl) -> None:
    ran = run(runtimectl, "release-hold test", "Completed", holds=[])

    assert (ran.code, writes(ran)) == (ExitCode.NOT_FOUND, [])
    assert "no deployment in test is the cause of a hold" in ran.err


def test_where_nothing_is_on_its_way_nothing_is_canceled(runtimectl: RuntimeCtl) -> None:
    ran = run(runtimectl, "cancel test", "Completed")

    assert (ran.code, writes(ran)) == (ExitCode.NOT_FOUND, [])
    assert "no deployment in test is on its way" in ran.err


def test_where_two_fit_each_is_called_what_it_is(runtimectl: RuntimeCtl) -> None:
    secret = {"secretName": "db-password", "version": "b2c65d2d0000ffff"}
    running = [
        deployed(NEWER, "Requested", "module-shop", kind="secret", secret=secret),
        deployed(OLDER, "RollingOut", "module-shop"),
    ]

    ran = runtimectl.run("cancel test", {f"GET {RUNTIME}/deployments": running})

    assert ran.code == ExitCode.USAGE
    assert (
        "the roll-out of secret db-password b2c65d2d0000 to module-shop is Requested, "
        "module-shop-RollingOut is RollingOut"
    ) in ran.err


@pytest.mark.parametrize("line", ["deployment", "rollback"])
def test_a_module_of_an_environment_selects_as_elsewhere(line: str, runtimectl: RuntimeCtl) -> None:
    answers = {
        f"GET {RUNTIME}/deployments": [THE_DEPLOYMENT],
        f"POST {RUNTIME}/deployments/{DEPLOYMENT}/rollback": THE_ACCEPTED,
    }

    ran = runtimectl.run(f"{line} module-shop --env test", answers)
    none = runtimectl.run(f"{line} shop --env test", answers)

    assert ran.code == ExitCode.OK, ran.err
    assert any("moduleId=module-shop" in asked.path for asked in ran.asked)
    assert none.code == ExitCode.USAGE
    assert "did you mean module-shop?" in none.err


@pytest.mark.parametrize("command", ["rollback", "cancel", "retry", "release-hold", "deployment"])
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        pytest.param("module-shop --env test --module module-cart", "two modules are named",
                     id="two-modules"),
        pytest.param(f"{DEPLOYMENT} --env test", "leave out --env", id="an-id-and-an-environment"),
        pytest.param(f"{DEPLOYMENT} --module module-cart", "leave out --module",
                     id="an-id-and-a-module"),
    ],
)  # fmt: skip
def test_what_selects_nothing_is_refused_and_not_left_out(
    command: str, typed: str, said: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"{command} {typed}", {f"GET {RUNTIME}/deployments": [THE_DEPLOYMENT]})

    assert ran.code == ExitCode.USAGE
    assert said in ran.err
    assert not [asked for asked in ran.asked if asked.method != "GET"]


@pytest.mark.parametrize("line", ["history", "live", "slo get", "slo delete"])
def test_the_id_of_a_service_is_not_of_an_environment_too(
    line: str, runtimectl: RuntimeCtl
) -> None:
    ran = runtimectl.run(f"{line} {SERVICE} --env test", {})

    assert ran.code == ExitCode.USAGE
    assert "leave out --env" in ran.err
    assert not ran.asked


def test_where_none_fits_the_module_that_was_asked_for_is_named(runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run("cancel module-shop --env test", {f"GET {RUNTIME}/deployments": []})

    assert ran.code == ExitCode.NOT_FOUND
    assert "no deployment of module-shop in test is on its way" in ran.err


def taken_back(kind: str, **more: Any) -> dict[str, Any]:
    release = "shop-1.2" if kind == "release" else "shop-1"
    return {"deploymentId": OLDER, "kind": kind, "releaseRef": release,
            "modules": ["module-shop"], **more}  # fmt: skip


@pytest.mark.parametrize(
    ("undone", "said"),
    [
        pytest.param(
            taken_back("secret", secret={
                "moduleId": "module-shop", "bindingId": "sec-w5ekllr23tyb-aaaaaaaaaaaa",
                "secretName": "s1", "version": "b2c65d2d0000ffff",
            }),
            "takes back the roll-out of secret s1 b2c65d2d0000 to module-shop: shop-1 stays, as it"
            " was before; for the release before it, if there is one, once this has ended:"
            f" `runtimectl rollback {NEWER}`",
            id="of-a-secret",
        ),
        pytest.param(
            taken_back("configuration"), "the roll-out of configuration to module-shop",
            id="of-a-configuration",
        ),
        pytest.param(
            taken_back("secret", secret=None), "the roll-out of a secret to module-shop: shop-1",
            id="of-a-secret-that-is-not-said",
        ),
        pytest.param(taken_back("release"), "takes back shop-1.2: shop-1 comes back", id="release"),
        pytest.param(
            taken_back("secret", releaseRef="shop-1.1"), "to module-shop: shop-1 comes back",
            id="to-another-release",
        ),
        pytest.param(
            {**taken_back("release"), "deploymentId": NEWER},
            "takes back shop-1.2, which was on its way", id="on-its-way",
        ),
    ],
)  # fmt: skip
def test_a_rollback_says_what_it_takes_back(
    undone: dict[str, Any], said: str, runtimectl: RuntimeCtl
) -> None:
    accepted = {
        **THE_ACCEPTED, "deploymentId": NEWER, "kind": "rollback", "takenBack": undone,
    }  # fmt: skip
    path = f"POST {RUNTIME}/deployments/{OLDER}/rollback"

    ran = runtimectl.run(f"rollback {OLDER}", {path: accepted})

    assert said in ran.err


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("RolledBack", ExitCode.OK),
        ("Cancelled", ExitCode.OK),
        ("Failed", ExitCode.ENDED_OTHERWISE),
    ],
)
def test_a_rollback_of_one_on_its_way_is_good_when_that_is_taken_back(
    status: str, code: ExitCode, runtimectl: RuntimeCtl
) -> None:
    reason = {"code": "RollbackAsked", "message": "asked by a caller"}
    ended = {**THE_DEPLOYMENT, "status": status, "reason": reason}

    ran = runtimectl.run(
        f"rollback {DEPLOYMENT} --wait",
        {
            f"POST {RUNTIME}/deployments/{DEPLOYMENT}/rollback": THE_ACCEPTED,
            f"GET {RUNTIME}/deployments/{DEPLOYMENT}": ended,
        },
    )

    assert ran.code == code, ran.err


def test_a_rollback_of_one_that_completed_is_good_when_it_completes(runtimectl: RuntimeCtl) -> None:
    back = {**THE_DEPLOYMENT, "deploymentId": NEWER, "kind": "rollback", "status": "RolledBack"}

    ran = runtimectl.run(
        f"rollback {DEPLOYMENT} --wait",
        {
            f"POST {RUNTIME}/deployments/{DEPLOYMENT}/rollback": {
                **THE_ACCEPTED, "deploymentId": NEWER,
            },
            f"GET {RUNTIME}/deployments/{NEWER}": back,
        },
    )  # fmt: skip

    assert ran.code == ExitCode.ENDED_OTHERWISE


def test_what_has_ended_otherwise_is_not_said_to_be_rolled_back_instead() -> None:
    remedies = [
        remedy_for("NotCancellable", f"{DEPLOYMENT} has ended as {status}; …", ExitCode.CONFLICT)
        for status in ("Completed", "RolledBack")
    ]

    assert remedies[0] == f"roll it back instead: `runtimectl rollback {DEPLOYMENT}`"
    assert remedies[1].startswith("nothing to do: it has ended")


SHOP_1 = {"moduleId": "module-shop", "version": "1.0"}


@pytest.mark.parametrize(
    ("kind", "release", "restores", "said"),
    [
        pytest.param(
            "release",
            "shop-1",
            [SHOP_1],
            "would take back shop-1.2: shop-1 would come back",
            id="release",
        ),
        pytest.param(
            "release",
            "shop-1.2",
            [SHOP_1],
            "would take back shop-1.2: shop-1.2 would come back",
            id="release-of-the-same-name",
        ),
        pytest.param(
            "release",
            "shop-1.2",
            [{**SHOP_1, "releaseRef": "shop-1"}, {**SHOP_1, "releaseRef": "shop-1.2"}],
            "would take back shop-1.2: of each module what was before would come back"
            " (shop-1, shop-1.2)",
            id="modules-of-several-releases",
        ),
        pytest.param(
            "repair",
            "shop-1",
            [SHOP_1],
            "would take back the repair of module-shop: shop-1 stays, as it was before; for the"
            " release before it, if there is one, roll back once more when this has ended",
            id="roll-out",
        ),
        pytest.param(
            "rollback",
            "shop-1",
            [SHOP_1],
            "would take back the rollback to shop-1: shop-1 stays, as it was before",
            id="rollback-to-the-same",
        ),
        pytest.param(
            "release",
            None,
            [{**SHOP_1, "startsAgain": True}],
            "shop-1.2, which is on its way: what was in force before is started again",
            id="recreate-on-its-way",
        ),
        pytest.param(
            "release",
            None,
            [{**SHOP_1, "startsAgain": True}, {"moduleId": "module-job", "version": None}],
            "is started again of module-shop, and stays of the others",
            id="recreate-of-one-of-two",
        ),
        pytest.param(
            "release",
            None,
            [SHOP_1],
            "shop-1.2, which is on its way: what is in force stays",
            id="on-its-way",
        ),
        pytest.param(
            "release",
            None,
            [],
            "shop-1.2, which is on its way: nothing was in force before it",
            id="first-on-its-way",
        ),
    ],
)
def test_a_dry_run_of_a_rollback_sends_no_rollback(
    kind: str,
    release: str | None,
    restores: list[dict[str, str]],
    said: str,
    runtimectl: RuntimeCtl,
) -> None:
    removed = {"moduleId": "module-new", "version": "1.2", "releaseRevision": 2}
    plan = {
        "environmentId": ENVIRONMENT, "takenBack": taken_back(kind), "releaseRef": release,
        "restores": restores, "removals": [removed], "waitingFor": "queue", "holder": None,
    }  # fmt: skip

    ran = runtimectl.run(
        f"rollback {OLDER} --dry-run", {f"POST {RUNTIME}/deployments/{OLDER}/rollback": plan}
    )

    assert ran.code == ExitCode.OK, ran.err
    assert ran.written[1]["dryRun"] is True
    assert said in ran.out
    assert ("in force then: module-shop 1.0" in ran.out) == bool(restores)
    assert "would remove module-new 1.2 r2\n" in ran.out
    assert "would wait for queue" in ran.out
