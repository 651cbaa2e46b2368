"""Offers: throughput that a container or database was given, kept and shown; it limits nothing.

https://learn.microsoft.com/rest/api/cosmos-db/offers
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from local_cloud.cosmos_endpoint.errors import bad_request

THROUGHPUT_MIN: Final = 400
THROUGHPUT_MAX: Final = 1_000_000
_STEP: Final = 100
_AUTOPILOT_MIN: Final = 1_000
_SETTINGS: Final = ("offerAutopilotSettings", "offerAutoscaleSettings")


def offer_of(resource: Mapping[str, Any], throughput: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the offer of a container or database as the protocol shows it, with its id."""
    rid = resource["_rid"]
    return {
        "id": rid, "_rid": rid, "_self": f"offers/{rid}/", "_etag": resource["_etag"],
        "_ts": resource["_ts"], "resource": resource["_self"], "offerResourceId": rid,
        "offerType": "Invalid", "offerVersion": "V2",
        "content": {
            **throughput, "offerIsRUPerMinuteThroughputEnabled": False,
            "offerMinimumThroughputParameters": {"maxThroughputEverProvisioned": THROUGHPUT_MIN},
        },
    }  # fmt: skip


def offer_in_headers(headers: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Return what the headers of a create ask for. Raises CosmosError (400)."""
    fixed = headers.get("x-ms-offer-throughput")
    scaled = headers.get("x-ms-cosmos-offer-autopilot-settings")
    if scaled is not None:
        try:
            return _checked_autopilot(json.loads(scaled))
        except (ValueError, RecursionError) as problem:
            raise bad_request("the autopilot settings are no JSON object") from problem
    if fixed is None:
        return None
    return _checked_fixed(int(fixed) if fixed.isascii() and fixed.isdecimal() else fixed)


def offer_in(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a replaced offer asks for. Raises CosmosError (400)."""
    content = body.get("content")
    if not isinstance(content, Mapping):
        raise bad_request("an offer has a content")
    for name in _SETTINGS:
        if content.get(name) is not None:
            return _checked_autopilot(content[name])
    return _checked_fixed(content.get("offerThroughput"))


def _checked_fixed(value: object) -> Mapping[str, Any]:
    # SDKs of some languages write 400.0.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(whole, int) or not THROUGHPUT_MIN <= whole <= THROUGHPUT_MAX or whole % _STEP:
        raise bad_request(
            f"a throughput is {THROUGHPUT_MIN} to {THROUGHPUT_MAX} in steps of {_STEP}, got"
            f" {str(value)[:40]}"
        )
    return {"offerThroughput": whole}


def _checked_autopilot(settings: object) -> Mapping[str, Any]:
    most = settings.get("maxThroughput") if isinstance(settings, Mapping) else None
    if not isinstance(most, int) or most < _AUTOPILOT_MIN or most % _AUTOPILOT_MIN:
        raise bad_request(f"maxThroughput is a multiple of {_AUTOPILOT_MIN}, got {str(most)[:40]}")
    return {
        "offerThroughput": max(most // 10, THROUGHPUT_MIN),
        "offerAutopilotSettings": {"maxThroughput": most},
    }
