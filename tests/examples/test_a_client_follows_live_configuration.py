"""The client of 100 lines: what it takes, what it never takes, what it keeps, how flags are."""

import hashlib
import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest

from shared.web.long_polls import READ_EVERY_S
from tests.cli.small_server import Asked, Server, serving
from tests.kit.patience import PATIENCE_S

FOLDER: Final = Path(__file__).parents[2] / "examples" / "configuration"
SOURCE: Final = FOLDER / "live_configuration.py"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("live_configuration", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLIENT: Final[Any] = _loaded()


def given(values: Mapping[str, Any], version: int = 1) -> dict[str, Any]:
    """Return what the route answers for *values*."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    numbers = {"tenantVersion": 0, "environmentVersion": 0, "moduleVersion": version}
    return {**numbers, "hash": digest, "values": values, "layerOf": {}}


class Platform:
    """Answers what *answers* say, one after the other, the last of them from then on."""

    def __init__(self, *answers: tuple[int, Any] | None) -> None:
        self._answers = [*answers]
        self.asked: list[Asked] = []
        self.is_through = threading.Event()

    def __call__(self, asked: Asked) -> tuple[int, Any] | None:
        self.asked.append(asked)
        if len(self._answers) == 1:
            self.is_through.set()
            return self._answers[0]
        return self._answers.pop(0)


def live_at(server: Server, kept: Path) -> Any:
    return CLIENT.LiveConfiguration(
        server.url, "env-1", "module-shop", "web-0", lambda: "a-token", kept
    )


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept.json"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let failures be tried again at once: how long is no subject of these tests."""
    monkeypatch.setattr(CLIENT, "BACKOFF_S", 0.001)
    monkeypatch.setattr(CLIENT, "BACKOFF_MAX_S", 0.002)


def followed(platform: Platform, kept: Path) -> Any:
    """Follow *platform* until its last answer was given; return the client."""
    with serving(platform, keeps_connections=False) as server:
        live = live_at(server, kept)
        thread = threading.Thread(target=live.follow)
        thread.start()
        try:
            assert platform.is_through.wait(PATIENCE_S)
        finally:
            live.stopped.set()
            thread.join(PATIENCE_S)
    assert not thread.is_alive()
    return live


def test_it_has_at_most_a_hundred_lines_and_needs_no_package() -> None:
    lines = SOURCE.read_text().splitlines()
    imported = {
        line.split()[1].partition(".")[0] for line in lines if line[:5] in {"impor", "from "}
    }

    assert len(lines) <= 100
    assert imported <= {
        "hashlib", "json", "os", "threading", "time", "urllib", "collections", "contextlib",
        "pathlib", "typing",
    }  # fmt: skip


@pytest.mark.real
def test_each_request_says_what_is_known_who_asks_and_how_long_it_waits(kept: Path) -> None:
    first, second = given({"a": 1}), given({"a": 2})
    platform = Platform((200, first), (200, second))

    with serving(platform, keeps_connections=False) as server:
        live = live_at(server, kept)
        assert live.poll(5) is True
        assert live.poll(7) is True

    assert [asked.headers["if-none-match"] for asked in platform.asked] == [
        '""', f'"{first["hash"]}"'
    ]  # fmt: skip
    assert platform.asked[0].headers["authorization"] == "Bearer a-token"
    assert platform.asked[1].path.endswith(
        "?environmentId=env-1&moduleId=module-shop&instance=web-0&wait=7"
    )
    assert live.values == {"a": 2}


@pytest.mark.real
def test_what_is_unchanged_is_no_news(kept: Path) -> None:
    with serving(Platform((200, given({"a": 1})), (304, None)), keeps_connections=False) as server:
        live = live_at(server, kept)

        assert (live.poll(1), live.poll(1)) == (True, False)
    assert live.values == {"a": 1}


BAD: Final[Mapping[str, tuple[int, Any] | None]] = {
    "no-answer": None,
    "a-failure": (500, {"error": {}}),
    "a-refusal": (401, {"error": {}}),
    "an-unusable-merge": (409, {"error": {"code": "ConfigurationUnusable"}}),
    "an-empty-document": (200, {}),
    "null": (200, None),
    "no-values": (200, {"hash": given({})["hash"]}),
    "other-values-than-its-hash": (200, {**given({"a": 9}), "values": {}}),
    "nothing-published-any-more": (200, given({}, version=0)),
    "a-list": (200, [1]),
}


@pytest.mark.real
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_an_empty_or_failed_read_replaces_no_value_and_the_next_good_one_does(
    bad: tuple[int, Any] | None, kept: Path
) -> None:
    before = given({"a": 1})
    kept.write_text(json.dumps(before))
    with serving(Platform(bad), keeps_connections=False) as server:
        live = live_at(server, kept)
        with pytest.raises((OSError, ValueError, KeyError, TypeError)):
            live.poll(1)
    assert (live.values, json.loads(kept.read_text())) == ({"a": 1}, before)

    after = followed(Platform(bad, bad, (200, given({"a": 2}))), kept)

    assert after.values == {"a": 2}


def test_what_was_good_last_is_there_before_anything_is_asked(kept: Path) -> None:
    kept.write_text(json.dumps(given({"a": 1})))

    live = CLIENT.LiveConfiguration("http://127.0.0.1:1", "env-1", "m", "i", str, kept)

    assert live.values == {"a": 1}


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({**given({"a": 1}), "values": {}})])
def test_a_damaged_file_is_nothing_kept(content: str, kept: Path) -> None:
    kept.write_text(content)

    live = CLIENT.LiveConfiguration("http://127.0.0.1:1", "env-1", "m", "i", str, kept)

    assert (live.values, live.hash) == ({}, "")


@pytest.mark.real
def test_what_is_kept_is_whole_or_as_it_was(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = given({"a": 1})
    kept.write_text(json.dumps(before))

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(CLIENT.os, "fsync", full)
    with serving(Platform((200, given({"a": 2}))), keeps_connections=False) as server:
        live = live_at(server, kept)
        with pytest.raises(OSError, match="no space"):
            live.poll(1)

    assert json.loads(kept.read_text()) == before
    assert live.values == {"a": 2}


@pytest.mark.real
@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("after", ["3600", "Sun, 29 Nov 2026 12:00:00 GMT", "soon"])
def test_a_time_to_wait_that_is_long_or_none_ends_nothing(after: str, kept: Path) -> None:
    platform = Platform((429, {}), (200, given({"a": 1})))

    with serving(platform, keeps_connections=False, headers={"Retry-After": after}) as server:
        live = live_at(server, kept)
        thread = threading.Thread(target=live.follow)
        thread.start()
        assert platform.is_through.wait(PATIENCE_S)
        live.stopped.set()
        thread.join(PATIENCE_S)

    assert live.values == {"a": 1}


@pytest.mark.real
def test_failures_are_tried_less_and_less_often(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    class Stopped(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            if len(waits) == 9:
                self.set()
            return self.is_set()

    monkeypatch.setattr(CLIENT.os, "urandom", lambda count: b"\xff" * count)
    with serving(Platform((503, {})), keeps_connections=False) as server:
        live = live_at(server, kept)
        live.stopped = Stopped()
        live.follow()

    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_it_waits_longer_than_the_platform_reads() -> None:
    assert CLIENT.WAIT_S > READ_EVERY_S


def flag_of(kept: Path, rules: Sequence[Mapping[str, Any]]) -> Any:
    flag = {"type": "string", "default": "off", "rules": rules}
    kept.write_text(json.dumps(given({"checkout": {"flag": flag}})))
    return CLIENT.LiveConfiguration("http://127.0.0.1:1", "env-1", "m", "i", str, kept)


def test_a_percentage_goes_by_the_first_eight_bytes_of_the_hash_of_key_and_subject(
    kept: Path,
) -> None:
    live = flag_of(kept, [{"percent": 30, "value": "on"}])

    for number in range(1000):
        digest = hashlib.sha256(f"checkout:user-{number}".encode()).digest()
        is_in = int(digest[:8].hex(), 16) / 2**64 < 0.3
        assert live.flag("checkout", f"user-{number}") == ("on" if is_in else "off")


def test_more_percent_takes_nobody_out(kept: Path) -> None:
    def chosen(percent: int) -> set[int]:
        live = flag_of(kept, [{"percent": percent, "value": "on"}])
        return {each for each in range(500) if live.flag("checkout", str(each)) == "on"}

    none, some, more, everyone = map(chosen, (0, 10, 50, 100))

    assert none == set()
    assert some < more < everyone
    assert everyone == set(range(500))
    assert 25 <= len(some) <= 80


def test_the_program_of_the_example_prints_what_is_published_and_waits(tmp_path: Path) -> None:
    def answer(asked: Asked) -> tuple[int, Any] | None:
        return (200, given({"other": 1})) if "wait=0" in asked.path else None

    (tmp_path / "token").write_text("a-token")
    with serving(answer, keeps_connections=False) as server:
        environ = {
            "HOME": str(tmp_path), "RUNTIME_API_TOKEN_FILE": str(tmp_path / "token"),
            "RUNTIME_API_URL": server.url, "RUNTIME_ENVIRONMENT_ID": "env-1",
            "RUNTIME_MODULE_ID": "module-shop", "RUNTIME_INSTANCE_ID": "web-0",
            "no_proxy": "127.0.0.1",
        }  # fmt: skip
        line = [sys.executable, str(FOLDER / "by_route.py")]
        with subprocess.Popen(line, env=environ, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "no shop.greeting, checkout False\n"
            finally:
                process.kill()


def test_the_first_rule_that_fits_decides(kept: Path) -> None:
    rules = [
        {"tenants": ["acme"], "value": "acme"},
        {"tenants": ["globex"], "percent": 0, "value": "never"},
        {"percent": 100, "value": "all"},
    ]
    live = flag_of(kept, rules)

    assert live.flag("checkout", "u", tenant="acme") == "acme"
    assert live.flag("checkout", "u", tenant="globex") == "all"
    assert live.flag("checkout", "u") == "all"
    assert flag_of(kept, []).flag("checkout", "u") == "off"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
