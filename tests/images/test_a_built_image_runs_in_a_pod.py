"""An image that `runtimectl image build` made and pushed runs in a pod that allows it nothing."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from cli.main import main
from tests.cli.test_image_build import debian_packages
from tests.kit.kubernetes_cluster import KubernetesCluster
from tests.kit.patience import PATIENCE_S

pytestmark = pytest.mark.real
PORT = 8080
PROGRAM = f"""\
import json, os, tempfile
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer  # HTTPServer asks for the name of its host

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        with tempfile.TemporaryFile():
            pass
        self.send_response(200)
        self.end_headers()
        found = {{"uid": os.getuid(), "can_write": os.access("/app", os.W_OK)}}
        self.wfile.write(json.dumps(found).encode())

TCPServer(("", {PORT}), Answer).serve_forever()
"""


def pod(image: str) -> dict[str, Any]:
    """Return a pod under the strictest of Kubernetes' pod security standards, and more."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "built"},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "readinessProbe": {
                        "httpGet": {"path": "/", "port": PORT},
                        "periodSeconds": 1,
                    },
                }
            ],
        },
    }


@pytest.mark.long
def test_python_on_debians_packages_answers_as_nobody(
    real_cluster: KubernetesCluster,
    namespace: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    debian_packages()
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "main.py").write_text(PROGRAM, encoding="utf-8")
    words = ["--folder", str(folder), "--entrypoint", "python3 main.py"]
    pushed = ["--push", f"{real_cluster.record.registry}/{namespace}:1", "-o", "json"]

    assert main(["image", "build", *words, *pushed, "--state", str(tmp_path / "state")]) == 0
    built = json.loads(capsys.readouterr().out)
    image = f"{real_cluster.record.registry}/{namespace}@{built['digest']}"
    real_cluster.apply(namespace, pod(image))

    waited = ("wait", "--for=condition=Ready", "pod/built", "--namespace", namespace)
    real_cluster.kubectl(*waited, f"--timeout={PATIENCE_S:.0f}s")

    status = real_cluster.read("pod", "built", "--namespace", namespace)["status"]
    assert status["containerStatuses"][0]["imageID"] == image
    with urllib.request.urlopen(f"http://{status['podIP']}:{PORT}/", timeout=5) as answer:
        assert json.load(answer) == {"uid": 65532, "can_write": False}
