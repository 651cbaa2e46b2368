"""The part of the whole story with a second tenant, in an environment of the first."""

import http.client
import json
from typing import Final
from urllib.parse import urlsplit

from cli.demo.promises import Promises
from cli.demo.sandbox import Sandbox
from cli.demo.scenario import MODULE, NEW, OLD, PATH, archive
from cli.demo.whole_scenario import GUEST, release_file, release_text
from cli.exit_codes import ExitCode

OWNER: Final = "tenant-demo"
_ANSWER_WITHIN_S: Final = 5


def bind_guest(sandbox: Sandbox, promises: Promises) -> None:
    """Let another tenant deploy to test, beside the owner's service of the same name."""
    sandbox.print_title("7 · A second tenant, in the environment of the first")
    test = sandbox.environment("test")
    identity = str(test["environmentId"])
    log_in(sandbox, GUEST)
    sandbox.run(f"env show {identity}", expect=ExitCode.NOT_FOUND)
    sandbox.run(f"tenant bind {identity} --owner {OWNER} --wait")
    sandbox.print()
    sandbox.print("a guest has no path of the public port: it is reached by its host name")
    content = "".join(
        f"{line}\n" for line in release_text(OLD).splitlines() if "pathPrefix" not in line
    )
    file = release_file(sandbox, "guest", content)
    sandbox.run(f"deploy -f {file} --artifact {archive(sandbox, OLD)} --env {identity} --wait")
    sandbox.run("tenant list")
    sandbox.run("status")
    log_in(sandbox, OWNER)
    public = str(test["provisioned"][0]["endpoint"])
    own, guests = answered_version(public), answered_version(public, GUEST)
    sandbox.print()
    sandbox.print(f"answers:   {OWNER} {own} at {public}")
    sandbox.print(f"           {GUEST} {guests} at {host_of(GUEST)}")
    promises.check(
        "a second tenant is bound to an environment and deploys beside its owner",
        f"test answers {own} to {OWNER}, {guests} to {GUEST}",
        is_kept=(own, guests) == (NEW, OLD),
    )


def log_in(sandbox: Sandbox, tenant: str) -> None:
    """Act for *tenant* from here on."""
    sandbox.run(f"login --dev --tenant {tenant} --user {'you' if tenant == OWNER else 'guest'}")


def answered_version(public: str, tenant: str = OWNER) -> str:
    """Return the version that the service of *tenant* answers at the *public* port."""
    parts = urlsplit(public)
    host = f"{parts.hostname}:{parts.port}" if tenant == OWNER else host_of(tenant)
    connection = http.client.HTTPConnection(
        str(parts.hostname), parts.port, timeout=_ANSWER_WITHIN_S
    )
    try:
        connection.request("GET", f"/{PATH}", headers={"Host": host})
        body = connection.getresponse().read()
    finally:
        connection.close()
    try:
        return str(json.loads(body)["datasette"]["version"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")[:80]


def host_of(tenant: str) -> str:
    return f"{MODULE}.{tenant}.localhost"
