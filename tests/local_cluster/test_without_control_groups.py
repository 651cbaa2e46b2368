"""In a user namespace containers start without control groups, and with all else that they ask."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local_cluster.cluster_folder import ClusterFolder
from local_cluster.network import ClusterNetwork
from local_cluster.node_plan import NodePlan, files, kubelet, plan_of

CONFIG = {
    "process": {"args": ["/app"], "oomScoreAdj": 900, "user": {"uid": 65532}},
    "linux": {
        "cgroupsPath": "/pods/1",
        "resources": {"memory": {"limit": 1}},
        "namespaces": [{"type": "pid"}],
    },
    "mounts": [{"type": "proc"}, {"type": "cgroup"}],
}


@pytest.fixture
def plan(tmp_path: Path) -> NodePlan:
    return plan_of(
        ClusterFolder(tmp_path), ClusterNetwork(7), 1, 20_001,
        kubebox=Path("/cache/kubebox"), runtime=tmp_path, images=[], has_nft=True,
        has_groups=False,
    )  # fmt: skip


def test_limits_are_taken_out_before_runc_creates_a_container(
    plan: NodePlan, tmp_path: Path
) -> None:
    bundle, script, runc = tmp_path / "bundle", tmp_path / "script", Path(plan.runtime) / "runc"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(CONFIG))
    runc.write_text('#!/bin/sh\necho runc "$@"\n')
    runc.chmod(0o755)
    script.write_bytes(files(plan)["runc"])

    words = ("--log", "x", "create", "--bundle", str(bundle), "an-id")
    printed = subprocess.run(
        [sys.executable, str(script), *words], capture_output=True, text=True, check=True
    ).stdout

    assert printed == f"runc {' '.join(words)}\n"
    assert json.loads((bundle / "config.json").read_text()) == {
        "process": {"args": ["/app"], "user": {"uid": 65532}},
        "linux": {"namespaces": [{"type": "pid"}]},
        "mounts": [{"type": "proc"}],
    }


def test_the_kubelet_makes_no_control_groups(plan: NodePlan) -> None:
    told = kubelet(plan)

    assert (told["cgroupsPerQOS"], told["enforceNodeAllocatable"]) == (False, [])
    assert told["featureGates"]["KubeletInUserNamespace"] is True
    assert "cgroupRoot" not in told
