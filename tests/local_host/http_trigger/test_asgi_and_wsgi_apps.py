"""Whole web applications behind one function, through the library's own adapters."""

from collections.abc import Callable, Iterable
from typing import Any

import azure.functions as func
import pytest

from tests.kit.hosting import App, ask, embedded, header, hosting
from tests.kit.virtual_time import run_virtual


async def asgi(
    scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]
) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    message = await receive()
    text = f"{scope['method']} {scope['path']} {scope['query_string'].decode()} {message['body']!r}"
    headers = [(b"content-type", b"text/x-asgi"), (b"x-function", b"yes")]
    await send({"type": "http.response.start", "status": 203, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("203 OK", [("content-type", "text/x-wsgi")])
    body = environ["wsgi.input"].read()
    parts = (environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], repr(body))
    return [" ".join(parts).encode()]


def asgi_app() -> App:
    return embedded(func.AsgiFunctionApp(asgi, http_auth_level=func.AuthLevel.ANONYMOUS))


def wsgi_app() -> App:
    return embedded(func.WsgiFunctionApp(wsgi, http_auth_level=func.AuthLevel.ANONYMOUS))


@pytest.mark.parametrize(
    ("build", "kind"), [(asgi_app, "text/x-asgi"), (wsgi_app, "text/x-wsgi")], ids=["asgi", "wsgi"]
)
@pytest.mark.parametrize("path", ["/", "/a/b"])
def test_a_web_application_answers_every_path_and_method(
    build: Callable[[], App], kind: str, path: str
) -> None:
    async def main() -> None:
        async with hosting(build()) as host:
            answer = await ask(host, "PUT", f"{path}?q=1", body=b"in")

            assert (answer.status, header(answer, "content-type")) == (203, kind)
            assert answer.body.decode() == f"PUT {path} q=1 b'in'"

    run_virtual(main())


def test_the_application_is_started_and_stopped_with_the_host() -> None:
    seen: list[str] = []

    async def noting(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                seen.append((await receive())["type"])
                await send({"type": f"lifespan.{stage}.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        register = func.AsgiFunctionApp(noting, http_auth_level=func.AuthLevel.ANONYMOUS)
        async with hosting(embedded(register)) as host:
            await ask(host, "GET", "/")

    run_virtual(main())

    assert seen == ["lifespan.startup", "lifespan.shutdown"]
