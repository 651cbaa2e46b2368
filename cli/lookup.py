"""Environments by the name that people use."""

import re
from collections.abc import Mapping
from typing import Any, Final

from cli.client import Client
from cli.session import one_of

_ID: Final = re.compile(r"env-[a-z2-7]{12}")


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
