"""Has a new pod wait until the policies of its network are in force (a plugin of CNI).

Every node has a copy of this file as the plugin after the one that gives a pod its address. It says
to the cluster which pod has which address, and hands on what it was given. A pod whose rules do not
come into force does not start: its kubelet tries again. It imports the standard library only.
https://www.cni.dev/docs/spec/
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

_VERSION = "1.0.0"
_ANSWERS_WITHIN_S = 15.0
_TRY_AGAIN_LATER = 11
"""https://www.cni.dev/docs/spec/#error"""


def run() -> None:
    """Do what the environment asks for, and print the answer."""
    command = os.environ["CNI_COMMAND"]
    if command == "VERSION":
        print(json.dumps({"cniVersion": _VERSION, "supportedVersions": [_VERSION]}))  # noqa: T201
        return
    asked = json.load(sys.stdin)
    try:
        if command in {"ADD", "DEL"}:
            tell(Path(asked["socket"]), request(command, asked))
    except (OSError, ValueError) as failed:
        if command == "DEL":  # the cluster ends, and its rules with it
            return
        problem = {"cniVersion": _VERSION, "code": _TRY_AGAIN_LATER, "msg": str(failed)}
        print(json.dumps(problem))  # noqa: T201
        sys.exit(1)
    if command == "ADD":
        print(json.dumps(asked["prevResult"]))  # noqa: T201


def request(command: str, asked: dict[str, Any]) -> dict[str, str]:
    """Return what is said to the cluster."""
    container = os.environ["CNI_CONTAINERID"]
    if command == "DEL":
        return {"removed": container}
    pairs = (each.partition("=") for each in os.environ.get("CNI_ARGS", "").split(";"))
    words = {name: value for name, _, value in pairs}
    given = asked["prevResult"]
    addresses = [each["address"].partition("/")[0] for each in given["ips"]]
    # Those without a sandbox are of the node: the bridge, and the pod's port of it.
    of_node = [each["name"] for each in given["interfaces"] if not each.get("sandbox")]
    return {
        "container": container,
        "node": asked["node"],
        "uid": words["K8S_POD_UID"],
        "address": addresses[0],
        "link": next(name for name in of_node if name != asked["bridge"]),
    }


def tell(path: Path, request: dict[str, str]) -> None:
    """Say *request*, and return when it is done.

    Raises:
        OSError: nobody answers.
        ValueError: it is not done; the message says why.
    """
    os.chdir(path.parent)  # a longer path is no address of a socket
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWERS_WITHIN_S)
        connection.connect(path.name)
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = connection.makefile().readline()
    problem = json.loads(answer or '{"problem": "no answer"}')["problem"]
    if problem:
        raise ValueError(problem)
