"""The HTTP address that the Durable extension has for its client in an app; it only takes notes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

HUB: Final = "FactoryRuntime"


@dataclass
class DurableEndpoint:
    """What was asked, as `POST orchestrators/NAME/INSTANCE` with the instance's input."""

    address: str
    asked: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def binding(self) -> str:
        """What a function with a durable client is given."""
        url = f"{self.address}/runtime/webhooks/durabletask"
        instance = f"{url}/instances/INSTANCEID"
        return json.dumps(
            {
                "taskHubName": HUB,
                "creationUrls": {
                    "createNewInstancePostUri": f"{url}/orchestrators/{{functionName}}",
                },
                "managementUrls": {
                    "id": "INSTANCEID",
                    "statusQueryGetUri": instance,
                    "sendEventPostUri": f"{instance}/raiseEvent/{{eventName}}",
                    "terminatePostUri": f"{instance}/terminate",
                    "rewindPostUri": f"{instance}/rewind",
                    "purgeHistoryDeleteUri": instance,
                },
                "requiredQueryStringParameters": "code=key",
                "baseUrl": url,
                "rpcBaseUrl": f"{self.address}/durabletask/",
            }
        )


@contextmanager
def durable_endpoint() -> Iterator[DurableEndpoint]:
    """Serve the address while inside: each start is accepted."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            path = urlsplit(self.path).path.removeprefix("/durabletask/")
            endpoint.asked.append((f"POST {path}", json.loads(content)))
            answer = json.dumps({"id": path.rpartition("/")[2]}).encode()
            self.send_response(202)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  of the library
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint = DurableEndpoint(f"http://127.0.0.1:{server.server_address[1]}")
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            serving.join()
