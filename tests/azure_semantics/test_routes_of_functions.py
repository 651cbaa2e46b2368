"""Routes behave as badly as in Azure.

Sources: ScriptHost.ValidateHttpFunction of Azure/azure-functions-host (reserved beginnings, equal
routes); functions-host-protocol, section 2, "Routes" (order of names, no literal-first precedence).
"""

import azure.functions as func
import pytest

from tests.kit.hosting import ask, embedded, hosting, new_app, refusals
from tests.kit.virtual_time import run_virtual


def app_of(*rows: tuple[str, str, list[str]]) -> func.FunctionApp:
    app = new_app()
    for name, route, methods in rows:

        @app.function_name(name)
        @app.route(route, methods=methods)
        async def f(req: func.HttpRequest, context: func.Context) -> str:
            return context.function_name

    return app


@pytest.mark.parametrize(
    "route",
    [
        "admin",
        "admin/x",
        "ADMIN/x",
        "administrators",
        "runtime",
        "runtime/x",
        "Runtimes/x",
        "/runtime/y",
    ],
)
def test_a_route_that_begins_with_admin_or_runtime_never_comes_up(route: str) -> None:
    """ScriptHost.ValidateHttpFunction: "conflicts with one or more built in routes"."""

    async def main() -> None:
        app = app_of(("reserved", route, ["GET"]), ("sound", "x", ["GET"]))
        async with hosting(embedded(app)) as host:
            assert "conflicts with one or more built in routes" in refusals(host)["reserved"]
            assert (await ask(host, "GET", "/x")).status == 200
            assert (await ask(host, "GET", f"/{route.strip('/')}")).status == 404

    run_virtual(main())


def test_a_prefix_does_not_make_a_reserved_route_possible() -> None:
    """The check is on the function's own template, before the prefix."""

    async def main() -> None:
        app = embedded(app_of(("reserved", "runtime/x", ["GET"])), host_json={"version": "2.0"})
        async with hosting(app) as host:
            assert "reserved" in refusals(host)

    run_virtual(main())


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        (["GET"], ["GET"], True),
        (["GET", "PUT"], ["PUT"], True),
        (["GET"], ["POST"], False),
    ],
    ids=["same-method", "one-in-common", "none-in-common"],
)
def test_equal_routes_with_a_common_method_cost_the_second_function(
    first: list[str],
    second: list[str],
    refused: bool,  # noqa: FBT001
) -> None:
    """ScriptHost: "The route specified conflicts with the route defined by function 'x'."""

    async def main() -> None:
        app = app_of(("b_second", "Things/{id}", second), ("a_first", "things/{id}/", first))
        async with hosting(embedded(app)) as host:
            said = refusals(host).get("b_second", "")
            assert ("conflicts with the route defined by function 'a_first'" in said) is refused

    run_virtual(main())


def test_a_parameter_hides_a_literal_when_its_function_comes_first_by_name() -> None:
    """functions-host-protocol, section 2: `a_get` on `x/{id}` hides `b_health` on `x/health`."""

    async def main() -> None:
        app = app_of(("b_health", "x/health", ["GET"]), ("a_get", "x/{id}", ["GET"]))
        async with hosting(embedded(app)) as host:
            assert (await ask(host, "GET", "/x/health")).body == b"a_get"
            assert len(host.warnings) == 1
            assert "a_get (/x/{id}) and b_health (/x/health) overlap" in host.warnings[0]

    run_virtual(main())


@pytest.mark.parametrize(
    ("left", "right", "meet"),
    [
        ("x/{id}", "x/health", True),
        ("x/{id:int}", "x/health", False),
        ("x/{id:int}", "x/7", True),
        ("x/{id:int}", "x/{name:alpha}", False),
        ("x/{id:guid}", "x/{n:int}", False),
        ("x/{id:regex(^a)}", "x/{n:regex(^b)}", False),
        ("x/{id}", "x/{name}/y", False),
        ("x/{id?}", "x", True),
        ("x/{*rest}", "x/y/z", True),
        ("{*rest}", "x", True),
        ("x/{id}", "y/{id}", False),
        ("x/{a}.{b}", "x/{c}", True),
    ],
)
def test_routes_that_can_meet_are_reported(left: str, right: str, meet: bool) -> None:  # noqa: FBT001
    """The host reports what Azure decides silently (functions-host-protocol, section 2)."""

    async def main() -> None:
        app = app_of(("a", left, ["GET"]), ("b", right, ["GET"]), ("c", left, ["DELETE"]))
        async with hosting(embedded(app)) as host:
            assert (len(host.warnings) == 1) is meet
            assert (len(host.warnings) == 0) is not meet

    run_virtual(main())


@pytest.mark.parametrize("name", ["host", "HOST", "1st", "a.b", "x" * 129, "_a"])
def test_a_function_name_outside_the_hosts_rule_does_not_run(name: str) -> None:
    """functions-host-protocol, section 1: `^[a-z][a-z0-9_-]{0,127}$` ignoring case, not `host`."""

    async def main() -> None:
        async with hosting(embedded(app_of((name, "x", ["GET"])))) as host:
            assert "is no function name" in refusals(host)[name]
            assert (await ask(host, "GET", "/x")).status == 404

    run_virtual(main())
