import io
from typing import Any

from cli.progress_display import Line, PlainDisplay
from cli.rollout_report import format_verdict, rollout_lines
from shared.surfaces.traffic import EMPTY, RevisionTraffic
from tests.kit.stores import HandClock


def _evidence(**changes: Any) -> dict[str, Any]:
    samples = {"requests": 66, "errors": 0, "probes": 35, "p50Ms": 289.8, "p95Ms": 302.2}
    return {
        "moduleId": "module-shop",
        "analyses": [
            _analysis("errorRatio", "Pass", 0.0, 0.0, 0.005, "ratio", "0 errors of 66"),
            _analysis("latency", "Fail", 289.8, 0.8, 20.8, "ms", "p50 of 24 requests"),
        ],
        "candidate": samples,
        "baseline": {**samples, "p50Ms": 0.8, "p95Ms": 2.0, "probes": 0},
        **changes,
    }


def _analysis(
    measure: str, verdict: str, value: float, baseline: float | None, threshold: float, unit: str,
    reason: str,
) -> dict[str, Any]:  # fmt: skip
    return {
        "measure": measure, "verdict": verdict, "value": value, "baseline": baseline,
        "threshold": threshold, "unit": unit, "reason": reason,
    }  # fmt: skip


def _step(index: int, weight: int, **changes: Any) -> dict[str, Any]:
    return {
        "index": index, "name": f"weight {weight} %", "weight": weight, "verdict": None,
        "marked": False, "evidence": [], "startedAt": None, "endedAt": None, **changes,
    }  # fmt: skip


def _deployment(**changes: Any) -> dict[str, Any]:
    begun = {"startedAt": "2026-01-01T00:00:00Z"}
    return {
        "deploymentId": "dep-1", "environmentId": "env-1",
        "releaseRef": "shop-2", "status": "HealthGating", "weight": 10,
        "steps": [_step(0, 10, **begun), _step(1, 50)], "waitingFor": None, "holder": None,
        "reason": None, "proof": None, "holds": [], **changes,
    }  # fmt: skip


def _texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_bad_verdict_is_shown_with_its_value_and_its_limit() -> None:
    assert format_verdict(_evidence()) == "latency p50 290 ms (old 0.8 ms), limit 20.8 ms: Fail"


def test_a_value_beyond_its_limit_that_passes_is_shown_with_its_count_and_the_reason() -> None:
    reason = "1 of 48 requests failed: too few to tell; 2 good windows in a row"
    passed = _analysis("errorRatio", "Pass", 0.02083, 0.0, 0.005, "ratio", reason)

    text = format_verdict(_evidence(analyses=[passed]))

    assert text == f"errorRatio, {reason}: Pass"


def test_a_good_verdict_shows_everything_that_was_judged() -> None:
    passed = _analysis("samples", "Pass", 101.0, None, 50.0, "count", "101 of 50 samples")

    text = format_verdict(_evidence(analyses=[passed]))

    assert text == "samples 101, needs 50: Pass"


def test_new_and_old_are_told_apart_while_a_canary_runs() -> None:
    counters = RevisionTraffic(12, {"2xx": 12}, 0, 0, EMPTY)

    lines = _texts(rollout_lines(_deployment(), {"module-shop": (2, {1: counters, 2: counters})}))

    assert "    module-shop new r2: 12 requests, 0 errors, p50 -, p95 -" in lines
    assert "    module-shop old r1: 12 requests, 0 errors, p50 -, p95 -" in lines


def test_the_end_names_reason_proof_and_hold() -> None:
    proof = {
        "instances": [
            {
                "instance": "module-shop-1-0", "releaseRevision": 1, "digest": "sha256:" + "a" * 64,
                "departures": [],
            }
        ],
        "whole": True,
    }  # fmt: skip
    ended = _deployment(
        status="RolledBack",
        reason={"code": "GateFailed", "message": "too slow"},
        proof=proof,
        holds=[{"moduleId": "module-shop", "digest": "sha256:" + "b" * 64}],
    )

    lines = _texts(rollout_lines(ended))

    assert "GateFailed: too slow" in lines
    assert "proof: module-shop-1-0 runs r1 sha256:aaaaaaaaaaaa…" in lines
    assert "held: module-shop sha256:bbbbbbbbbbbb…" in lines
    assert lines[-1] == "RolledBack shop-2"


def test_the_end_names_what_was_left_out_and_nothing_that_just_is_not_there() -> None:
    absent = [
        {"code": "ScalingPolicyAbsent", "message": "no policy is applied"},
        {"code": "ScalingPolicyNotPromoted", "message": "module-shop has 2 here"},
    ]

    lines = _texts(rollout_lines(_deployment(status="Completed", absent=absent)))

    assert "ScalingPolicyNotPromoted: module-shop has 2 here" in lines
    assert not any("ScalingPolicyAbsent" in line for line in lines)


def test_what_is_away_is_shown_while_it_is_waited_for() -> None:
    operation = {"operationId": "op-1", "outage": "the API server answered 503"}

    running = _texts(rollout_lines(_deployment(operation=operation)))
    ended = _texts(rollout_lines(_deployment(operation=operation, status="Completed")))

    assert "… tries again: the API server answered 503" in running
    assert not any("503" in text for text in ended)


def test_who_waits_for_an_approval_is_told_what_goes_on_without_one() -> None:
    texts = _texts(rollout_lines(_deployment(waitingFor="approval")))

    (line,) = [text for text in texts if "waiting for approval" in text]
    assert "`runtimectl retry dep-1`" in line
    assert "`runtimectl cancel dep-1`" in line


def test_who_waits_for_an_approval_is_told_why_and_how_to_get_on() -> None:
    samples = _analysis("samples", "Inconclusive", 0, None, 20, "count", "too few")
    counted = {"requests": 0, "probes": 0, "errors": 0}
    evidence = {"moduleId": "module-shop", "candidate": counted, "analyses": [samples]}
    step = _step(0, 10, verdict="Inconclusive", evidence=[evidence])

    texts = _texts(rollout_lines(_deployment(waitingFor="approval", steps=[step])))

    (line,) = [text for text in texts if "waiting for approval" in text]
    assert (
        "waiting for approval: samples 0, needs 20: Inconclusive (too few); send it requests"
        in line
    )
    assert "`runtimectl env show env-1`" in line
    assert "`gate: {onInconclusive: pass}`" in line


def test_an_instance_that_departs_is_shouted() -> None:
    reason = {"code": "Departs", "message": "somebody changed it"}
    departs = {"path": "digest", "live": "b", "recorded": "a", "reason": reason}
    instance = {
        "instance": "i", "releaseRevision": 1, "digest": "sha256:aa", "departures": [departs]
    }  # fmt: skip
    ended = _deployment(status="Failed", proof={"instances": [instance], "whole": False})

    lines = _texts(rollout_lines(ended))

    assert any("DEPARTS: digest is b, not a" in line for line in lines)
    assert "proof: not every instance could be asked" in lines


def test_each_reason_of_a_departure_is_told_once_though_modules_depart_in_the_same_place() -> None:
    instances = [
        {
            "instance": f"i-{number}", "releaseRevision": 1, "digest": "sha256:aa",
            "departures": [
                {
                    "path": "scalingPolicy", "live": "none", "recorded": "revision 1",
                    "reason": {"code": "ScalingPolicyNotRestored", "message": message},
                }
            ],
        }
        for number, message in enumerate(("of the shop", "of the shop", "of the cart"))
    ]  # fmt: skip
    ended = _deployment(status="RolledBack", proof={"instances": instances, "whole": True})

    told = [text for text in _texts(rollout_lines(ended)) if text.startswith("departs:")]

    assert told == ["departs: scalingPolicy: of the shop", "departs: scalingPolicy: of the cart"]


def test_without_a_terminal_a_final_line_is_written_once() -> None:
    stream, clock = io.StringIO(), HandClock()
    with PlainDisplay(stream, clock) as display:
        for _ in range(3):
            display.show([Line("a", "first")])
        display.show([Line("a", "second")])

    assert stream.getvalue().split() == ["first", "second"]


def test_without_a_terminal_other_lines_are_sampled_every_two_seconds() -> None:
    stream, clock = io.StringIO(), HandClock()
    with PlainDisplay(stream, clock) as display:
        for second in range(5):
            display.show([Line("count", str(second), is_final=False)])
            clock.pass_by(1)

    assert stream.getvalue().split() == ["0", "2", "4"]


def test_steps_to_come_are_no_news_without_a_terminal() -> None:
    stream = io.StringIO()
    with PlainDisplay(stream, HandClock()) as display:
        display.show(rollout_lines(_deployment()))

    assert "weight 10 %" in stream.getvalue()
    assert "weight 50 %" not in stream.getvalue()
