"""A command about an environment that was just provisioned does not depend on who heard of it."""

from collections.abc import Iterator

import pytest

from cli import wait_for_events
from cli.exit_codes import ExitCode
from tests.cli.configured_platform import ConfiguredPlatform, configured_platform
from tests.cli.small_platform import THE_ENVIRONMENT, RuntimeCtl
from tests.cli.small_server import Asked, serving
from tests.kit.told import environment

pytestmark = pytest.mark.real
BIND = (
    "secret", "bind", "db", "--env", "test", "--module", "module-web",
    "--delivery", "environmentVariable", "--target", "DB",
)  # fmt: skip
SET = ("config", "set", "greeting=hi", "--env")


UNHEARD = "the service has not heard of test, which is provisioned, yet: waiting up to 30 s"


@pytest.fixture
def platform(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[ConfiguredPlatform]:
    """Return one whose service configurations has heard of no environment."""
    with configured_platform(RuntimeCtl(monkeypatch, capsys), knows_environment=False) as made:
        yield made


def publishes(asked: list[Asked]) -> int:
    return sum(each.method == "POST" for each in asked)


def hear_before(platform: ConfiguredPlatform, publish: int) -> None:
    """Have its service hear of the environment before the publish with that number."""

    def hear(_: Asked) -> None:
        if publishes(platform.server.asked) == publish:
            platform.hear(environment(1))

    platform.before = hear


def test_configuration_is_published_once_its_service_has_heard(
    platform: ConfiguredPlatform,
) -> None:
    hear_before(platform, 2)

    ran = platform.run(*SET, "test")

    assert ran.code == ExitCode.OK, ran.err
    assert publishes(ran.asked) == 2
    assert UNHEARD not in ran.err


def test_what_takes_a_while_is_said_once(
    platform: ConfiguredPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait_for_events, "SAID_AFTER_S", 0.0)
    monkeypatch.setattr(wait_for_events, "ASK_INTERVAL_S", 0.01)
    hear_before(platform, 4)

    ran = platform.run(*SET, "test")

    assert ran.code == ExitCode.OK, ran.err
    assert ran.err.count(UNHEARD) == 1


def test_an_environment_that_is_not_there_is_refused_at_once(platform: ConfiguredPlatform) -> None:
    error = {"code": "EnvironmentNotFound", "message": "there is no such environment"}
    platform.elsewhere = lambda _: (404, {"error": error})

    ran = platform.run(*SET, "env-bbbbbbbbbbbb")

    assert ran.code == ExitCode.NOT_FOUND
    assert publishes(ran.asked) == 1


def test_a_secret_is_bound_once_its_service_has_heard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies: list[bytes] = []

    def answer(asked: Asked) -> tuple[int, object]:
        path = asked.path.partition("?")[0]
        if path == "/v1/runtime/environments":
            return 200, {"value": [THE_ENVIRONMENT], "nextLink": None}
        if path.startswith("/v1/runtime/environments/"):
            return 200, THE_ENVIRONMENT
        if asked.method == "POST":
            bodies.append(asked.body)
            if len(bodies) == 1:
                error = {"code": "EnvironmentNotProvisioned", "message": "is not known here"}
                return 404, {"error": error}
            return 200, {"change": "Bind", "status": None, "version": "1", "refusals": []}
        return 200, {"value": [], "nextLink": None}

    with serving(answer, keeps_connections=False) as server:
        ran = RuntimeCtl(monkeypatch, capsys).run_words(
            server,
            [*BIND, "--dry-run"],
        )

    assert ran.code == ExitCode.OK, ran.err
    assert len(bodies) == 2
