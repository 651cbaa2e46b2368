"""The ARM template of docs/azure-verification.md: what the local cloud declares, and settings.

Azure itself judges its form; here only what we know is held.
"""

import importlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

import azure.durable_functions as df
import azure.functions as func
import pytest

from local_cloud.roles import ENVIRONMENT_VAULTS, assignments
from local_cloud.runtime_topology import runtime_topology
from shared.composition.settings import EVERY_APP, Need, read_settings, tenancy
from shared.contracts.events import BUILT
from tools.azure_template import app_settings, template
from tools.package import APPS

PAGE: Final = (Path(__file__).parents[2] / "docs/azure-verification.md").read_text()
DIRECTORY: Final = "6f1b3c1e-1f0a-4f4e-9a55-2f9a1c3d7e01"
CLIENT: Final = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
RESOURCES: Final[list[dict[str, Any]]] = list(template()["resources"])
PART: Final = re.compile(r"'([^']*)'|parameters\('prefix'\)")


def _named(kind: str) -> set[str]:
    """Return the names below the account of the resources of type *kind*, `bus/topic` say."""
    names = (each["name"] for each in RESOURCES if each["type"].endswith(kind))
    return {re.findall(r"'([^']+)'", name)[-1] for name in names}


def _value(expression: str) -> str:
    """Return what a setting's expression is with the prefix `fr1`."""
    if not expression.startswith("["):
        return expression
    inner = expression.removeprefix("[concat(").removesuffix(")]")
    return "".join(each or "fr1" for each in PART.findall(inner))


def test_every_entity_and_role_of_the_local_cloud_is_in_it() -> None:
    topology = runtime_topology(BUILT)
    subscriptions = {
        f"bus/{topic.name}/{each.name}" for topic in topology.topics for each in topic.subscriptions
    }

    assert _named("/subscriptions") == subscriptions
    assert _named("namespaces/queues") == {f"bus/{queue.name}" for queue in topology.queues}
    assert _named("sqlDatabases/containers") == {
        f"cosmos/runtime/{service.value}{end}" for service in BUILT for end in ("", "-leases")
    }
    roles = [each for each in RESOURCES if each["type"].endswith("oleAssignments")]
    of_hosts = 3 * len(BUILT)
    here = [each for each in assignments() if each.scope != ENVIRONMENT_VAULTS]
    assert len(roles) == len(here) + of_hosts


def test_nothing_is_in_it_twice_or_waits_for_what_is_not() -> None:
    keys = Counter(f"{each['type']} {each.get('scope')} {each['name']}" for each in RESOURCES)
    types = {each["type"] for each in RESOURCES}
    waited = {need for each in RESOURCES for need in each.get("dependsOn", ())}

    assert [key for key, count in keys.items() if count > 1] == []
    assert {re.search(r"'([^']+)'", need)[1] for need in waited} <= types  # type: ignore[index]


def test_a_subscription_takes_what_its_rules_name_and_nothing_else() -> None:
    rules = [each["name"] for each in RESOURCES if each["type"].endswith("/rules")]

    assert sum(name.endswith("/$Default')]") for name in rules) == len(_named("/subscriptions"))


@pytest.mark.parametrize("app", APPS)
def test_an_app_starts_with_its_settings(app: str) -> None:
    issuer = f"https://sts.windows.net/{DIRECTORY}/"
    (line,) = re.findall(r'^TENANTS="(.*)"$', PAGE, re.MULTILINE)
    for name, value in {"ISSUER": issuer, "TENANT": DIRECTORY, "CLIENT": CLIENT}.items():
        line = line.replace(f"${name}", value)
    given = {"issuers": issuer, "audience": "api://api", "tenants": line.replace('\\"', '"')}
    environ = {name: _value(value) for name, value in app_settings().items()}
    environ |= {f"RUNTIME_{name.upper()}": value for name, value in given.items()}

    settings = read_settings(environ, (*EVERY_APP, Need.BLOBS, Need.GATEWAY, Need.VAULT))
    service = importlib.import_module(f"function_apps.{app}.function_app")
    registered = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    registered.register_functions(service.bound(environ))

    token = {"iss": issuer, "tid": DIRECTORY, "appid": CLIENT, "sub": "client"}
    assert tenancy(settings).grant(token).tenant == "acme"
    count = f"{app.replace('_', '-')} {len(registered.get_functions())}"
    assert count in PAGE, f"docs/azure-verification.md says otherwise than: {count} functions"


def test_the_template_is_json_with_the_parameters_of_the_page() -> None:
    parameters = json.loads(json.dumps(template()))["parameters"]

    assert [name for name in parameters if f"{name}=" not in PAGE] == []
