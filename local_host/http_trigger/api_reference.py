"""The API of the joined apps: one OpenAPI document at `/openapi.json`, a page of it at `/docs`.

Each app describes itself at its own route. An app without an answer there is left out; a host that
runs none of the platform's apps has neither page. The page loads nothing from other servers.
"""

import html
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from local_host.model import HttpAnswer, HttpCall
from shared.kernel.ids import APPS
from shared.web.openapi import joined

DOCUMENT: Final = "/openapi.json"
PAGE: Final = "/docs"
PATHS: Final = frozenset({DOCUMENT, PAGE})
_METHODS: Final = ("get", "post", "put", "delete")
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td{border-top:1px solid #8884;padding:.3rem .6rem;"
    "vertical-align:top}code{font-size:.95em}h2{margin-top:2rem}:root{color-scheme:light dark}"
)

Handle = Callable[[HttpCall], Awaitable[HttpAnswer]]


async def answer(path: str, handle: Handle) -> HttpAnswer | None:
    """Return the document or the page of every app behind *handle*; None when there is none."""
    documents = [each for app in APPS if (each := await _document(app, handle)) is not None]
    if not documents:
        return None
    whole = joined(documents)
    if path == DOCUMENT:
        return _answer("application/json", json.dumps(whole))
    return _answer("text/html; charset=utf-8", page(whole))


async def _document(app: str, handle: Handle) -> Mapping[str, Any] | None:
    answer_of_app = await handle(HttpCall("GET", f"/v1/platform/{app}{DOCUMENT}", "", (), b""))
    if answer_of_app.status != HTTPStatus.OK:
        return None
    document: Mapping[str, Any] = json.loads(answer_of_app.body)
    return document


def _answer(media: str, text: str) -> HttpAnswer:
    headers = (("content-type", media), ("cache-control", "max-age=60"))
    return HttpAnswer(HTTPStatus.OK, headers, text.encode())


def page(document: Mapping[str, Any]) -> str:
    """Return an HTML page that lists the operations of *document* by service."""
    services: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                operation = item[method]
                services.setdefault(operation["tags"][0], []).append(_row(method, path, operation))
    sections = [_section(service, rows) for service, rows in services.items()]
    title = html.escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>Every call needs <code>Authorization: Bearer …</code> unless it says otherwise. "
        f'The whole document: <a href="{DOCUMENT}">{DOCUMENT}</a>.</p>'
        f"{''.join(sections)}</html>"
    )


def _section(service: str, rows: Sequence[str]) -> str:
    return f"<h2>{html.escape(service)}</h2><table>{''.join(rows)}</table>"


def _row(method: str, path: str, operation: Mapping[str, Any]) -> str:
    scope = operation.get("x-scope", "no token")
    cells = (
        f"<code>{method.upper()}</code>",
        f"<code>{html.escape(path)}</code>",
        html.escape(operation.get("summary", "")),
        f"<code>{html.escape(scope)}</code>",
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
