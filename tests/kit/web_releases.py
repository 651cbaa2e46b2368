"""Releases of a small web application, as what is sent to the API."""

import io
import zipfile
from collections.abc import Mapping
from typing import Any, Final

ENDED: Final = frozenset({"Completed", "RolledBack", "Failed", "Cancelled"})
SERVER: Final = """
import signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        said = open("release").read().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
Server(("127.0.0.1", int(sys.argv[1])), Shop).serve_forever()
"""


def archive(name: str) -> bytes:
    """Return the archive of the release *name*."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr(zipfile.ZipInfo("server.py"), SERVER)
        opened.writestr(zipfile.ZipInfo("release"), name)
    return target.getvalue()


def release_body(environment: str, name: str, digest: str) -> Mapping[str, Any]:
    """Return the body that asks for *name*, whose canary stands for 15 s at 30 %."""
    return {
        "environmentId": environment,
        "releaseRef": name,
        "strategy": {"kind": "canary", "steps": [{"weight": 30}, {"weight": 100}]},
        "gate": {"window": "PT15S", "minSamples": 20, "deadline": "PT90S"},
        "components": [
            {
                "moduleId": "module-shop",
                "componentType": "microservice",
                "version": name,
                "artifactDigest": digest,
                "command": ["python", "server.py", "$PORT"],
                "port": 8080,
                "pathPrefix": "/",
                "replicas": 1,
                "probes": {"readiness": {"path": "/", "period": "PT0.5S"}},
            }
        ],
    }
