"""Starts containers by runc without control groups, which a user namespace may not make.

Every node of such a namespace has a copy of this file as its runc: what a container asks for in
limits is taken out of its configuration, and runc does the rest.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def run(runc: str) -> None:
    """Become *runc*; of what it is to create, take away the limits first."""
    words = sys.argv[1:]
    if "create" in words and "--bundle" in words:
        config = Path(words[words.index("--bundle") + 1]) / "config.json"
        config.write_text(json.dumps(without_limits(json.loads(config.read_text()))))
    os.execv(runc, [runc, *words])  # noqa: S606  no shell


def without_limits(config: dict[str, Any]) -> dict[str, Any]:
    """Return an OCI runtime configuration without control groups."""
    linux = {k: v for k, v in config["linux"].items() if k not in {"cgroupsPath", "resources"}}
    process = {k: v for k, v in config["process"].items() if k != "oomScoreAdj"}
    mounts = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
    return {**config, "linux": linux, "process": process, "mounts": mounts}
