"""Environments by the name that people use."""

import re
from collections.abc import Mapping
from typing import Any, Final

from cli.client import Client
from cli.fan_out import over_apps
from cli.session import one_of

_ID: Final = re.compile(r"env-[a-z2-7]{12}")
_ANY_ID: Final = re.compile(
    r"(?P<gate>gate-(?P<environment>[a-z2-7]{12})-[a-z2-7]{10}-(?P<rest>[0-9a-z]{16})-\d+-(?P<step>\d+))"
    r"|evt-(?P<event>[0-9a-f]{8})-[0-9a-f-]{27}"
    r"|op-[a-z-]+-[a-z2-7]{12}-(?:[a-z2-7]{10}-)?[0-9a-z]{16}"
    r"|dep-[a-z2-7]{12}-[0-9a-z]{16}|svc-[a-z2-7]{12}-[a-z2-7]{10}|env-[a-z2-7]{12}"
)


def environment_named(client: Client, name: str) -> Mapping[str, Any]:
    """Return the environment called *name*, or with that id.

    Raises:
        Failure: none or several are called so.
    """
    if _ID.fullmatch(name):
        found: Mapping[str, Any] = client.get(f"/v1/runtime/environments/{name}").body
        return found
    called = list(client.each("/v1/runtime/environments", {"name": name}))
    fix = "see `runtimectl env list`; where several projects have one of this name, use its id"
    one: Mapping[str, Any] = one_of(called, "environment", name, fix)
    return one


def names_of(client: Client) -> Mapping[str, str]:
    """Return the names of all environments, by id."""
    return {each["environmentId"]: each["name"] for each in client.each("/v1/runtime/environments")}


def endpoint_of(environment: Mapping[str, Any]) -> str | None:
    """Return the public URL of an environment, where it has one."""
    found = [target.get("endpoint") for target in environment.get("provisioned", ())]
    return next((endpoint for endpoint in found if endpoint), None)


def labels(client: Client) -> Mapping[str, str]:
    """Return words for every id of an environment, deployment, service and operation."""
    names = names_of(client)
    found = dict(names)
    for each in client.each("/v1/runtime/deployments"):
        where = names.get(each["environmentId"], "?")
        found[each["deploymentId"]] = f"{each['releaseRef']} in {where}"
    for each in client.each("/v1/runtime/services"):
        where = names.get(each["environmentId"], "?")
        found[each["serviceId"]] = f"{each['moduleId']} in {where}"
    for each in over_apps(client, "operations"):
        found[each["operationId"]] = each["kind"]
    return found


def labelled(text: str, words: Mapping[str, str]) -> str:
    """Return *text* with every id in it replaced by its words; a gate is of its deployment."""

    def word(match: re.Match[str]) -> str:
        if match["gate"]:
            of = words.get(f"dep-{match['environment']}-{match['rest']}", match["gate"])
            return f"gate {int(match['step']) + 1} of {of}"
        return words.get(match[0]) or (f"evt-{match['event']}…" if match["event"] else match[0])

    return _ANY_ID.sub(word, text)
