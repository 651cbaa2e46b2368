"""From a path to a function: prefix, order of names, methods, what the host keeps for itself."""

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_host.routing.route_table import Route, RouteTable
from local_host.routing.route_templates import Template, TemplateRefused, parse
from tests.kit.hosting import ask, embedded, hosting, new_app, refusals
from tests.kit.virtual_time import run_virtual


def table(*rows: tuple[str, str, str]) -> RouteTable[str]:
    return RouteTable(
        [
            Route(name, parse(template), frozenset(methods.split()), name)
            for name, template, methods in rows
        ]
    )


def answering(routes: RouteTable[str], method: str, path: str) -> str | None:
    found = routes.find(method, path)
    return found[0] if found else None


def test_functions_are_tried_in_order_of_name_whatever_their_case() -> None:
    routes = table(("B_health", "x/health", ""), ("a_get", "x/{id}", ""))

    assert answering(routes, "GET", "/x/health") == "a_get"


def test_a_constraint_lets_the_next_function_answer() -> None:
    routes = table(("a_get", "x/{id:int}", ""), ("b_health", "x/health", ""))

    assert answering(routes, "GET", "/x/health") == "b_health"
    assert answering(routes, "GET", "/x/7") == "a_get"


def test_a_method_that_is_not_listed_does_not_match() -> None:
    routes = table(("a", "x", "GET HEAD"), ("b", "x", "POST"))

    assert answering(routes, "POST", "/x") == "b"
    assert answering(routes, "HEAD", "/x") == "a"
    assert answering(routes, "OPTIONS", "/x") is None


def test_optional_and_catch_all_segments_are_found_at_every_depth() -> None:
    routes = table(("a", "x/{y?}", ""), ("b", "x/y/z/{*rest}", ""), ("c", "{*everything}", ""))

    assert [answering(routes, "GET", path) for path in ("/x", "/x/1", "/x/y/z", "/x/y/z/1/2")] == [
        "a",
        "a",
        "b",
        "b",
    ]
    assert [answering(routes, "GET", path) for path in ("/", "/q", "/x/1/2")] == ["c", "c", "c"]


def two_routes() -> func.FunctionApp:
    app = new_app()

    @app.route("things/{id}", methods=["GET"])
    async def thing(req: func.HttpRequest) -> str:
        return req.url

    @app.route()
    async def named(req: func.HttpRequest) -> str:
        return "by name"

    return app


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/things/1", 200),
        ("GET", "/api/things/1/", 200),
        ("GET", "/things/1", 404),
        ("POST", "/api/things/1", 404),
        ("HEAD", "/api/things/1", 404),
        ("GET", "/api/named", 200),
        ("DELETE", "/api/named", 200),
        ("GET", "/api/", 404),
        ("GET", "/", 200),
        ("POST", "/", 404),
        ("POST", "/admin/host/ping", 200),
        ("GET", "/admin/nothing", 404),
        ("GET", "/runtime/webhooks/nothing", 404),
    ],
)
def test_the_prefix_is_api_and_what_does_not_match_is_404(
    method: str, path: str, status: int
) -> None:
    async def main() -> None:
        async with hosting(embedded(two_routes(), host_json={"version": "2.0"})) as host:
            assert (await ask(host, method, path)).status == status

    run_virtual(main())


def test_a_catch_all_without_prefix_takes_the_root() -> None:
    app = new_app()

    @app.route("{*rest}")
    async def everything(req: func.HttpRequest) -> str:
        return "mine"

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert (await ask(host, "GET", "/")).body == b"mine"
            assert (await ask(host, "GET", "/admin/host/status")).body != b"mine"

    run_virtual(main())


def test_a_function_sees_its_url_with_the_prefix() -> None:
    async def main() -> None:
        async with hosting(embedded(two_routes(), host_json={"version": "2.0"})) as host:
            answer = await ask(host, "GET", "/api/things/1?a=b")

            assert answer.body == b"http://127.0.0.1/api/things/1?a=b"

    run_virtual(main())


def test_a_route_that_cannot_be_read_costs_only_its_function() -> None:
    app = two_routes()

    @app.route("x/{id:number}")
    async def broken(req: func.HttpRequest) -> str:
        return ""

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            assert "there is no constraint 'number'" in refusals(host)["broken"]
            assert (await ask(host, "GET", "/named")).status == 200

    run_virtual(main())


SEGMENT = st.sampled_from(["a", "b", "{x}", "{x:int}", "{x?}", "{*x}", "v{x}", "{x=7}"])
ROUTE = st.lists(SEGMENT, max_size=4)
PATH = st.lists(st.sampled_from(["a", "B", "1", "v1", "c"]), max_size=5)


def readable(segments: list[str]) -> Template | None:
    named = "/".join(s.replace("x", f"x{place}", 1) for place, s in enumerate(segments))
    try:
        return parse(named)
    except TemplateRefused:
        return None


@given(routes=st.lists(ROUTE, max_size=8), paths=st.lists(PATH, min_size=1, max_size=6))
def test_the_tree_answers_what_trying_every_template_in_order_would(
    routes: list[list[str]], paths: list[list[str]]
) -> None:
    templates = [template for route in routes if (template := readable(route)) is not None]
    found = RouteTable(
        [Route(f"f{place}", t, frozenset(), t.text) for place, t in enumerate(templates)]
    )

    for path in paths:
        tried = ((t.text, t.match(path)) for t in templates)
        expected = next(((text, values) for text, values in tried if values is not None), None)

        assert found.find("GET", "/" + "/".join(path)) == expected
