"""`{status, totalDuration, entries}` is read where it is one; anything else says nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.connections.bounded_body import BODY_MAX
from shared.contracts.health import HealthStatus
from shared.probing.health_body import DESCRIPTION_MAX, reported_health
from tests.probing.test_probes_over_real_sockets import a_prober, answering, listening

REDIS = {"status": "Unhealthy", "duration": "00:00:00.01", "description": "connection refused"}


def body(status: object, entries: object = None, **more: object) -> bytes:
    content = {"status": status, "totalDuration": "00:00:00.0012", **more}
    return json.dumps(content if entries is None else {**content, "entries": entries}).encode()


@pytest.mark.parametrize(
    ("content", "status", "described"),
    [
        pytest.param(body("Healthy", {}), "Healthy", "", id="healthy"),
        pytest.param(b'{"status": "Degraded"}', "Degraded", "it reports Degraded", id="no-entries"),
        pytest.param(
            body("Degraded", {"redis": REDIS, "sql": {"status": "Healthy"}}),
            "Degraded",
            "redis is Unhealthy: connection refused",
            id="an-entry-that-fails",
        ),
        pytest.param(
            body("Unhealthy", {"a": {"status": "Degraded"}, "b": {"status": "Unhealthy"}}),
            "Unhealthy",
            "a is Degraded, b is Unhealthy",
            id="two-entries",
        ),
        pytest.param(
            body("Degraded", {str(n): {"status": "Unhealthy"} for n in range(2000)}),
            "Degraded",
            ", ".join(f"{n} is Unhealthy" for n in range(5)) + " and 1995 more",
            id="many-entries",
        ),
        pytest.param(
            body("Degraded", {"a": {"status": "Degraded", "description": "x\x1b[31m\n\u202ey"}}),
            "Degraded",
            "a is Degraded: x [31m  y",
            id="what-a-terminal-would-act-on",
        ),
        pytest.param(body("Healthy", {}, tags=[[[]]], status2=1), "Healthy", "", id="more-fields"),
    ],
)
def test_what_is_a_health_body_is_read(content: bytes, status: str, described: str) -> None:
    reported = reported_health(content)

    assert reported is not None
    assert (reported.status, reported.description) == (status, described)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Degraded", id="plain-text"),
        pytest.param(b'"Degraded"', id="a-text"),
        pytest.param(b"[]", id="a-list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"status": "Degraded"', id="torn"),
        pytest.param(b'{"status": "Degraded", "entries": {"a": {"status": "\xff"}}}', id="latin"),
        pytest.param(b'{"status": "Degraded", "x": NaN}', id="no-number"),
        pytest.param(b'{"status": "Degraded", "x": ' + b"9" * 60_000 + b"}", id="a-long-number"),
        pytest.param(b'{"status": "\\ud83d"}', id="half-a-character"),
        pytest.param(body("degraded"), id="another-case"),
        pytest.param(body("UP"), id="another-standard"),
        pytest.param(body("Unknown"), id="a-word-of-the-platform-alone"),
        pytest.param(body(2), id="a-number"),
        pytest.param(body(["Degraded"]), id="a-list-as-status"),
        pytest.param(body("Degraded", []), id="entries-as-a-list"),
        pytest.param(body("Degraded", "redis"), id="entries-as-text"),
        pytest.param(body("Degraded", {"redis": "Unhealthy"}), id="an-entry-as-text"),
        pytest.param(body("Degraded", {"redis": {"status": "down"}}), id="an-odd-entry"),
        pytest.param(b"[" * BODY_MAX, id="deep-lists"),
        pytest.param(b'{"entries":' * (BODY_MAX // 11), id="deep-objects"),
    ],
)
def test_what_is_none_says_nothing(content: bytes) -> None:
    assert reported_health(content) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300)
    | st.sampled_from(["Healthy", "Degraded", "Unhealthy"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["status", "entries", "description", "a"]), inner)
    ),
    max_leaves=20,
)  # fmt: skip


@given(json_values | st.binary(max_size=200))
def test_whatever_is_answered_the_description_is_short_and_printable(value: Any) -> None:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()

    reported = reported_health(content)

    if reported is not None:
        assert len(reported.description) <= DESCRIPTION_MAX
        assert reported.description.isprintable()


@pytest.mark.real
@pytest.mark.parametrize(
    ("head", "content", "passed", "status"),
    [
        pytest.param("200 OK", body("Degraded"), True, HealthStatus.DEGRADED, id="degraded-at-200"),
        pytest.param("200 OK", body("Unhealthy"), False, HealthStatus.UNHEALTHY, id="not-at-200"),
        pytest.param("503 Away", body("Healthy"), False, HealthStatus.HEALTHY, id="away-at-503"),
        pytest.param("200 OK", b"[" * 60_000, True, None, id="nonsense-at-200"),
        pytest.param("500 Odd", b"<html>", False, None, id="nonsense-at-500"),
    ],
)
async def test_a_probe_passes_by_its_status_unless_the_body_says_unhealthy(
    head: str,
    content: bytes,
    passed: bool,  # noqa: FBT001  what is expected
    status: HealthStatus | None,
) -> None:
    serve, _ = answering(head, content.decode())
    async with listening(serve) as port:
        result = await a_prober().probe(f"http://127.0.0.1:{port}/health", 5.0)

    assert result.passed is passed
    assert (result.reported and result.reported.status) == status
