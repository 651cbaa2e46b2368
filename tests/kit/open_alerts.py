"""What a service lists of its raised alerts, beside what it told of them by events."""

import importlib
import json
from typing import Any

from shared.web.administration import Administration
from shared.web.alert_routes import list_alerts
from shared.web.request import Request
from tests.kit.service import Bench


async def listed_alerts(bench: Bench) -> list[dict[str, Any]]:
    """Return what GET /v1/platform/<app>/alerts answers."""
    triggers = importlib.import_module(f"function_apps.{bench.service.name}.triggers")
    app: Any = Administration(bench.service, None, None, dict, alerts=triggers.ALERTS)  # type: ignore[arg-type]
    answer = await list_alerts(Request(None, bench.ctx(), {}, {}), app)
    found: list[dict[str, Any]] = json.loads(answer.content)["value"]
    return found


async def require_listed(bench: Bench, *alerts: str) -> None:
    """Fail unless exactly *alerts* are listed, which are those that were told and not cleared."""
    told = {each["payload"]["aggregateId"]: each["payload"] for each in _told(bench, "Raised")}
    ended = {each["payload"]["aggregateId"]: each["payload"] for each in _told(bench, "Cleared")}
    open_ = [
        each
        for name, each in told.items()
        if name not in ended or ended[name]["revision"] < each["revision"]
    ]
    same = ("aggregateId", "alert", "severity", "environmentId", "serviceId", "raisedAt", "runbook")
    listed = await listed_alerts(bench)
    assert sorted(each["alert"] for each in listed) == sorted(alerts)
    assert _by_id([{name: each[name] for name in same} for each in listed]) == _by_id(
        [{name: each[name] for name in same} for each in open_]
    )


def _told(bench: Bench, change: str) -> list[Any]:
    return list(bench.sent.bodies(f"RuntimeAlert{change}"))


def _by_id(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(alerts, key=lambda each: str(each["aggregateId"]))
