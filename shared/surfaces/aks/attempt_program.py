"""Program that tries, as a pod of a tenant would, to reach what is not its own.

A pod runs it by its text (`python3 -c`), so it imports the standard library only. What it is to try
is in `RUNTIME_ATTEMPTS`, as `attempt_jobs` writes it. What came of it is the message with which its
container ends: of each layer why its control failed, empty where it held, and what was reached.

With a port to `listen` at it is the pod of its own namespace that the other one must reach, and
answers the platform, which asks through the API server.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any

ASKED = "RUNTIME_ATTEMPTS"
NODE = "RUNTIME_NODE_ADDRESS"
MESSAGE = "/dev/termination-log"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105  the name of a file
_OF_A_NODE = (
    "/metadata/identity/oauth2/token?api-version=2018-02-01"
    "&resource=https%3A%2F%2Fmanagement.azure.com%2F"
)
_CONNECTS_WITHIN_S = 2.0
_ASKS_WITHIN_S = 1.0
_CONTROLS = 10
"""A new pod may have no network for some seconds, until what is allowed is in force."""
_AGAIN_AFTER_S = 1.0


def connects(host: str, port: int) -> bool:
    """Return whether *port* of *host* takes a connection."""
    try:
        socket.create_connection((host, port), timeout=_CONNECTS_WITHIN_S).close()
    except OSError:
        return False
    return True


def _those_reached(targets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of *targets* that take a connection; all are tried at once."""
    taken: dict[int, bool] = {}

    def attempt(at: int, target: dict[str, Any]) -> None:
        taken[at] = connects(target["host"], target["port"])

    threads = [
        threading.Thread(target=attempt, args=(at, target)) for at, target in enumerate(targets)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [target for at, target in enumerate(targets) if taken[at]]


def network(asked: dict[str, Any]) -> tuple[str, list[str]]:
    """Return why it could not have reached anything, and what it reached twice."""
    host, port = asked["control"]
    for _ in range(_CONTROLS):
        if connects(host, port):
            break
        threading.Event().wait(_AGAIN_AFTER_S)
    else:
        return f"it cannot connect to a pod of its own namespace, {host}:{port}", []
    # The node of a pod may always talk with it, whatever a policy says.
    own = os.environ.get(NODE)
    tried = [each for each in asked["targets"] if not (each["isNode"] and each["host"] == own)]
    if not tried:
        return "there is nothing that it may not reach", []
    reached = _those_reached(tried)
    if reached:  # what isolates a new pod may come a moment after it
        threading.Event().wait(_AGAIN_AFTER_S)
        reached = _those_reached(reached)
    return "", [f"it reaches {each['name']} at {each['host']}:{each['port']}" for each in reached]


def _answers(
    connection: http.client.HTTPConnection, path: str, headers: dict[str, str]
) -> int | None:
    """Return the status that *connection* answers; None where there is no answer."""
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def identity(asked: dict[str, Any], no_network: str) -> tuple[str, list[str]]:
    """Return why nothing is shown, and as whom else it can act.

    It asks over the network: where the control of that failed, which is *no_network*, that nobody
    answered says nothing.
    """
    reached = ["a token of the cluster is in it"] if Path(TOKEN).exists() else []
    for target in asked["targets"]:
        if target["isApiServer"]:
            anybody = ssl.create_default_context()  # no secret is sent
            anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                target["host"], target["port"], timeout=_CONNECTS_WITHIN_S, context=anybody
            )
            status = _answers(connection, "/api/v1/namespaces", {})
            if status is not None and status < HTTPStatus.BAD_REQUEST:
                reached.append(f"{target['name']} answers without a token")
        elif target["isMetadata"]:
            connection = http.client.HTTPConnection(
                target["host"], target["port"], timeout=_CONNECTS_WITHIN_S
            )
            if _answers(connection, _OF_A_NODE, {"Metadata": "true"}) == HTTPStatus.OK:
                reached.append("it gets a token of its node's identity")
    return "" if reached else no_network, reached


def listen(port: int) -> None:
    """Take connections until the pod is ended, and answer those that ask."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    with socket.create_server(
        ("", port), family=family, dualstack_ipv6=family is socket.AF_INET6
    ) as listener:
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(_ASKS_WITHIN_S)
                if connection.recv(4096):
                    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")


def main() -> None:
    asked = json.loads(os.environ[ASKED])
    if "listen" in asked:
        listen(asked["listen"])
    of_network = network(asked)
    answer = {"network": of_network, "identity": identity(asked, of_network[0])}
    with Path(MESSAGE).open("w", encoding="ascii") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
