"""`logs`: what exists, and each new line once while it is followed."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from cli.commands.logs import lines_after
from cli.exit_codes import ExitCode
from cli.state_folder import REPOSITORY
from tests.cli.small_platform import (
    DEPLOYMENT,
    NOON,
    RUNTIME,
    THE_DEPLOYMENT,
    THE_ENVIRONMENT,
    Ran,
    RuntimeCtl,
    answer_of,
)
from tests.cli.small_server import Asked, serving
from tests.kit.patience import PATIENCE_S


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("earlier", "lines", "fresh"),
    [
        pytest.param("ab", "abc", "c", id="one-more"),
        pytest.param("abc", "bcd", "d", id="the-first-fell-out"),
        pytest.param("abc", "abc", "", id="nothing-new"),
        pytest.param("aa", "aaa", "a", id="the-same-line-again"),
        pytest.param("abc", "xyz", "xyz", id="all-of-it-is-new"),
        pytest.param("", "ab", "ab", id="the-first"),
        pytest.param("ab", "", "", id="a-new-file"),
    ],
)
def test_new_lines_are_those_after_what_was_seen(
    earlier: Sequence[str], lines: Sequence[str], fresh: Sequence[str]
) -> None:
    assert list(lines_after(list(earlier), list(lines))) == list(fresh)


@pytest.mark.real
@pytest.mark.parametrize("form", ["table", "json"])
def test_each_line_is_shown_once_until_it_is_interrupted(form: str) -> None:
    outputs = [["one"], ["one", "two"], ["one", "two", "three"]]

    def answer(asked: Asked) -> tuple[int, Any]:
        if not asked.path.startswith(f"{RUNTIME}/deployments/{DEPLOYMENT}/logs"):
            return answer_of(asked)
        lines = outputs.pop(0) if len(outputs) > 1 else outputs[0]
        return 200, {"value": [{"instance": "i-1", "releaseRevision": 3, "lines": lines}]}

    with serving(answer, keeps_connections=False) as server:
        following = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *f"logs module-shop -e test -f -o {form}".split()],
            env={"RUNTIMECTL_URL": server.url, "RUNTIMECTL_TOKEN": "a-token"},
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with following:
            assert following.stdout is not None
            try:
                shown = [following.stdout.readline().strip() for _ in range(3)]
                following.send_signal(signal.SIGINT)
                rest, _ = following.communicate(timeout=PATIENCE_S)
            finally:
                following.kill()

    if form == "json":
        shown = [f"{line['instance']} | {line['line']}" for line in map(json.loads, shown)]
    assert shown == ["i-1 | one", "i-1 | two", "i-1 | three"]
    assert (following.returncode, rest) == (ExitCode.OK, "")


@pytest.mark.real
@pytest.mark.parametrize(
    ("option", "status", "why"),
    [
        pytest.param("", "Decommissioned", "the environment test has ended", id="environment"),
        pytest.param("--revision 3", "Provisioned", "r3 of module-shop was removed", id="revision"),
    ],
)
def test_following_ends_where_nothing_more_can_come(
    option: str, status: str, why: str, runtimectl: RuntimeCtl
) -> None:
    stored = {
        "instance": "i-1", "releaseRevision": 3, "live": False, "source": "stored",
        "storedAt": NOON, "lines": ["one", "two", "three"],
    }  # fmt: skip
    answers = {
        f"GET {RUNTIME}/environments": [{**THE_ENVIRONMENT, "status": status}],
        f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": [stored],
    }

    ran = runtimectl.run(f"logs module-shop --env test --tail 2 -f {option}", answers)

    assert ran.code == ExitCode.OK, ran.err
    assert ran.out.splitlines() == ["i-1 | two", "i-1 | three"]
    assert f"{why}: this is what was stored of it, and nothing more comes" in ran.err


@pytest.mark.real
@pytest.mark.parametrize("module", ["nothere", "module-nothere"])
def test_a_module_that_was_never_deployed_is_not_found(module: str, runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(f"logs {module} --env test")

    assert ran.code == ExitCode.NOT_FOUND
    assert f"{module} was never deployed to test; there was module-shop" in ran.err


@pytest.mark.real
@pytest.mark.parametrize(
    ("option", "shown"),
    [
        pytest.param("", ["i-4", "i-3"], id="a-rejected-one-and-what-is-in-force"),
        pytest.param("--previous", ["i-1"], id="what-was-in-force-before-not-what-was-rejected"),
        pytest.param("--revision 2", ["i-2"], id="a-revision"),
    ],
)
def test_former_and_failed_instances_have_output_too(
    option: str, shown: list[str], runtimectl: RuntimeCtl
) -> None:
    statuses = ["Completed", "RolledBack", "Completed", "RolledBack"]

    ran = runtimectl.run(f"logs module-shop --env test {option}", with_output(*statuses))

    assert instances_in(ran) == shown


@pytest.mark.real
@pytest.mark.parametrize("follow", ["", "-f"])
def test_a_revision_that_never_was_is_not_found(follow: str, runtimectl: RuntimeCtl) -> None:
    ran = runtimectl.run(
        f"logs module-shop --env test --revision 7 {follow}", with_output("Completed")
    )

    assert ran.code == ExitCode.NOT_FOUND
    assert "there is no output of r7 of module-shop" in ran.err


@pytest.mark.real
@pytest.mark.parametrize(
    ("option", "shown"),
    [
        pytest.param("", ["i-13", "i-1"], id="what-is-in-force-is-found-behind-them"),
        pytest.param("--revision 1", ["i-1"], id="by-its-revision-too"),
        pytest.param("--previous", [], id="before-the-first-there-was-none"),
    ],
)
def test_many_rejected_releases_hide_nothing(
    option: str, shown: list[str], runtimectl: RuntimeCtl
) -> None:
    statuses = ["Completed", *["RolledBack"] * 12]

    ran = runtimectl.run(f"logs module-shop --env test {option}", with_output(*statuses))

    assert instances_in(ran) == shown
    said = "no release of module-shop was in force before this one" in ran.err
    assert said is (option == "--previous")
    assert ("ask by its --revision" in ran.err) is said


@pytest.mark.real
@pytest.mark.parametrize(
    ("option", "is_told"), [pytest.param("", True, id="newest"), ("--revision 7", False)]
)
def test_a_release_that_never_wrote_anything_says_why_it_ended(
    option: str, runtimectl: RuntimeCtl, *, is_told: bool
) -> None:
    why = "data folder uploads is not there"
    ended = {
        **THE_DEPLOYMENT,
        "status": "RolledBack",
        "reason": {"code": "DataMissing", "message": why},
    }
    platform = {
        f"GET {RUNTIME}/deployments": [ended],
        f"GET {RUNTIME}/deployments/{DEPLOYMENT}/logs": [],
    }

    ran = runtimectl.run(f"logs module-shop --env test {option}", platform)

    assert (f"{DEPLOYMENT} ended as RolledBack before it wrote anything ({why})" in ran.err) is (
        is_told
    )


def with_output(*statuses: str) -> dict[str, Any]:
    """Return the answers about deployments that ended so, oldest first, with one instance each."""
    in_force = max(n for n, status in enumerate(statuses, 1) if status == "Completed")
    ids = [f"{DEPLOYMENT[:-2]}{number:02}" for number in range(1, len(statuses) + 1)]
    deployments = [
        {**THE_DEPLOYMENT, "deploymentId": identity, "status": status}
        for identity, status in zip(ids, statuses, strict=True)
    ]
    outputs = {
        f"GET {RUNTIME}/deployments/{identity}/logs": [
            {"instance": f"i-{number}", "releaseRevision": number, "live": number == in_force,
             "lines": [], "reason": None}
        ]
        for number, identity in enumerate(ids, 1)
    }  # fmt: skip
    return {f"GET {RUNTIME}/deployments": deployments[::-1], **outputs}


def instances_in(ran: Ran) -> list[str]:
    return [line.split()[1] for line in ran.out.splitlines() if "==" in line]
