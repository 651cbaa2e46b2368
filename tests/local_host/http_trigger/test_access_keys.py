"""Access keys (protocol page, section 2, "Auth"): levels are equal, the master opens everything."""

from collections.abc import Sequence

import azure.functions as func
import pytest

from local_cloud.sqlite.database import MEMORY, Database
from local_host.host import Host
from local_host.model import Extension, HostContext, HttpAnswer, HttpCall, IndexedFunction
from tests.kit.hosting import ask, embedded, hosting
from tests.kit.virtual_time import run_virtual


def three_levels() -> func.FunctionApp:
    app = func.FunctionApp()

    for level in func.AuthLevel:

        @app.function_name(f"f_{level.value}")
        @app.route(f"levels/{level.value}", auth_level=level)
        async def f(req: func.HttpRequest) -> str:
            return "in"

    @app.route("other")
    async def other(req: func.HttpRequest) -> str:
        return "in"

    return app


def key_of(host: Host, name: str) -> str:
    keys = host.keys
    assert keys is not None
    match name:
        case "none":
            return ""
        case "wrong":
            return "wrong"
        case "master":
            return keys.master
        case "host":
            return keys.value("host", "default")
        case _:
            return keys.function(name)


@pytest.mark.parametrize(
    ("level", "opening"),
    [
        ("anonymous", {"none", "wrong", "master", "host", "f_function", "other"}),
        ("function", {"master", "host", "f_function"}),
        ("admin", {"master"}),
    ],
)
@pytest.mark.parametrize("place", ["header", "query"])
def test_a_key_opens_its_own_level(level: str, opening: set[str], place: str) -> None:
    async def main() -> None:
        async with hosting(embedded(three_levels()), checks_keys=True) as host:
            for name in ("none", "wrong", "master", "host", "f_function", "other"):
                key = key_of(host, name)
                headers = {"x-functions-key": key} if key and place == "header" else {}
                query = f"?code={key}" if key and place == "query" else ""
                answer = await ask(host, "GET", f"/levels/{level}{query}", headers=headers)

                expected = (200, b"in") if name in opening else (401, b"")
                assert (answer.status, answer.body) == expected, name

    run_virtual(main())


def test_the_header_wins_over_the_query() -> None:
    async def main() -> None:
        async with hosting(embedded(three_levels()), checks_keys=True) as host:
            url = f"/levels/function?code={key_of(host, 'master')}"
            answer = await ask(host, "GET", url, headers={"x-functions-key": "wrong"})

            assert answer.status == 401

    run_virtual(main())


def test_nobody_is_asked_for_a_key_unless_told() -> None:
    async def main() -> None:
        async with hosting(embedded(three_levels())) as host:
            assert (await ask(host, "GET", "/levels/function")).status == 200

    run_virtual(main())


def test_keys_outlive_their_host() -> None:
    async def main() -> None:
        database = Database(MEMORY)
        async with hosting(embedded(three_levels()), database=database, checks_keys=True) as first:
            before = key_of(first, "other")
        async with hosting(embedded(three_levels()), database=database, checks_keys=True) as second:
            assert key_of(second, "other") == before

    run_virtual(main())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/host/ping", 200),
        ("/admin/warmup", 200),
        ("/admin/host/status", 401),
        ("/admin/functions", 401),
    ],
)
def test_administration_needs_the_master_key(path: str, status: int) -> None:
    async def main() -> None:
        async with hosting(embedded(three_levels()), checks_keys=True) as host:
            assert (await ask(host, "GET", path)).status == status
            master = {"x-functions-key": key_of(host, "master")}
            assert (await ask(host, "GET", path, headers=master)).status == 200

    run_virtual(main())


def webhooks(context: HostContext, functions: Sequence[IndexedFunction]) -> Extension:
    async def answer(call: HttpCall) -> HttpAnswer:
        return HttpAnswer(200, (), call.path.encode())

    return Extension(mounts={"/runtime/webhooks/durabletask": answer})


@pytest.mark.parametrize(
    ("key", "status"), [("system", 200), ("master", 200), ("host", 401), ("none", 401)]
)
def test_a_webhook_takes_its_system_key(key: str, status: int) -> None:
    async def main() -> None:
        app = embedded(three_levels())
        async with hosting(app, extensions=[webhooks], checks_keys=True) as host:
            assert host.keys is not None
            code = host.keys.system("durabletask") if key == "system" else key_of(host, key)
            url = f"/runtime/webhooks/durabletask/instances/1?code={code}"

            assert (await ask(host, "GET", url)).status == status

    run_virtual(main())
