"""`scale`: what is sent is as the contract has it; a what-if is shown as a chart."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from cli.scaling_chart import chart
from shared.contracts.scaling import (
    ApplyScalingPolicy,
    ScalingPause,
    ScalingPolicy,
    ScalingPolicyChange,
)
from shared.contracts.scaling_what_if import WhatIf, WhatIfResult
from tests.cli.small_platform import ENVIRONMENT, NOON, RUNTIME, SERVICE, RuntimeCtl

POLICY = "sp-w5ekllr23tyb-abcdefghij"
ROOT = f"{RUNTIME}/scaling-policies"
OF = "--env test --module module-shop"


def policy(**changes: Any) -> dict[str, Any]:
    body = {
        "policyId": POLICY, "tenantId": "acme", "serviceId": SERVICE, "environmentId": ENVIRONMENT,
        "moduleId": "module-shop", "min": 1, "max": 5,
        "rules": [{"signal": "requests", "target": 20}], "actuator": "platform",
        "stabilisation": "PT5M", "cooldown": "PT1M", "rateLimits": {}, "onSignalLoss": "hold",
        "scaleTo": None, "costCeiling": None, "status": "Enforced", "paused": None,
        "pausedUntil": None, "desired": 3, "actual": 3, "policyRevision": 1, "revision": 4,
        "reason": {"code": "Rule", "message": "Rule"}, **changes,
    }  # fmt: skip
    return ScalingPolicy.model_validate(body).model_dump(mode="json", by_alias=True)


def replayed() -> dict[str, Any]:
    steps = [
        {"at": f"2026-11-29T12:{place:02d}:00Z", "recorded": 2, "desired": number,
         "reason": "Rule", "load": 1.0, "cost": None}
        for place, number in enumerate([1, 2, 4, 4])
    ]  # fmt: skip
    body = {
        "steps": steps, "replicasMax": 4, "replicaHours": 0.12, "recordedReplicaHours": 0.1,
        "objectiveMet": 0.75, "cost": 1.5, "recordedCost": 1.25, "currency": "EUR", "changes": 2,
        "assumptions": ["new instances are ready at once"], "isWhole": True,
    }  # fmt: skip
    return WhatIfResult.model_validate(body).model_dump(mode="json", by_alias=True)


def test_a_chart_has_a_bar_for_what_is_proposed_and_a_line_for_what_there_was() -> None:
    lines = chart(replayed()["steps"])

    assert lines[:4] == ["     4 │  ██", "     3 │  ██", "     2 │─▀▀▀", "     1 │████"]
    assert lines[4] == "     0 └────"
    assert "proposed" in lines[-1]


def test_a_chart_of_many_steps_keeps_the_most_of_each_column() -> None:
    steps = [
        {"at": NOON, "recorded": 1, "desired": 9 if place == 500 else 1} for place in range(1000)
    ]
    lines = chart(steps)

    assert max(map(len, lines)) <= 80
    assert sum(line.count("█") for line in lines[:8]) == 8


def test_a_chart_of_nothing_says_so() -> None:
    steps = [{"at": NOON, "recorded": 0, "desired": 0}]

    assert chart(steps) == ["no instance, now or then"]


def answers(**more: Any) -> Mapping[str, Any]:
    one = f"{ROOT}/{POLICY}"
    return {
        f"GET {ROOT}": [policy()],
        f"POST {ROOT}": policy(),
        f"PUT {one}": policy(max=9),
        f"DELETE {one}": policy(status="Superseded"),
        f"POST {one}/pause": policy(status="Paused", paused="up"),
        f"POST {one}/resume": policy(),
        f"POST {one}/what-if": replayed(),
        **more,
    }


@pytest.fixture
def runtimectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RuntimeCtl:
    return RuntimeCtl(monkeypatch, capsys)


@pytest.mark.real
def test_a_first_policy_is_applied_and_a_second_changes_it(runtimectl: RuntimeCtl) -> None:
    line = f"scale set {OF} --min 1 --max 9 --rule requests=20"
    first = runtimectl.run(line, answers(**{f"GET {ROOT}": []}))
    second = runtimectl.run(line, answers())

    call, body = first.written
    assert (call, body["serviceId"]) == (f"POST {ROOT}", SERVICE)
    assert ApplyScalingPolicy.model_validate(body).rules[0].target == 20
    call, body = second.written
    assert call == f"PUT {ROOT}/{POLICY}"
    assert ScalingPolicyChange.model_validate(body).max == 9


@pytest.mark.real
def test_a_service_that_is_not_there_is_named_before_its_policy(runtimectl: RuntimeCtl) -> None:
    nothing = {f"GET {ROOT}": [], f"GET {RUNTIME}/services": []}

    ran = runtimectl.run("scale show --env test --module module-shpo", answers(**nothing))

    assert ran.code == ExitCode.NOT_FOUND
    assert "no service is called 'module-shpo'" in ran.err


@pytest.mark.real
def test_decisions_are_asked_by_their_number_and_shown_with_their_reason(
    runtimectl: RuntimeCtl,
) -> None:
    decision = {"at": NOON, "desired": 2, "actual": 1, "reason": "Rule", "message": "requests: 65"}
    path = f"{ROOT}/{POLICY}/decisions"

    ran = runtimectl.run(f"scale decisions {OF} --top 12", answers(**{f"GET {path}": [decision]}))

    assert ran.code == ExitCode.OK, ran.err
    assert "requests: 65" in ran.out
    assert ran.query_of(path) == {"top": "12"}


@pytest.mark.real
def test_what_a_deleted_policy_decided_is_still_shown(runtimectl: RuntimeCtl) -> None:
    decision = {"at": NOON, "desired": 2, "actual": 1, "reason": "Rule", "message": "requests: 65"}
    gone = answers(**{
        f"GET {ROOT}": [policy(status="Superseded")],
        f"GET {ROOT}/{POLICY}/decisions": [decision],
        f"GET {RUNTIME}/services": [{"serviceId": SERVICE}],
    })  # fmt: skip

    decisions, shown = (
        runtimectl.run(f"scale {verb} {OF}", gone) for verb in ("decisions", "show")
    )

    assert "requests: 65" in decisions.out
    assert shown.code == ExitCode.NOT_FOUND
    assert "module-shop has no scaling policy in test" in shown.err
    assert "what a deleted one decided: `runtimectl scale decisions --env " in shown.err


@pytest.mark.real
def test_a_policy_is_read_from_a_file_and_options_come_before_it(
    runtimectl: RuntimeCtl, tmp_path: Path
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("min: 2\nmax: 4\nrules:\n  - {signal: latency, target: 300}\n")

    ran = runtimectl.run(f"scale set {OF} -f {file} --max 7", answers())

    body = ScalingPolicyChange.model_validate(ran.written[1])
    assert (body.min, body.max, body.rules[0].signal) == (2, 7, "latency")


@pytest.mark.real
@pytest.mark.parametrize("bad", ["--min 1", "--min 1 --max 5 --rule requests=many"])
def test_half_a_policy_is_refused_before_it_is_sent(runtimectl: RuntimeCtl, bad: str) -> None:
    ran = runtimectl.run(f"scale set {OF} {bad}", answers())

    assert ran.code == ExitCode.USAGE
    assert [each.method for each in ran.asked if each.method != "GET"] == []


@pytest.mark.real
def test_a_what_if_shows_a_chart_and_what_it_costs_and_applies_nothing(
    runtimectl: RuntimeCtl,
) -> None:
    line = f"scale set {OF} --min 1 --max 5 --rule requests=20 --what-if --since 2026-11-28"
    ran = runtimectl.run(line, answers())

    call, body = ran.written
    assert call == f"POST {ROOT}/{POLICY}/what-if"
    assert WhatIf.model_validate(body).policy.max == 5
    assert "     4 │  ██" in ran.out
    assert "0.12 instance hours instead of 0.1; 2 changes" in ran.out
    assert "on target in 75.0% of the time" in ran.out
    assert "1.5 EUR instead of 1.25 EUR" in ran.out
    assert "new instances are ready at once" in ran.err


@pytest.mark.real
def test_a_pause_and_its_end_are_sent_as_the_contract_has_them(runtimectl: RuntimeCtl) -> None:
    held = runtimectl.run(f"scale pause {OF} --for PT2H --direction UP --reason test", answers())
    resumed = runtimectl.run(f"scale resume {OF}", answers())
    reason = {"code": "Rule", "message": "the number stays 3 until the next release"}
    ended = policy(status="Superseded", reason=reason)
    after = answers(**{f"DELETE {ROOT}/{POLICY}": ended})
    deleted = runtimectl.run(f"scale delete {OF}", after)

    call, body = held.written
    assert call == f"POST {ROOT}/{POLICY}/pause"
    assert ScalingPause.model_validate(body).direction == "up"
    assert resumed.written[0] == f"POST {ROOT}/{POLICY}/resume"
    assert deleted.written[0] == f"DELETE {ROOT}/{POLICY}"
    assert "the number stays 3 until the next release" in deleted.err


@pytest.mark.real
def test_a_policy_is_shown_in_words_with_the_reason_of_its_pause(runtimectl: RuntimeCtl) -> None:
    held = policy(
        status="Paused", paused="up", reason={"code": "Paused", "message": "until the sale is over"}
    )
    ran = runtimectl.run(f"scale show {OF}", answers(**{f"GET {ROOT}": [held]}))

    fields = dict(line.split(maxsplit=1) for line in ran.out.splitlines())
    assert fields["rules"] == "requests=20"
    assert fields["rateLimits"] == (
        "up by at most 4 instances in PT15S or 100 percent in PT15S; down by at most 100 percent in"
        " PT15S"
    )
    assert fields["reason"] == "Paused: until the sale is over"


@pytest.mark.real
def test_a_policy_without_a_rule_is_remarked_on(runtimectl: RuntimeCtl) -> None:
    applied = answers(**{f"PUT {ROOT}/{POLICY}": policy(rules=[])})
    ran = runtimectl.run(f"scale set {OF} --min 1 --max 5", applied)

    assert ran.code == ExitCode.OK
    assert "it has no rule" in ran.err


@pytest.mark.real
def test_a_what_if_says_where_a_signal_was_not_recorded(runtimectl: RuntimeCtl) -> None:
    replay = replayed()
    replay["steps"][0]["reason"] = "SignalLost"
    line = f"scale set {OF} --min 1 --max 5 --rule latency=9 --what-if"
    ran = runtimectl.run(line, answers(**{f"POST {ROOT}/{POLICY}/what-if": replay}))

    assert "was not recorded in 1 of 4 steps: it counts as lost there" in ran.err


@pytest.mark.real
def test_the_list_shows_what_each_policy_wants(runtimectl: RuntimeCtl) -> None:
    ended = policy(policyId="sp-w5ekllr23tyb-aaaaaaaaaa", status="Superseded", desired=77)
    ran = runtimectl.run("scale list", answers(**{f"GET {ROOT}": [policy(), ended]}))

    assert "requests=20" in ran.out
    assert "77" not in ran.out
