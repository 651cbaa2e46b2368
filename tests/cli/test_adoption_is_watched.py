"""`config adoption`: who runs the version in force, and a watch that ends as the version does."""

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from cli.exit_codes import ExitCode
from tests.cli.configured_platform import ConfiguredPlatform, configured_platform
from tests.cli.small_platform import RUNTIME, THE_DEPLOYMENT, RuntimeCtl, answer_of
from tests.cli.small_server import Asked
from tests.configurations.configured import MODULE_LAYER, listed

pytestmark = pytest.mark.real
WEB = ("--env", "test", "--module", "module-web")
OTHER = "sha256:" + "9" * 64


@pytest.fixture
def platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[ConfiguredPlatform]:
    with configured_platform(RuntimeCtl(monkeypatch, capsys)) as made:
        yield made


def given_hash(platform: ConfiguredPlatform) -> str:
    return str(json.loads(platform.run("config", "get", *WEB, "-o", "json").out)["hash"])


def published(platform: ConfiguredPlatform) -> str:
    """Publish a version that two instances are to run, of which one does; return its hash."""
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    given = given_hash(platform)
    platform.prove(1, given, OTHER, version=1)
    return given


def before_reads(platform: ConfiguredPlatform, number: int, act: object) -> None:
    """Call *act* before the read of adoption with that number."""
    left = [number]

    def before(asked: Asked) -> None:
        if asked.path.endswith("/adoption"):
            left[0] -= 1
            if left[0] == 0:
                assert callable(act)
                act()

    platform.before = before


def test_each_instance_is_shown_with_what_it_runs(platform: ConfiguredPlatform) -> None:
    published(platform)

    ran = platform.run("config", "adoption", *WEB)

    rows = [line.split()[:4] for line in ran.out.splitlines()]
    assert rows[1:3] == [
        ["module-web", "web-0", "1", "observed"], ["module-web", "web-1", "0", "observed"],
    ]  # fmt: skip
    assert ran.out.splitlines()[3] == "1 of 2 run version 1"
    assert "`runtimectl parked`" in ran.err


def test_a_watch_ends_when_every_instance_runs_it(platform: ConfiguredPlatform) -> None:
    given = published(platform)
    before_reads(platform, 2, lambda: platform.prove(2, given, given, version=1))

    ran = platform.run("config", "adoption", "--watch", *WEB)

    assert ran.code == ExitCode.OK, ran.err
    assert "✓ 2 of 2 run version 1" in ran.out
    assert "module-web web-1 runs version none" in ran.out


def test_a_watch_of_a_version_that_is_not_adopted_names_who_does_not_run_it(
    platform: ConfiguredPlatform,
) -> None:
    published(platform)
    before_reads(platform, 1, lambda: platform.judge(61))

    ran = platform.run("config", "adoption", "--watch", *WEB)

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "version 1 of module-web in test is SyncFailed: web-1 does not run it" in ran.err
    assert "`runtimectl config rollback --env test --module module-web`" in ran.err
    assert "of a refused roll-out `runtimectl parked`" in ran.err


def elsewhere(platform: ConfiguredPlatform, services: list[Any], deployments: list[Any]) -> None:
    """Have the other services answer these."""
    given = {f"GET {RUNTIME}/services": services, f"GET {RUNTIME}/deployments": deployments}
    platform.elsewhere = lambda asked: answer_of(asked, given)


def deployment(status: str, mode: str) -> dict[str, Any]:
    component = {"moduleId": "module-web", "configurationMode": mode}
    return {**THE_DEPLOYMENT, "status": status, "components": [component]}


RUNS: Final = {"moduleId": "module-web", "status": "Running"}
GONE: Final = {"moduleId": "module-web", "status": "Retired"}


@pytest.mark.parametrize(
    ("services", "deployments", "why"),
    [
        pytest.param(
            [RUNS], [deployment("Completed", "pinned")],
            "a pinned module takes it with its next deployment", id="pinned",
        ),
        pytest.param(
            [], [], "module-web is not deployed in test: its next release takes it",
            id="not-deployed",
        ),
        pytest.param(
            [GONE], [deployment("Completed", "live")],
            "module-web is not deployed in test: its next release takes it", id="removed",
        ),
        pytest.param(
            [], [deployment("RolledBack", "live")],
            "no release of module-web is in force in test; its last one,"
            f" {THE_DEPLOYMENT['deploymentId']}, ended as RolledBack", id="rolled-back",
        ),
        pytest.param(
            [], [deployment("RollingOut", "live"), deployment("RolledBack", "live")],
            "module-web is not deployed in test: its next release takes it", id="on-its-way-again",
        ),
        pytest.param(
            [GONE], [deployment("Completed", "live"), deployment("RolledBack", "live")],
            "module-web is not deployed in test: its next release takes it",
            id="removed-after-one-that-completed",
        ),
        pytest.param(
            [RUNS], [deployment("Completed", "live")],
            "no instance of module-web has been heard of", id="live-without-an-instance",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("watch", [["--watch"], []], ids=["watched", "looked-at"])
def test_why_nobody_is_to_run_a_version_is_said(
    services: list[Any], deployments: list[Any], why: str, watch: list[str],
    platform: ConfiguredPlatform,
) -> None:  # fmt: skip
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    platform.judge(61)
    elsewhere(platform, services, deployments)

    ran = platform.run("config", "adoption", *watch, *WEB)

    assert ran.code == ExitCode.OK, ran.err
    assert f"nothing that runs is to be given version 1: {why}" in ran.out
    assert "✓" not in ran.out
    assert ("pinned" in ran.out) is ("pinned" in why)


def silent(platform: ConfiguredPlatform) -> None:
    """Publish a version long after the release of a live module, whose instance never asks."""
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    platform.prove(1, None, version=1, mode="live")
    platform.hear(listed(1, "web-0"))
    platform.judge(400)
    platform.publish(MODULE_LAYER, {"a": 2}, 1)


def test_a_live_instance_that_does_not_ask_is_named_and_fails_the_watch(
    platform: ConfiguredPlatform,
) -> None:
    silent(platform)
    before_reads(platform, 2, lambda: platform.judge(61))

    ran = platform.run("config", "adoption", "--watch", *WEB)

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "… 0 of 1 run version 2, 1 has not asked for it" in ran.out
    assert "… module-web web-0 has not asked for it" in ran.out
    assert "version 2 of module-web in test is SyncFailed: web-0 did not ask for it" in ran.err
    assert "a live module has to ask for it itself" in ran.err
    assert "pinned" not in ran.out + ran.err


def test_one_that_never_asked_and_one_that_is_behind_are_both_named(
    platform: ConfiguredPlatform,
) -> None:
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    platform.prove(1, None, version=1, mode="live")
    platform.hear(listed(1, "web-0", "web-1"))
    platform.judge(400)
    platform.ask("web-1")
    platform.publish(MODULE_LAYER, {"a": 2}, 1)
    before_reads(platform, 2, lambda: platform.judge(61))

    ran = platform.run("config", "adoption", "--watch", *WEB)

    said = "is SyncFailed: web-0 did not ask for it, and web-1 does not run it"
    assert said in ran.err
    assert "see whether it does (`runtimectl logs module-web --env test`)" in ran.err
    assert "see why it does not take it (`runtimectl logs module-web --env test`;" in ran.err


def test_a_live_instance_that_does_not_ask_is_listed_so(platform: ConfiguredPlatform) -> None:
    silent(platform)

    ran = platform.run("config", "adoption", *WEB)

    (row,) = [line.split() for line in ran.out.splitlines() if line.startswith("module-web")]
    assert row == ["module-web", "web-0", "-", "reported", "has", "not", "asked"]
    assert ran.out.endswith("0 of 1 run version 2, 1 has not asked for it\n")
    assert "a live module has to ask for it itself" in ran.err
    assert "parked" not in ran.err


def test_a_version_is_not_adopted_while_nothing_of_its_module_is_ready(
    platform: ConfiguredPlatform,
) -> None:
    platform.publish(MODULE_LAYER, {"a": 1}, 0)
    platform.judge(61)
    unavailable = {"moduleId": "module-web", "status": "Unavailable"}
    platform.elsewhere = lambda _: (200, {"value": [unavailable], "nextLink": None})

    ran = platform.run("config", "adoption", "--watch", "--timeout", "5", *WEB)

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "no instance of module-web is ready to run it" in ran.err


def test_a_watch_ends_when_another_version_takes_its_place(platform: ConfiguredPlatform) -> None:
    published(platform)
    before_reads(platform, 1, lambda: platform.publish(MODULE_LAYER, {"a": 2}, 1))

    ran = platform.run("config", "adoption", "--watch", *WEB)

    assert ran.code == ExitCode.ENDED_OTHERWISE
    assert "version 2 took the place of version 1" in ran.err


def test_a_watch_has_an_end_of_its_own(platform: ConfiguredPlatform) -> None:
    published(platform)

    ran = platform.run("config", "adoption", "--watch", "--timeout", "1", *WEB)

    assert ran.code == ExitCode.STILL_RUNNING
    assert "not adopted within 1 s" in ran.err


def test_a_watch_of_a_layer_that_has_only_a_draft_ends_at_once(
    platform: ConfiguredPlatform,
) -> None:
    platform.run("config", "set", "a=1", "--draft", *WEB)

    ran = platform.run("config", "adoption", "--watch", *WEB)

    assert ran.code == ExitCode.CONFLICT
    assert "nothing of module-web in test is in force, only a draft" in ran.err
