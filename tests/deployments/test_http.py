"""What callers see over HTTP: statuses, headers, resources that fit their contract, own tenant."""

from typing import Any

import pytest

from local_host.model import HttpAnswer
from shared.contracts.deployment_plans import DeploymentPlan
from shared.contracts.deployments import Artifact, Deployment, DeploymentAccepted
from shared.contracts.storage import ARTIFACTS
from shared.persistence.store import Replace, partition_of
from shared.surfaces.spec import artifact_blob
from tests.kit.releases import a_component, deploy, ended, provisioned, uploaded
from tests.kit.virtual_time import run_virtual
from tests.kit.world import TENANT, World


def lower(answer: HttpAnswer) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers}


def played(scenario: Any) -> None:
    async def main() -> None:
        world = World(requests_per_s=30)
        await world.boot()
        try:
            await scenario(world, await provisioned(world))
        finally:
            await world.stop()

    run_virtual(main())


def test_an_accepted_deployment_says_where_to_watch_it_and_shows_itself_whole() -> None:
    async def scenario(world: World, environment: str) -> None:
        digest = await uploaded(world, "1")
        body = {
            "environmentId": environment,
            "releaseRef": "v1",
            "components": [a_component(digest, "1")],
        }

        answer = await world.send("POST", "/v1/runtime/deployments", body)
        accepted = DeploymentAccepted.model_validate_json(answer.body)
        headers = lower(answer)
        done = await ended(world, accepted.deployment_id)
        shown = await world.send("GET", headers["location"])
        deployment = Deployment.model_validate_json(shown.body)

        assert answer.status == 202
        assert headers["operation-location"].endswith(accepted.operation_id)
        assert done["status"] == "Completed"
        assert deployment.steps[0].evidence[0].analyses
        assert deployment.operation is not None
        assert (deployment.operation.status, deployment.operation.percent) == ("Succeeded", 100)

    played(scenario)


def test_the_etag_of_a_deployment_is_what_if_match_takes() -> None:
    async def scenario(world: World, environment: str) -> None:
        await ended(world, await deploy(world, environment, "1"))
        identity = await deploy(world, environment, "2")
        await ended(world, identity)
        path = f"/v1/runtime/deployments/{identity}"

        etag = lower(await world.send("GET", path))["etag"]
        body = {"reason": "no longer wanted"}
        stale = {"if-match": '"stale"'}
        refused = await world.send("POST", f"{path}/rollback", body, headers=stale)
        accepted = await world.send("POST", f"{path}/rollback", body, headers={"if-match": etag})

        assert (refused.status, accepted.status) == (412, 202)

    played(scenario)


def test_a_plan_warns_of_a_microservice_that_nothing_can_reach() -> None:
    async def scenario(world: World, environment: str) -> None:
        digest = await uploaded(world, "1")
        component = a_component(digest, "1", port=None, pathPrefix=None, probes={})
        body = {"environmentId": environment, "releaseRef": "v1", "components": [component]}

        planned = await world.send("POST", "/v1/runtime/deployments", body | {"dryRun": True})

        plan = DeploymentPlan.model_validate_json(planned.body)
        assert plan.refusals == ()
        assert [text.partition(":")[0] for text in plan.warnings] == ["module-web has no port"]

    played(scenario)


def test_a_dry_run_answers_the_plan_with_its_refusals() -> None:
    async def scenario(world: World, environment: str) -> None:
        digest = await uploaded(world, "1")
        component = a_component(digest, "1", resources={"cpu": 2.0})
        body = {
            "environmentId": environment,
            "releaseRef": "v1",
            "components": [component],
            "dryRun": True,
        }

        planned = await world.send("POST", "/v1/runtime/deployments", body)
        refused, error = await world.call(
            "POST", "/v1/runtime/deployments", body | {"dryRun": False}
        )
        _, listed = await world.call("GET", "/v1/runtime/deployments")

        plan = DeploymentPlan.model_validate_json(planned.body)
        assert planned.status == 200
        assert [one.code for one in plan.refusals] == ["NotSupported"]
        assert refused == 422
        assert error["error"]["details"][0]["target"] == "/components/0/resources/cpu"
        assert listed["value"] == []

    played(scenario)


async def damage(world: World, identity: str, document_id: str, **fields: Any) -> None:
    store, partition = world.services["deployments"].store, partition_of(TENANT, identity)
    document = await store.read(partition, document_id)
    assert document is not None
    changed = {**document.body, **fields}
    await store.batch(partition, [Replace(document_id, changed, document.etag)])


@pytest.mark.parametrize("is_waiting", [True, False], ids=["its-target", "the-deployment"])
def test_a_deployment_that_cannot_be_shown_hides_no_other_from_a_list(*, is_waiting: bool) -> None:
    async def scenario(world: World, environment: str) -> None:
        other = await deploy(world, environment, "1")
        await ended(world, other)
        unknown = "env-" + "b" * 12
        place = unknown if is_waiting else environment
        await deploy(world, place, "2")
        await world.clock.sleep(2)
        _, listed = await world.call("GET", "/v1/runtime/deployments")
        newest = listed["value"][0]["deploymentId"]
        if is_waiting:
            await damage(world, unknown, f"target/{unknown}", queue="none")
        else:
            await damage(world, newest, newest, release_ref="\u0000")

        status, rest = await world.call("GET", "/v1/runtime/deployments")

        assert len(listed["value"]) == 2
        assert (status, [each["deploymentId"] for each in rest["value"]]) == (200, [other])

    played(scenario)


def test_lists_are_filtered_and_paged_newest_first() -> None:
    async def scenario(world: World, environment: str) -> None:
        one = await deploy(world, environment, "1")
        await ended(world, one)
        two = await deploy(world, environment, "2")
        await ended(world, two)
        root = f"/v1/runtime/deployments?environmentId={environment}"

        _, everything = await world.call("GET", root)
        _, first = await world.call("GET", f"{root}&top=1")
        _, rest = await world.call("GET", first["nextLink"])
        _, other = await world.call("GET", f"{root}&moduleId=module-other")
        _, failed = await world.call("GET", f"{root}&status=Failed")

        assert [each["deploymentId"] for each in everything["value"]] == [two, one]
        assert [each["deploymentId"] for each in first["value"]] == [two]
        assert [each["deploymentId"] for each in rest["value"]] == [one]
        assert (other["value"], failed["value"]) == ([], [])

    played(scenario)


def test_a_rollback_without_its_archive_is_a_conflict_that_names_it() -> None:
    async def scenario(world: World, environment: str) -> None:
        first, second = [await deploy(world, environment, version) for version in ("1", "2")]
        await ended(world, first)
        await ended(world, second)
        digest = await uploaded(world, "1")
        await world.storage.blobs(ARTIFACTS).delete(artifact_blob(digest))

        status, answer = await world.call(
            "POST", f"/v1/runtime/deployments/{second}/rollback", {"toDeploymentId": first}
        )

        (detail,) = answer["error"]["details"]
        assert (status, answer["error"]["code"]) == (409, "ArtifactRemoved")
        assert answer["error"]["target"] == detail["target"] == "/toDeploymentId"
        assert digest in str(detail)
        assert "upload the same archive again" in answer["error"]["message"]

    played(scenario)


def test_logs_are_those_of_its_live_instances() -> None:
    async def scenario(world: World, environment: str) -> None:
        identity = await deploy(world, environment, "1")
        await ended(world, identity)

        _, logs = await world.call("GET", f"/v1/runtime/deployments/{identity}/logs?tail=1")

        assert [each["instance"] for each in logs["value"]] == ["module-web-1-0", "module-web-1-1"]
        assert all(len(each["lines"]) == 1 for each in logs["value"])

    played(scenario)


def test_logs_of_a_release_that_was_replaced_are_those_that_were_stored() -> None:
    async def scenario(world: World, environment: str) -> None:
        identity = await deploy(world, environment, "1")
        await ended(world, identity)
        await ended(world, await deploy(world, environment, "2"))

        _, logs = await world.call("GET", f"/v1/runtime/deployments/{identity}/logs?tail=1")

        assert [each["instance"] for each in logs["value"]] == ["module-web-1-0", "module-web-1-1"]
        assert {(each["source"], len(each["lines"])) for each in logs["value"]} == {("stored", 1)}

    played(scenario)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "", id="get"),
        pytest.param("GET", "/logs", id="logs"),
        pytest.param("POST", "/rollback", id="rollback"),
        pytest.param("POST", "/cancel", id="cancel"),
        pytest.param("POST", "/retry", id="retry"),
        pytest.param("POST", "/release-hold", id="release-hold"),
    ],
)
def test_another_tenants_deployment_is_not_there(method: str, path: str) -> None:
    async def scenario(world: World, environment: str) -> None:
        identity = await deploy(world, environment, "1")

        status, answer = await world.call(
            method,
            f"/v1/runtime/deployments/{identity}{path}",
            {} if method == "POST" else None,
            tenant="globex",
        )

        assert (status, answer["error"]["code"]) == (404, "DeploymentMissing")

    played(scenario)


def test_an_artifact_is_created_once_and_shown_to_its_tenant() -> None:
    async def scenario(world: World, _environment: str) -> None:
        digest = await uploaded(world, "1")

        shown = await world.send("GET", f"/v1/runtime/artifacts/{digest}")
        foreign, _ = await world.call("GET", f"/v1/runtime/artifacts/{digest}", tenant="globex")
        bad, error = await world.call("POST", "/v1/runtime/artifacts", b"no zip")

        assert Artifact.model_validate_json(shown.body).digest == digest
        assert foreign == 404
        assert (bad, error["error"]["code"]) == (400, "BadArtifact")

    played(scenario)


def test_a_promotion_asks_health_and_goes_on_when_it_has_soaked() -> None:
    async def scenario(world: World, environment: str) -> None:
        identity = await deploy(world, environment, "1")
        await ended(world, identity)
        staging = await provisioned(world, name="staging", stage="staging")
        path = f"/v1/runtime/deployments/{identity}/promote"

        early, refusal = await world.call("POST", path, {"toEnvironmentId": staging})
        await world.clock.sleep(600)
        late, accepted = await world.call("POST", path, {"toEnvironmentId": staging})
        done = await ended(world, accepted["deploymentId"])

        assert early == 409
        assert refusal["error"]["code"] in {"SoakTimeLeft", "NotPromotable"}
        assert late == 202
        assert done["status"] == "Completed"

    played(scenario)
