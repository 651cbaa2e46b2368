"""Tenants, environments and deployments together: what a binding permits, makes and takes away."""

import json
from typing import Any

import pytest

from shared.kernel.ids import TenantId
from shared.surfaces.boundaries import Quota
from shared.vault.signing_keys import verified
from tests.kit.releases import (
    ENDED,
    a_component,
    archive,
    deploy,
    ended,
    provisioned,
    until_status,
    uploaded,
)
from tests.kit.virtual_time import run_virtual
from tests.kit.world import World

GLOBEX = "globex"
ROOT = "/runtime/tenant-bindings"
UNRULY = pytest.mark.parametrize(
    "is_unruly", [False, True], ids=["in-order", "late-twice-and-out-of-order"]
)


async def bound(world: World, environment: str, *, tenant: str = "acme", **content: Any) -> Any:
    """Bind *tenant*, and return the binding once it is Enforced."""
    body = {"environmentId": environment, **content}
    status, binding = await world.call("POST", ROOT, body, tenant=tenant)
    assert status == 201, binding
    return await _until(world, binding["bindingId"], "Enforced", tenant=tenant)


async def _until(world: World, binding_id: str, status: str, *, tenant: str = "acme") -> Any:
    async def reached() -> Any:
        _, body = await world.call("GET", f"{ROOT}/{binding_id}", tenant=tenant)
        return body if body["status"] == status else None

    return await world.until(reached, within_s=300)


async def _report(world: World, binding_id: str, *, tenant: str) -> Any:
    """Return the report on what became of all that *tenant* had, once it is made."""

    async def made() -> Any:
        path = f"{ROOT}/{binding_id}/erasure-report"
        status, body = await world.call("GET", path, tenant=tenant)
        return body if status == 200 else None

    return await world.until(made, within_s=300)


def _instances(world: World) -> dict[str, int]:
    """Return how many instances run on this machine, by tenant."""
    found: dict[str, int] = {}
    for site in world.surface.sites.values():
        for component, live in site.components.items():
            count = sum(len(each.instances) for each in live.revisions.values())
            found[component.tenant] = found.get(component.tenant, 0) + count
    return found


@UNRULY
def test_prod_takes_a_deployment_once_the_tenant_is_bound(*, is_unruly: bool) -> None:
    async def main() -> Any:
        world = World(requests_per_s=30, is_unruly=is_unruly)
        await world.boot()
        environment = await provisioned(world, stage="prod")
        digest = await uploaded(world, "1")
        body = {
            "environmentId": environment,
            "releaseRef": "v1",
            "components": [a_component(digest, "1")],
        }
        before = await world.call("POST", "/runtime/deployments", body)
        binding = await bound(world, environment, quota={"instances": 20})
        deployment = await ended(world, await deploy(world, environment, "1"))
        site = world.surface.sites[next(iter(world.surface.sites))]
        quota = site.boundaries[TenantId("acme")].spec
        _, shown = await world.call("GET", f"/runtime/environments/{environment}")
        await world.stop()
        return before, binding, deployment, quota, shown

    (status, refused), binding, deployment, boundary, environment = run_virtual(main())

    assert (status, refused["error"]["code"]) == (422, "TenantBindingRequired")
    assert deployment["status"] == "Completed", deployment["reason"]
    assert boundary.quota == Quota(instances=20)
    (isolation,) = environment["isolation"]
    assert (isolation["bindingId"], isolation["state"]) == (binding["bindingId"], "Applied")
    assert environment["status"] == "Provisioned"


@UNRULY
def test_a_suspended_guest_that_leaves_comes_back_by_its_owner_only(*, is_unruly: bool) -> None:
    async def main() -> Any:
        world = World(requests_per_s=30, is_unruly=is_unruly)
        await world.boot()
        environment = await provisioned(world, admits=[GLOBEX])
        guest = await bound(world, environment, tenant=GLOBEX, ownerTenantId="acme")
        path = f"{ROOT}/{guest['bindingId']}"
        why = {"reason": "not paid", "tenantId": GLOBEX}
        await world.call("POST", f"{path}/suspend", why)
        await world.call("DELETE", f"{path}?confirm={GLOBEX}", tenant=GLOBEX)
        left = await _until(world, guest["bindingId"], "Unbound", tenant=GLOBEX)
        again = {"environmentId": environment}
        by_guest = await world.call("POST", ROOT, {**again, "ownerTenantId": "acme"}, tenant=GLOBEX)
        by_owner = await world.call("POST", ROOT, {**again, "tenantId": GLOBEX})
        await world.stop()
        return left, by_guest, by_owner

    left, (refused, answer), (taken, _) = run_virtual(main())

    assert left["suspendedBy"]["tenantId"] == "acme"
    assert (refused, answer["error"]["code"]) == (403, "SuspendedByAnother")
    assert taken == 201


def test_a_suspended_tenant_deploys_nothing_until_it_is_resumed() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment)
        path, why = f"{ROOT}/{binding['bindingId']}", {"reason": "not paid"}
        await world.call("POST", f"{path}/suspend", why)
        await world.clock.sleep(10)
        digest = await uploaded(world, "1")
        body = {
            "environmentId": environment,
            "releaseRef": "v1",
            "components": [a_component(digest, "1")],
        }
        refused = await world.call("POST", "/runtime/deployments", body)
        await world.call("POST", f"{path}/resume", why)
        await world.clock.sleep(10)
        deployment = await ended(world, await deploy(world, environment, "1"))
        await world.stop()
        return refused, deployment

    (status, refused), deployment = run_virtual(main())

    assert (status, refused["error"]["code"]) == (409, "TenantBindingSuspended")
    assert deployment["status"] == "Completed"


@pytest.mark.long
@UNRULY
def test_an_admitted_tenant_deploys_beside_the_owner_until_it_is_unbound(
    *, is_unruly: bool
) -> None:
    async def main() -> Any:
        world = World(requests_per_s=30, is_unruly=is_unruly)
        await world.boot()
        environment = await provisioned(world, admits=[GLOBEX])
        own = await ended(world, await deploy(world, environment, "1"))
        binding = await bound(world, environment, tenant=GLOBEX, ownerTenantId="acme")
        theirs = await _deployed_by(world, GLOBEX, environment)
        beside = _instances(world)
        down = await world.call("DELETE", f"/runtime/environments/{environment}")
        _, guests = await world.call("GET", f"{ROOT}?environmentId={environment}")
        path = f"{ROOT}/{binding['bindingId']}?confirm={GLOBEX}"
        await world.call("DELETE", path, tenant=GLOBEX)
        await _until(world, binding["bindingId"], "Unbound", tenant=GLOBEX)
        left = _instances(world)
        report = await _report(world, binding["bindingId"], tenant=GLOBEX)
        _, keys = await world.call("GET", "/runtime/erasure-keys", tenant=GLOBEX)
        await world.until(lambda: _is_retired(world, GLOBEX), within_s=300)
        site = world.surface.sites[next(iter(world.surface.sites))]
        boundary = site.boundaries[TenantId(GLOBEX)].spec
        await world.call("DELETE", f"/runtime/environments/{environment}?confirm=shop")
        await until_status(world, f"/runtime/environments/{environment}", {"Decommissioned"})
        await world.stop()
        return own, theirs, beside, (*down, guests), left, boundary, report, keys

    own, theirs, beside, refusal, left, boundary, report, keys = run_virtual(main())
    status, refused, guests = refusal

    assert own["status"] == theirs["status"] == "Completed", (own["reason"], theirs["reason"])
    assert beside == {"acme": 2, GLOBEX: 2}
    assert (status, refused["error"]["code"]) == (409, "TenantsBound")
    (guest,) = guests["value"]
    assert (guest["tenantId"], guest["status"]) == (GLOBEX, "Enforced")
    assert guest["bindingId"] in refused["error"]["message"]
    assert left.get(GLOBEX, 0) == 0
    assert left["acme"] == 2
    assert boundary is None
    assert report["ending"] == "GuestLeft"
    removed = {each["kind"] for each in report["erased"] if each["outcome"] == "Removed"}
    assert removed == {"instances", "routes", "namespace", "identity", "quota", "output"}
    signed = json.loads(verified(report["signature"], keys))
    assert signed == {name: value for name, value in report.items() if name != "signature"}


def test_a_bound_tenant_is_not_given_the_secret_that_the_owner_has_under_a_name() -> None:
    async def main() -> Any:
        world = World()
        await world.boot()
        environment = await provisioned(world, admits=[GLOBEX])
        body = {
            "environmentId": environment,
            "moduleId": "module-web",
            "secretName": "db-password",
            "target": "DB_PASSWORD",
            "generator": {"kind": "random"},
        }
        path = "/runtime/secret-bindings"
        _, asked = await world.call("POST", path, body)
        await until_status(world, f"{path}/{asked['bindingId']}", {"Bound"})
        await bound(world, environment, tenant=GLOBEX, ownerTenantId="acme")
        own = await world.call("POST", path, body, tenant=GLOBEX)
        _, shown = await world.call("GET", f"{path}/{asked['bindingId']}")
        named = {**body, "vaultUri": shown["vaultUri"]}
        by_name = await world.call("POST", path, named, tenant=GLOBEX)
        external = {**named, "external": True, "generator": None}
        as_external = await world.call("POST", path, external, tenant=GLOBEX)
        login = {"kind": "databasePassword", "settings": {"resource": "orders-db"}}
        at_server = await world.call("POST", path, {**body, "generator": login}, tenant=GLOBEX)
        await world.stop()
        return [
            (status, answer["error"]["code"])
            for status, answer in (own, by_name, as_external, at_server)
        ]

    assert run_virtual(main()) == [
        (400, "VaultMissing"),
        (400, "VaultMissing"),
        (400, "VaultOfAnEnvironment"),
        (400, "GeneratorNotSupported"),
    ]


def test_an_admitted_tenant_takes_no_path_of_the_owner() -> None:
    async def main() -> Any:
        world = World()
        await world.boot()
        environment = await provisioned(world, admits=[GLOBEX])
        await bound(world, environment, tenant=GLOBEX, ownerTenantId="acme")
        _, artifact = await world.call("POST", "/runtime/artifacts", archive("g"), tenant=GLOBEX)
        component = a_component(artifact["digest"], "1", "module-theirs", pathPrefix="/-")
        body = {"environmentId": environment, "releaseRef": "v1", "components": [component]}
        path = "/runtime/deployments"
        asked = [
            await world.call("POST", path, {**body, **more}, tenant=GLOBEX)
            for more in ({"dryRun": True}, {})
        ]
        await world.stop()
        return asked

    (_, plan), (status, refused) = run_virtual(main())

    assert [each["code"] for each in plan["refusals"]] == ["PathNotOwned"]
    assert status == 422
    assert [each["code"] for each in refused["error"]["details"]] == ["PathNotOwned"]


async def updated(world: World, environment: str, **content: Any) -> tuple[int, str]:
    """Update the environment, and return the status with the code of a refusal."""
    body = {
        "computeTargets": [{"kind": "LocalProcess"}],
        "dataResources": [{"kind": "LocalFolder", "name": "files"}],
        **content,
    }
    path = f"/runtime/environments/{environment}"
    planned, plan = await world.call("PUT", path, {**body, "dryRun": True})
    status, answer = await world.call("PUT", path, body)
    if status < 400:
        await until_status(world, path, {"Provisioned"})
        return status, ""
    assert (planned, plan["error"]["code"]) == (status, answer["error"]["code"])
    return status, answer["error"]["code"]


def test_an_environment_becomes_no_silo_while_it_admits_or_has_another_tenant() -> None:
    async def main() -> Any:
        world = World()
        await world.boot()
        environment = await provisioned(world, admits=[GLOBEX])
        await bound(world, environment, tenant=GLOBEX, ownerTenantId="acme")
        silo = {"environmentId": environment, "isolationModel": "silo"}
        admitting = [
            await updated(world, environment, isolationModel="silo", admits=[GLOBEX]),
            await world.call("POST", ROOT, silo),
        ]
        await updated(world, environment)
        became = await updated(world, environment, isolationModel="silo")
        _, binding = await world.call("POST", ROOT, silo)

        async def failed() -> Any:
            _, shown = await world.call("GET", f"{ROOT}/{binding['bindingId']}")
            return shown if shown["reason"] else None

        shown = await world.until(failed, within_s=300)
        await world.stop()
        return admitting, became, shown

    (admitting, (status, refused)), became, binding = run_virtual(main())

    assert admitting == became == (409, "SiloNotAlone")
    assert (status, refused["error"]["code"]) == (422, "IsolationNotSupported")
    assert (binding["status"], binding["reason"]["code"]) == ("Bound", "SiloNotAlone")


def test_a_silo_admits_nobody_until_its_owner_is_unbound() -> None:
    async def main() -> Any:
        world = World()
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment, isolationModel="silo")
        during = await updated(world, environment, admits=[GLOBEX])
        await world.call("DELETE", f"{ROOT}/{binding['bindingId']}?confirm=acme")
        await _until(world, binding["bindingId"], "Unbound")
        after = await updated(world, environment, admits=[GLOBEX])
        await world.stop()
        return during, after

    during, (status, _) = run_virtual(main())

    assert during == (409, "SiloNotAlone")
    assert status == 202


def test_an_environment_that_is_a_silo_admits_nobody() -> None:
    async def main() -> Any:
        world = World()
        await world.boot()
        environment = await provisioned(world, isolationModel="silo")
        refused = await updated(world, environment, isolationModel="silo", admits=[GLOBEX])
        await world.stop()
        return refused

    assert run_virtual(main()) == (409, "SiloNotAlone")


async def _is_retired(world: World, tenant: str) -> bool:
    """Return whether the inventory of *tenant* has nothing that runs any more."""
    _, services = await world.call("GET", "/runtime/services", tenant=tenant)
    return {each["status"] for each in services["value"]} == {"Retired"}


async def _deployed_by(world: World, tenant: str, environment: str) -> Any:
    _, artifact = await world.call("POST", "/runtime/artifacts", archive("g"), tenant=tenant)
    body = {
        "environmentId": environment,
        "releaseRef": "v1",
        "components": [a_component(artifact["digest"], "1", "module-theirs")],
    }
    _, asked = await world.call("POST", "/runtime/deployments", body, tenant=tenant)

    async def over() -> Any:
        path = f"/runtime/deployments/{asked['deploymentId']}"
        _, shown = await world.call("GET", path, tenant=tenant)
        return shown if shown["status"] in ENDED else None

    return await world.until(over, within_s=1200, every_s=10)


def test_an_admitted_tenant_hears_that_the_environment_changes() -> None:
    async def main() -> Any:
        world = World()
        await world.boot()
        environment = await provisioned(world, admits=[GLOBEX])
        await bound(world, environment, tenant=GLOBEX, ownerTenantId="acme")
        change = {
            "computeTargets": [{"kind": "LocalProcess"}, {"kind": "AKS"}],
            "dataResources": [{"kind": "LocalFolder", "name": "files"}],
            "admits": [GLOBEX],
        }
        await world.call("PUT", f"/runtime/environments/{environment}", change)

        def is_isolated_there() -> bool:
            sites = world.cluster.sites.values()
            return any(TenantId(GLOBEX) in site.boundaries for site in sites)

        await world.until(is_isolated_there, within_s=300)
        await world.stop()

    run_virtual(main())


@pytest.mark.long
def test_a_rollout_that_waits_for_room_in_a_quota_says_so() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        await bound(world, environment, quota={"instances": 3})
        await ended(world, await deploy(world, environment, "1"))
        identity = await deploy(world, environment, "2")

        async def not_ready() -> Any:
            _, shown = await world.call("GET", f"/runtime/deployments/{identity}/traffic")
            return [text for each in shown["value"] for text in each["notReady"]]

        waits = await world.until(not_ready, within_s=120)
        await ended(world, identity)
        over = await not_ready()
        await world.stop()
        return waits, over

    waits, over = run_virtual(main())

    assert "CannotStart: exceeded quota: tenant" in waits[0]
    assert over == []


def test_what_exceeds_a_quota_fails_the_release_and_says_so_and_the_next_fits() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        await bound(world, environment, quota={"instances": 3})
        await ended(world, await deploy(world, environment, "1"))
        digest = await uploaded(world, "2")
        four = [a_component(digest, "2", replicas=4)]
        refused = await ended(world, await deploy(world, environment, "2", components=four))
        after = _instances(world)
        digest = await uploaded(world, "3")
        one = [a_component(digest, "3", replicas=1)]
        fits = await ended(world, await deploy(world, environment, "3", components=one))
        await world.stop()
        return refused, after, fits

    refused, after, fits = run_virtual(main())

    assert refused["status"] == "RolledBack"
    assert "CannotStart: exceeded quota: tenant" in refused["reason"]["message"]
    assert after == {"acme": 2}
    assert fits["status"] == "Completed", fits["reason"]
