"""One host name for every app: `/runtime/…` is `/v1/runtime/…`, an operation goes to its app."""

import json

import azure.functions as func
import pytest

from local_host.http_trigger.gateway import mapped
from shared.kernel.ids import APPS, ModuleId, ProjectId, TenantId, environment_key, module_key
from shared.kernel.ids import operation_id as new_operation_id
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.seeded_entropy import SeededEntropy
from tests.kit.virtual_time import EPOCH, run_virtual

TENANT = TenantId("acme")
KEY = environment_key(TENANT, ProjectId("proj-shop"), "test")


@pytest.mark.parametrize(
    ("asked", "gone_to"),
    [
        ("/runtime/environments", "/v1/runtime/environments"),
        ("/RUNTIME/environments", "/v1/RUNTIME/environments"),
        ("/runtime/environments/a%2Fb", "/v1/runtime/environments/a%2Fb"),
        ("/v1/runtime/environments", "/v1/runtime/environments"),
        ("/runtime/webhooks/durabletask/instances/1", "/runtime/webhooks/durabletask/instances/1"),
        ("/runtimes/x", "/runtimes/x"),
        ("/runtime/operations/op-nonsense", "/v1/runtime/operations/op-nonsense"),
        ("/api/x", "/api/x"),
    ],
)
def test_a_path_is_mapped_before_routing(asked: str, gone_to: str) -> None:
    assert mapped(asked) == gone_to


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("below", ["", "/cancel"])
@pytest.mark.parametrize("prefix", ["/runtime", "/v1/runtime"])
def test_an_operation_goes_to_the_app_in_its_id(app: str, below: str, prefix: str) -> None:
    module = module_key(TENANT, ModuleId("module-web")) if app == "health" else None
    operation = new_operation_id(app, KEY, EPOCH, SeededEntropy(1), m=module)

    went = mapped(f"{prefix}/operations/{operation}{below}")

    assert went == f"/v1/platform/{app}/operations/{operation}{below}"


def test_both_spellings_answer_alike() -> None:
    app = new_app()

    @app.route("v1/runtime/environments/{id}", methods=["GET"])
    async def get_environment(req: func.HttpRequest) -> str:
        return f"{req.route_params['id']} {req.url}"

    async def main() -> None:
        async with hosting(embedded(app)) as host:
            short = await ask(host, "GET", "/runtime/environments/e?a=1")
            long = await ask(host, "GET", "/v1/runtime/environments/e?a=1")

            assert short == long
            assert short.body == b"e http://127.0.0.1/v1/runtime/environments/e?a=1"

    run_virtual(main())


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        pytest.param("GET", "/runtime/nothing", "no route GET /v1/runtime/nothing", id="a-route"),
        pytest.param("PATCH", "/v1/runtime/environments", "no route PATCH", id="a-method"),
        pytest.param("GET", "/v1/platform/nobody/alive", "no route GET", id="an-app"),
        pytest.param("GET", "/runtime/operations/op-9", "no operation 'op-9'", id="an-operation"),
    ],
)
def test_what_the_platform_does_not_have_is_answered_as_its_errors_are(
    method: str, path: str, said: str
) -> None:
    async def main() -> None:
        async with hosting(embedded(new_app())) as host:
            answer = await ask(host, method, path)

            error = json.loads(answer.body)["error"]
            assert answer.status == 404
            assert error["code"] == "NotFound"
            assert said in error["message"]
            assert error["traceId"].startswith("trace-")

    run_virtual(main())


def test_other_unknown_paths_are_answered_as_in_azure() -> None:
    async def main() -> None:
        async with hosting(embedded(new_app())) as host:
            answer = await ask(host, "GET", "/api/nothing")

            assert (answer.status, answer.body) == (404, b"")

    run_virtual(main())
