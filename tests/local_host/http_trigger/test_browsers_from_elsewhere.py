"""Cross-origin requests as `local.settings.json` allows them."""

from typing import Any

import azure.functions as func
import pytest

from local_host.http_trigger.cors import cors_of
from tests.kit.hosting import ask, embedded, hosting, new_app
from tests.kit.virtual_time import run_virtual

PAGE = "http://page.example"


def answered(
    section: dict[str, Any], method: str, headers: dict[str, str]
) -> tuple[int, dict[str, str], bytes]:
    app = new_app()

    @app.route("x", methods=["POST"])
    async def f(req: func.HttpRequest) -> str:
        return "done"

    async def main() -> tuple[int, dict[str, str], bytes]:
        async with hosting(embedded(app), cors=cors_of(section)) as host:
            answer = await ask(host, method, "/x", headers=headers)
            marks = {
                name.removeprefix("access-control-"): value
                for name, value in answer.headers
                if name.startswith("access-control-")
            }
            return answer.status, marks, answer.body

    return run_virtual(main())


PREFLIGHT = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-a,content-type",
}


@pytest.mark.parametrize(
    ("section", "allowed"),
    [
        ({"CORS": "*"}, {"allow-origin": "*"}),
        ({"CORS": f"http://other, {PAGE}/"}, {"allow-origin": PAGE}),
        (
            {"CORS": PAGE, "CORSCredentials": True},
            {"allow-origin": PAGE, "allow-credentials": "true"},
        ),
    ],
    ids=["any", "listed", "with-credentials"],
)
def test_an_allowed_origin_gets_its_preflight_and_its_answer_marked(
    section: dict[str, Any], allowed: dict[str, str]
) -> None:
    asked = {"allow-methods": "POST", "allow-headers": "x-a,content-type"}

    assert answered(section, "OPTIONS", PREFLIGHT) == (204, {**allowed, **asked}, b"")
    assert answered(section, "POST", {"origin": PAGE}) == (200, allowed, b"done")


@pytest.mark.parametrize(
    "section", [{"CORS": "http://other"}, {}, {"CORS": ""}], ids=["not-listed", "none", "empty"]
)
def test_another_origin_is_answered_without_marks(section: dict[str, Any]) -> None:
    assert answered(section, "OPTIONS", PREFLIGHT) == (404, {}, b"")
    assert answered(section, "POST", {"origin": PAGE}) == (200, {}, b"done")


def test_a_call_that_comes_from_no_page_is_not_marked() -> None:
    assert answered({"CORS": "*"}, "POST", {}) == (200, {}, b"done")
