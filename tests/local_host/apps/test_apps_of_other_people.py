"""Ordinary Function Apps, as the documentation writes them, in a host of their own process."""

import json
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.kit.host_processes import Process, started
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real
APPS = Path(__file__).parents[1] / "sample_apps"


@contextmanager
def running(name: str, state: Path) -> Iterator[tuple[str, Process]]:
    """Run the app *name*; yield where it answers and what it printed; it ends well."""
    with started(APPS / name, "--port", "0", state=state) as host:
        url = host.read_until(r"ready on (http://\S+) in")[1]
        yield url, host
        host.process.send_signal(signal.SIGINT)
        assert host.end() == 0


def asked(method: str, url: str, body: Any = None) -> tuple[int, Any, dict[str, str]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
        told = {name.lower(): value for name, value in answer.headers.items()}
    return answer.status, text, told


def until(url: str, holds: Any) -> Any:
    """Ask *url* until its JSON is as *holds* wants it."""
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not holds(said := json.loads(asked("GET", url)[1])):
        assert time.monotonic() < give_up_at_s, said
        threading.Event().wait(0.05)
    return said


@pytest.mark.long
def test_a_request_puts_a_message_on_a_queue_whose_trigger_takes_it(tmp_path: Path) -> None:
    with running("orders", tmp_path) as (url, host):
        status, _, _ = asked("POST", f"{url}/api/orders", {"item": "pen"})
        seen = until(f"{url}/api/packed", lambda it: it["packed"] and it["ticks"])

        assert status == 202
        assert seen["packed"] == ["pen"]
        host.read_until("packing pen")


@pytest.mark.long
def test_a_fan_out_waits_for_a_person_who_answers_by_an_event(tmp_path: Path) -> None:
    with running("expenses", tmp_path) as (url, _):
        status, said, _ = asked(
            "POST", f"{url}/api/claims/c-1", [{"amount": 3}, {"amount": 4}, {"amount": 5}]
        )
        links = json.loads(said)
        until(links["statusQueryGetUri"], lambda it: it["customStatus"] == {"total": 12})
        raised, _, _ = asked(
            "POST", links["sendEventPostUri"].replace("{eventName}", "Approval"), True
        )
        done = until(links["statusQueryGetUri"], lambda it: it["runtimeStatus"] == "Completed")
        asked("DELETE", links["purgeHistoryDeleteUri"])

        assert status == 202
        assert raised == 202
        assert done["output"] == {"paid": 12}
        with pytest.raises(urllib.error.HTTPError, match="404"):
            asked("GET", links["statusQueryGetUri"])


@pytest.mark.long
def test_a_claim_that_waits_survives_a_kill_of_its_host(tmp_path: Path) -> None:
    with started(APPS / "expenses", "--port", "0", state=tmp_path) as host:
        url = host.read_until(r"ready on (http://\S+) in")[1]
        _, said, _ = asked("POST", f"{url}/api/claims/c-1", [{"amount": 3}])
        until(json.loads(said)["statusQueryGetUri"], lambda it: it["customStatus"])

    with running("expenses", tmp_path) as (url, _):
        hub = f"{url}/runtime/webhooks/durabletask/instances/c-1"
        asked("POST", f"{hub}/raiseEvent/Approval", True)
        done = until(hub, lambda it: it["runtimeStatus"] == "Completed")

        assert done["output"] == {"paid": 3}


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("asgi", 200, '{"method": "PUT", "path": "/a/b", "got": "[1]"}'),
        ("wsgi", 201, "PUT /a/b [1]"),
    ],
)
def test_a_whole_web_application_answers_under_every_path(
    tmp_path: Path, name: str, status: int, said: str
) -> None:
    with running(name, tmp_path) as (url, _):
        answered, text, headers = asked("PUT", f"{url}/a/b", [1])

        assert (answered, text) == (status, said)
        assert headers["x-served-by"] == name
