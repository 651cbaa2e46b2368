"""Ctrl-C at any moment ends a command with a sentence, never with a traceback."""

import signal
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from cli.__main__ import run
from cli.client import Client
from cli.exit_codes import ExitCode
from tests.cli.small_platform import ENVIRONMENT, RUNTIME, RuntimeCtl

pytestmark = pytest.mark.real
BINDING = "tb-w5ekllr23tyb-aaaaaaaaaaaa"


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


def interrupt(monkeypatch: pytest.MonkeyPatch, method: str, path: str = "") -> None:
    """Have Ctrl-C typed at the request of *method* for *path*."""
    exchange: Callable[..., Any] = Client._exchange

    def interrupted(client: Client, sent: str, target: str, *rest: Any) -> Any:
        if sent == method and path in target:
            raise KeyboardInterrupt
        return exchange(client, sent, target, *rest)

    monkeypatch.setattr(Client, "_exchange", interrupted)


def test_before_anything_is_sent(runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, "GET")

    ran = runtimectl.run("env delete test")

    assert ran.code == ExitCode.INTERRUPTED
    assert "nothing was sent" in ran.err


def test_where_an_error_of_its_own_is_made_of_it(
    runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("a model cannot be built") from interrupt

    monkeypatch.setattr("cli.client.Client.list_all", build)

    ran = runtimectl.run("env list")

    assert ran.code == ExitCode.INTERRUPTED
    assert "interrupted; nothing was sent" in ran.err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_while_it_is_sent(runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, "DELETE")

    ran = runtimectl.run("env delete test --confirm test")

    assert ran.code == ExitCode.INTERRUPTED
    assert f"DELETE {RUNTIME}/environments/{ENVIRONMENT} was sent" in ran.err


def test_after_it_was_answered(runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, "GET", f"{RUNTIME}/environments")
    one = f"{RUNTIME}/tenant-bindings/{BINDING}"
    binding = {"bindingId": BINDING, "environmentId": ENVIRONMENT, "status": "Enforced"}

    ran = runtimectl.run(
        f"tenant suspend {BINDING} --reason unpaid",
        {f"GET {one}": binding, f"POST {one}/suspend": binding},
    )

    assert ran.code == ExitCode.INTERRUPTED
    assert "what was accepted continues" in ran.err


def test_while_it_is_watched(runtimectl: RuntimeCtl, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt(monkeypatch, "GET", BINDING)
    begun = {
        "bindingId": BINDING, "tenantId": "acme", "ownerTenantId": "acme", "status": "Bound",
        "reason": None,
    }  # fmt: skip

    ran = runtimectl.run("tenant bind test --wait", {f"POST {RUNTIME}/tenant-bindings": begun})

    assert ran.code == ExitCode.INTERRUPTED
    assert f"`runtimectl tenant show {BINDING}`" in ran.err


class _InterruptsImports:
    """Has Ctrl-C typed while the command line is imported."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name == "cli.main":
            signal.raise_signal(signal.SIGINT)
        return None


def test_while_the_program_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.delitem(sys.modules, "cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [_InterruptsImports(), *sys.meta_path])

    assert run() == ExitCode.INTERRUPTED
    assert signal.getsignal(signal.SIGINT) == handler
    assert "nothing was sent" in capsys.readouterr().err
