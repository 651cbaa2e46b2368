"""A process of a `live` module follows its configuration by what the platform gives it."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from cli.client import Client
from cli.failure import Failure
from tests.kit.real_system import real_system
from tests.system.test_a_configuration_is_really_read import MODULE, Greetings

pytestmark = pytest.mark.real
CLIENT: Final = Path(__file__).parents[2] / "examples" / "configuration" / "live_configuration.py"
SERVER: Final = """
import os, pathlib, signal, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from live_configuration import LiveConfiguration

given = os.environ
live = LiveConfiguration(
    given["RUNTIME_API_URL"], given["RUNTIME_ENVIRONMENT_ID"], given["RUNTIME_MODULE_ID"],
    given["RUNTIME_INSTANCE_ID"], pathlib.Path(given["RUNTIME_API_TOKEN_FILE"]).read_text,
    pathlib.Path(given["HOME"], "kept"),
)
threading.Thread(target=live.follow, daemon=True).start()

class Greeting(BaseHTTPRequestHandler):
    def do_GET(self):
        said = str(live.values.get("greeting", "nothing yet")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("127.0.0.1", int(given["PORT"])), Greeting).serve_forever()
"""


def asked(client: Client, environment: str, **others: str) -> Mapping[str, Any]:
    query = {"environmentId": environment, "moduleId": MODULE, **others}
    return client.get("/v1/runtime/effective-configuration", query).body


def adopted(client: Client, environment: str) -> tuple[int, int, int, str] | None:
    """Return the version that is Synced with how many expected it, run it, and on which basis."""
    query = {"environmentId": environment, "moduleId": MODULE}
    (head,) = client.list_all("/v1/runtime/configurations", query)
    found = client.get(f"/v1/runtime/configurations/{head['configurationId']}/adoption").body
    if head["status"] != "Synced" or not found["instances"]:
        return None
    basis = found["instances"][0]["basis"]
    return found["version"], found["expected"], found["acknowledged"], basis


def refused(client: Client, environment: str, **others: str) -> str | None:
    with pytest.raises(Failure) as problem:
        asked(client, environment, **others)
    return problem.value.code


@pytest.mark.long
def test_it_follows_each_publish_and_its_token_is_good_for_nothing_else(tmp_path: Path) -> None:
    state = tmp_path / "state"
    files = {"server.py": SERVER, "live_configuration.py": CLIENT.read_text()}
    with real_system(state) as system, closing(system.client()) as client:
        shop = Greetings(system, client, files)
        shop.publish("hello")
        deployed = shop.deploy("1", configurationMode="live", configurationDelivery=[])
        assert deployed["status"] == "Completed", deployed["reason"]
        system.until(lambda: shop.said() == "hello")

        shop.publish("hi")
        system.until(lambda: shop.said() == "hi")

        system.until(lambda: adopted(client, shop.environment) == (2, 1, 1, "reported"))
        (token,) = state.glob("surface/sites/*/instances/*/*/api/token")
        instance = token.parent.parent.name
        with closing(Client(system.url, token.read_text())) as workload:
            own = shop.environment
            assert asked(workload, own, instance=instance)["values"]["greeting"] == "hi"
            others = [
                refused(workload, own, moduleId="module-other"),
                refused(workload, "env-abcdefghijkl"),
                refused(workload, own, instance="another-1-0"),
            ]
            assert others == ["ScopeMissing"] * 3
            for path in ("/v1/runtime/configurations", f"/v1/runtime/environments/{own}"):
                with pytest.raises(Failure) as problem:
                    workload.get(path)
                assert problem.value.code == "ScopeMissing"
