"""OpenAPI from the route tables: valid for each service and joined, and complete."""

import json
import re
from collections.abc import Mapping
from functools import cache
from html.parser import HTMLParser
from typing import Any, Final

import pytest
from openapi_spec_validator import validate

from local_host.http_trigger.api_reference import page
from local_host.model import HttpAnswer, HttpCall
from shared.web.administration_routes import administration_routes
from shared.web.openapi import document, joined
from tests.kit.costs import SERVICES
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

APPS: Final = {name.replace("_", "-"): module for name, module in SERVICES.items()}


@cache
def documents() -> Mapping[str, Mapping[str, Any]]:
    return {
        app: document(app, [*module.ROUTES, *administration_routes(app)])
        for app, module in APPS.items()
    }


@pytest.mark.parametrize("service", APPS)
def test_the_document_of_a_service_is_valid_openapi(service: str) -> None:
    validate(documents()[service])  # type: ignore[arg-type]


def test_the_joined_document_is_valid_and_has_every_operation_once() -> None:
    whole = joined(list(documents().values()))

    validate(whole)  # type: ignore[arg-type]
    names = [
        operation["operationId"] for item in whole["paths"].values() for operation in item.values()
    ]
    rows = sum(len(m.ROUTES) + len(administration_routes(n)) for n, m in APPS.items())
    assert len(names) == len(set(names)) == rows


def test_one_name_means_one_schema_in_every_service() -> None:
    schemas: dict[str, Any] = {}
    for each in documents().values():
        for name, schema in each["components"]["schemas"].items():
            assert schemas.setdefault(name, schema) == schema, name


@pytest.mark.parametrize("service", APPS)
def test_every_operation_says_what_it_does_and_what_it_needs(service: str) -> None:
    for path, item in documents()[service]["paths"].items():
        for operation in item.values():
            assert operation["summary"], path
            assert "security" in operation or path.endswith(
                ("/health", "/alive", "/startup", "/openapi.json", "/webhook")
            )


async def _get(world: World, path: str) -> HttpAnswer:
    return await world.host.handle(HttpCall("GET", path, "", (), b""))


def test_the_host_serves_the_joined_document_and_a_page_of_it() -> None:
    async def main() -> tuple[HttpAnswer, HttpAnswer]:
        world = World()
        await world.boot()
        try:
            return await _get(world, "/openapi.json"), await _get(world, "/docs")
        finally:
            await world.stop()

    whole, shown = run_virtual(main())

    assert json.loads(whole.body) == joined(list(documents().values()))
    paths = json.loads(whole.body)["paths"]
    assert all(path in shown.body.decode() for path in paths)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value or "" for name, value in attrs if name in {"src", "href"}]


def test_the_page_needs_nothing_from_elsewhere_and_shows_text_as_text() -> None:
    hostile = {
        "info": {"title": "<script>alert(1)</script>"},
        "paths": {"/<img>": {"get": {"tags": ["<b>"], "summary": "<i>"}}},
    }
    links = _Links()
    links.feed(page(joined(list(documents().values()))))

    assert links.targets == ["/openapi.json"]
    assert not {"<script", "<img", "<b>", "<i>"} & set(page(hostile).split())
    assert "<script" not in page(hostile)


def test_a_host_without_the_platform_s_apps_has_neither() -> None:
    async def main() -> list[int]:
        async with hosting(embedded(new_app())) as host:
            return [(await ask(host, "GET", path)).status for path in ("/openapi.json", "/docs")]

    assert run_virtual(main()) == [404, 404]


@pytest.mark.parametrize(
    ("path", "method", "status", "model"),
    [
        ("/v1/runtime/deployments", "post", "200", "DeploymentPlan"),
        ("/v1/runtime/deployments/{deploymentId}/promote", "post", "200", "DeploymentPlan"),
        ("/v1/runtime/artifacts", "post", "200", "Artifact"),
        ("/v1/runtime/environments", "post", "200", "EnvironmentPlan"),
        ("/v1/runtime/environments/{environmentId}", "put", "200", "EnvironmentPlan"),
    ],
)
def test_an_answer_beside_the_usual_one_is_described(
    path: str, method: str, status: str, model: str
) -> None:
    whole = joined(list(documents().values()))

    answer = whole["paths"][path][method]["responses"][status]

    assert answer["content"]["application/json"]["schema"]["$ref"].endswith(f"/{model}")


@pytest.mark.parametrize("said", ["PT0.5S", "PT5M", "P1DT12H", "P400D", "PT0S"])
def test_a_duration_as_we_write_it_fits_its_schema(said: str) -> None:
    timeout = documents()["deployments"]["components"]["schemas"]["Probe"]["properties"]["timeout"]

    assert re.fullmatch(timeout["pattern"], said)
    assert not re.fullmatch(timeout["pattern"], "5 minutes")
