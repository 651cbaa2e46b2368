"""An answer that a test makes up has no field that its route has not."""

from typing import Any

import pytest

from tests.cli.small_platform import ANSWERS, DEPLOYMENT, RUNTIME, THE_ACCEPTED, THE_DEPLOYMENT
from tests.kit.route_answers import require_answer

COMMAND = f"POST {RUNTIME}/deployments/{DEPLOYMENT}/cancel"


@pytest.mark.parametrize("request_", ANSWERS)
def test_the_small_platform_answers_as_the_platform_does(request_: str) -> None:
    require_answer(request_, ANSWERS[request_])


@pytest.mark.parametrize(
    ("request_", "body", "said"),
    [
        pytest.param(COMMAND, THE_DEPLOYMENT, "has no .*createdAt", id="a-resource-to-a-command"),
        pytest.param(COMMAND, {**THE_ACCEPTED, "kind": "x"}, "kind: ", id="no-such-word"),
        pytest.param(
            f"GET {RUNTIME}/deployments", [{**THE_DEPLOYMENT, "x": 1}], "has no x", id="in-a-list"
        ),
    ],
)
def test_what_no_route_answers_is_refused(request_: str, body: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        require_answer(request_, body)
