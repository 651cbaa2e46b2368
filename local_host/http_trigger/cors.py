"""Cross-origin rules of `local.settings.json` (`Host.CORS`, `Host.CORSCredentials`).

In Azure the platform answers for an app, before the app; here the host does.
https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from local_host.model import HttpAnswer, HttpCall, HttpHandler

_ANY: Final = "*"


@dataclass(frozen=True)
class Cors:
    """Which origins a browser may call from; `*` is every one."""

    origins: frozenset[str]
    with_credentials: bool = False

    async def handle(self, call: HttpCall, behind: HttpHandler) -> HttpAnswer:
        """Answer a preflight, or let *behind* answer and add the headers for the browser."""
        origin = call.header("origin")
        if origin is None or not self._takes(origin):
            return await behind(call)
        asked = call.header("access-control-request-method")
        if call.method == "OPTIONS" and asked is not None:
            wanted = call.header("access-control-request-headers")
            headers = [*self._marks(origin), ("access-control-allow-methods", asked)]
            if wanted is not None:
                headers.append(("access-control-allow-headers", wanted))
            return HttpAnswer(HTTPStatus.NO_CONTENT, headers)
        answer = await behind(call)
        return replace(answer, headers=[*answer.headers, *self._marks(origin)])

    def _takes(self, origin: str) -> bool:
        return _ANY in self.origins or origin.lower() in self.origins

    def _marks(self, origin: str) -> list[tuple[str, str]]:
        if self.with_credentials:
            return [
                ("access-control-allow-origin", origin),
                ("access-control-allow-credentials", "true"),
                ("vary", "Origin"),
            ]
        if _ANY in self.origins:
            return [("access-control-allow-origin", _ANY)]
        return [("access-control-allow-origin", origin), ("vary", "Origin")]


def cors_of(section: Mapping[str, Any]) -> Cors | None:
    """Return the rules in the `Host` section of a `local.settings.json`, None without any."""
    listed = str(section.get("CORS") or "")
    origins = frozenset(each.strip().lower().rstrip("/") for each in listed.split(",") if each)
    return Cors(origins, bool(section.get("CORSCredentials"))) if origins else None
