"""A proof holds for the pod that the spec makes, on any node, and departs by name for another."""

import asyncio
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from shared.surfaces.aks.cluster_api import ClusterApi, Object
from shared.surfaces.aks.kinds import Kind
from shared.surfaces.aks.names import Installation
from shared.surfaces.aks.proof import prove_pod
from shared.surfaces.aks.records import Unreadable
from shared.surfaces.aks.revisions import dependents, deployment
from shared.surfaces.configuration import configuration
from shared.surfaces.observed_state import LiveProof
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.spec import Resources, RevisionSpec
from tests.surfaces.harness import TEMPLATE

INDEX, MANIFEST, OTHER = (f"sha256:{digit * 64}" for digit in "abc")
SPEC = replace(
    TEMPLATE, image="registry.example/shop", artifact=INDEX, release=None,
    resources=Resources(memory_mb=1024, cpu=1),
)  # fmt: skip
CONFIGURED = replace(
    SPEC, configuration=configuration("c0ffee", variables={"MODE": "fast"}, files={".env": "A=1"})
)
SECRET = replace(
    SPEC,
    secrets=(SecretReference("database", "v3", "https://kv-shop.vault.azure.net", variable="DB"),),
    unit={"configurationHash": "c0ffee", "secret.database": "v3"},
)
STARTED = datetime(2026, 11, 28, 22, 48, 6, tzinfo=UTC)
LATER = STARTED + timedelta(minutes=2)


class OneNode:
    """An API server with one node, which has *images*: the references to each."""

    def __init__(self, *images: tuple[str, ...]) -> None:
        self.images = images

    async def get(self, kind: Kind, name: str) -> Object:
        assert (kind.plural, name) == ("nodes", "node-1")
        return {"status": {"images": [{"names": list(names)} for names in self.images]}}


def pod(runs: str = INDEX, spec: RevisionSpec = SPEC) -> dict[str, Any]:
    template = deepcopy(deployment(spec, Installation())["spec"]["template"])
    for amounts in template["spec"]["containers"][0]["resources"].values():
        amounts.update(memory="1Gi", cpu="1")
    status = {
        "name": "main",
        "imageID": f"registry.example/shop@{runs}",
        "state": {"running": {"startedAt": "2026-11-28T22:48:06Z"}},
    }
    return {
        "metadata": {**template["metadata"], "name": "shop-r1-x", "namespace": "n"},
        "spec": {**template["spec"], "nodeName": "node-1"},
        "status": {"containerStatuses": [status]},
    }


def proof(found: Object, node: OneNode | None = None, at: datetime = LATER) -> LiveProof:
    api = cast("ClusterApi", node or OneNode())
    return asyncio.run(prove_pod(api, found, SPEC, None, at))


def config_map(made_at: str, **changes: str) -> Object:
    owner = deployment(CONFIGURED, Installation())
    owner["metadata"]["uid"] = "1"
    _, found = dependents(CONFIGURED, Installation(), owner)[0]
    metadata = {**found["metadata"], "creationTimestamp": made_at}
    return {**found, "metadata": metadata, "data": {**found["data"], **changes}}


@pytest.mark.parametrize(
    ("found", "departs"),
    [
        pytest.param(config_map("2026-11-28T22:48:05Z"), "", id="as-it-was-made"),
        pytest.param(config_map("2026-11-28T22:48:11Z"), "", id="made-by-another-clock"),
        pytest.param(
            config_map("2026-11-28T22:48:12Z"), "made anew after it started", id="made-anew"
        ),
        pytest.param(
            config_map("2026-11-28T22:48:05Z", MODE="slow"),
            "another in variables/MODE",
            id="another-value",
        ),
        pytest.param(
            config_map("2026-11-28T22:48:05Z", MORE="1"),
            "another in variables/MORE",
            id="another-key",
        ),
        pytest.param(None, "absent", id="none"),
    ],
)
def test_a_pod_has_the_configuration_that_was_there_when_it_started(
    found: Object | None, departs: str
) -> None:
    api = cast("ClusterApi", OneNode())
    said = asyncio.run(prove_pod(api, pod(spec=CONFIGURED), CONFIGURED, found, LATER))

    expected = (f"configuration is {departs}, expected c0ffee",) if departs else ()
    assert said.departs == expected
    assert said.unit["configurationHash"] == ("" if departs else "c0ffee")


class Driver:
    """An API server with what the driver says of a pod, or of an earlier one of its name."""

    def __init__(self, uid: str, *objects: tuple[str, str]) -> None:
        listed = [{"id": f"secret/{name}", "version": version} for name, version in objects]
        owner = {"ownerReferences": [{"kind": "Pod", "uid": uid}]}
        self._status = {"metadata": owner, "status": {"objects": listed}}

    async def get(self, kind: Kind, name: str, _namespace: str) -> Object:
        assert (kind.plural, name) == (
            "secretproviderclasspodstatuses",
            "shop-r1-x-n-module-shop-r1",
        )
        return self._status


@pytest.mark.parametrize(
    ("driver", "departs", "version"),
    [
        pytest.param(Driver("1", ("database", "v3")), "", "v3", id="as-asked"),
        pytest.param(Driver("1", ("database", "v2")), "v2", "v2", id="another-version"),
        pytest.param(Driver("1", ("mail", "v3")), "not mounted", "", id="another-secret"),
        pytest.param(Driver("0", ("database", "v3")), "not mounted", "", id="of-another-pod"),
    ],
)
def test_a_pod_has_the_versions_that_its_driver_says(
    driver: Driver, departs: str, version: str
) -> None:
    found = pod(spec=SECRET)
    found["metadata"]["uid"] = "1"

    said = asyncio.run(prove_pod(cast("ClusterApi", driver), found, SECRET, None, LATER))

    expected = (f"secret database is {departs}, expected v3",) if departs else ()
    assert said.departs == expected
    assert said.unit["secret.database"] == version


def test_what_stands_where_a_secret_was_to_be_is_not_shown() -> None:
    found = pod(spec=SECRET)
    environ = found["spec"]["containers"][0]["env"]
    del next(each for each in environ if each["name"] == "DB")["valueFrom"]
    next(each for each in environ if each["name"] == "DB")["value"] = "canary"
    found["metadata"]["uid"] = "1"
    driver = cast("ClusterApi", Driver("1", ("database", "v3")))

    said = asyncio.run(prove_pod(driver, found, SECRET, None, LATER))

    (departs,) = said.departs
    assert departs.startswith("environ/DB is another, expected")
    assert "canary" not in str(said)


def shop(*digests: str) -> tuple[str, ...]:
    return tuple(f"registry.example/shop@{each}" for each in digests)


def test_a_pod_with_common_limits_is_proved() -> None:
    assert proof(pod()).departs == ()


def test_what_was_added_departs_by_its_name() -> None:
    found = pod()
    found["spec"]["containers"].append({"name": "proxy", "image": "mesh:1"})
    found["spec"]["containers"][0]["args"] = ["--debug"]

    departs = proof(found).departs

    assert [each.split(" is ")[0] for each in departs] == ["command", "containers/proxy"]


def test_limits_of_a_namespace_are_no_departure_and_other_limits_are() -> None:
    found = pod()
    limits = found["spec"]["containers"][0]["resources"]["limits"]
    limits["ephemeral-storage"] = "1Gi"
    assert proof(found).holds

    limits["memory"] = "2Gi"
    assert proof(found).departs == ("resources/memoryMib is 2048, expected 1024",)


def test_an_image_is_known_by_any_of_its_digests_on_the_node() -> None:
    made = proof(pod(runs=MANIFEST), OneNode(shop(OTHER), shop(MANIFEST, INDEX)))

    assert (made.content_digest, made.departs) == (INDEX, ())


def test_an_image_that_the_node_knows_as_another_departs() -> None:
    made = proof(pod(runs=OTHER), OneNode(shop(OTHER), shop(INDEX)))

    assert made.departs == (f"content is {OTHER}, expected {INDEX}",)


def test_an_image_that_the_pod_was_told_besides_departs() -> None:
    found = pod(runs=OTHER)
    found["spec"]["containers"][0]["image"] = shop(OTHER)[0]

    assert [each.split(" is ")[0] for each in proof(found).departs] == ["content", "image"]


@pytest.mark.parametrize(
    ("node", "at"),
    [
        pytest.param(OneNode(), LATER, id="not-listed"),
        pytest.param(OneNode(shop(OTHER)), STARTED, id="not-reported-yet"),
        pytest.param(OneNode(shop(OTHER, *"12345")), LATER, id="more-references-than-are-listed"),
    ],
)
def test_what_the_node_does_not_say_is_not_guessed(node: OneNode, at: datetime) -> None:
    with pytest.raises(Unreadable, match="does not say whether they are one image"):
        proof(pod(runs=OTHER), node, at)
