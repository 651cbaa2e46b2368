"""Policies of scaling as people read them, and what a replay of one says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from cli.output import Column, format_time
from cli.scaling_chart import chart

_LOST: Final = "SignalLost"
COLUMNS: Final = (
    Column("ENVIRONMENT", "environment"),
    Column("MODULE", "moduleId"),
    Column("STATUS", "status"),
    Column("WANTED", "desired"),
    Column("RUNNING", "actual"),
    Column("MIN", "min"),
    Column("MAX", "max"),
    Column("RULES", lambda policy: rule_words(policy["rules"])),
    Column("REASON", lambda policy: reason_words(policy["reason"])),
)
DECISION_COLUMNS: Final = (
    Column("AT", lambda decision: format_time(decision["at"])),
    Column("WANTED", "desired"),
    Column("RUNNING", "actual"),
    Column("REASON", "reason"),
    Column("BECAUSE", "message"),
)


def rule_words(rules: Sequence[Mapping[str, Any]]) -> str:
    """Return *rules* as `--rule` takes them, with their settings."""
    return ", ".join(
        f"{rule['signal']}={rule['target']:g}"
        + "".join(f" {name} {value}" for name, value in (rule.get("settings") or {}).items())
        for rule in rules
    )


def reason_words(reason: Mapping[str, str] | None) -> str:
    """Return *reason* as a word, with the sentence where it says more."""
    if reason is None:
        return ""
    code, message = reason["code"], reason["message"]
    return code if message in {"", code} else f"{code}: {message}"


def policy_fields(policy: Mapping[str, Any]) -> dict[str, Any]:
    """Return *policy* with its rules, limits and reason in words."""
    limits = policy["rateLimits"] or {}
    words = {
        "rules": rule_words(policy["rules"]) or "none: the number stays between min and max",
        "rateLimits": "; ".join(
            f"{direction} {rate_words(rates)}" for direction, rates in limits.items()
        ),
        "reason": reason_words(policy["reason"]),
    }
    return {**policy, **words}


def rate_words(rates: Sequence[Mapping[str, Any]]) -> str:
    """Return how far the number moves by *rates*, of which the one that allows most counts."""
    each = [f"{rate['value']} {rate['unit']} in {rate['period']}" for rate in rates]
    return f"by at most {' or '.join(each)}" if each else "without a limit"


def replay_lines(replay: Mapping[str, Any]) -> Iterator[str]:
    """Yield a chart of *replay*, and what it would have been and cost."""
    yield from chart(replay["steps"])
    hours = f"{replay['replicaHours']:g} instance hours instead of"
    yield f"{hours} {replay['recordedReplicaHours']:g}; {replay['changes']} changes of the number"
    if replay["objectiveMet"] is not None:
        yield f"on target in {replay['objectiveMet']:.1%} of the time"
    if replay["cost"] is not None:
        currency = replay["currency"]
        yield f"{replay['cost']:g} {currency} instead of {replay['recordedCost']:g} {currency}"


def replay_remarks(replay: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a reader of *replay* is to know."""
    if lost := sum(step["reason"] == _LOST for step in replay["steps"]):
        yield (
            f"a signal of its rules was not recorded in {lost} of {len(replay['steps'])} steps: it "
            "counts as lost there, and `onSignalLoss` of the policy says what follows"
        )
    if not replay["isWhole"]:
        yield (
            "more was recorded than a replay takes: choose a shorter time with --since and --until"
        )
    yield from (f"assumed: {assumption}" for assumption in replay["assumptions"])
