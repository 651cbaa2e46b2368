"""The resources that G10 compares: 10,000 of 43 properties each, of which 1 % have changed."""

from typing import Any

COUNT = 10_000
PROPERTIES = 43
Resources = dict[str, dict[str, Any]]


def resource(number: int) -> dict[str, Any]:
    """Return a resource as a surface shows one: texts, numbers, lists and a nested part."""
    found: dict[str, Any] = {f"environ/V{index}": f"{number}-{index}" for index in range(36)}
    return found | {
        "version": f"1.{number}", "replicas": number % 7, "cpu": 0.5, "is_active": True,
        "command": ["serve", "--number", str(number)], "zone": None,
        "probes": {"readiness": {"path": "/health", "period": 5}},
    }  # fmt: skip


def desired() -> Resources:
    return {f"svc-{number:05d}": resource(number) for number in range(COUNT)}


def live() -> Resources:
    """Return the same with one property of every hundredth resource changed."""
    resources = desired()
    for number in range(0, COUNT, 100):
        changed = resources[f"svc-{number:05d}"]
        match number // 100 % 4:
            case 0:
                changed["environ/V7"] = "changed"
            case 1:
                del changed["zone"]
            case 2:
                changed["command"] = ["--number", "serve", str(number)]
            case _:
                changed["probes"] = {"readiness": {"path": "/ready", "period": 5}}
    return resources


assert len(resource(1)) == PROPERTIES
