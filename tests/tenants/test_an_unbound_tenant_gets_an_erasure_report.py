"""What became of all that an unbound tenant had is looked at, and reported with a signature."""

import json
from datetime import timedelta
from typing import Any

import pytest

from function_apps.tenants.errors import ErasureNotReported
from function_apps.tenants.model.erasure import OUTPUT_KEPT_DAYS, TargetReading, erased, leftovers
from function_apps.tenants.model.kept_records import DOCUMENTS, kept_records
from function_apps.tenants.ports import LOCAL_RULES
from function_apps.tenants.use_cases.prove_isolation import prove_isolation
from local_agent.cleanup import OUTPUT_KEPT
from shared.contracts.environments import ComputeTarget
from shared.contracts.retention import Kept, Retention
from shared.contracts.tenants import Ending
from shared.contracts.values import ComputeTargetKind
from shared.kernel.clock import isoformat
from shared.kernel.fence import Fence
from shared.kernel.ids import TenantId
from shared.kernel.observation import Absent, Present, Unknown
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota
from shared.surfaces.capabilities import Feature
from shared.surfaces.observed_state import Inventory, LiveComponent, Unread
from shared.surfaces.spec import SiteSpec, SurfaceComponent
from shared.vault.signing_keys import SignatureInvalid, verified
from tests.kit.golden_documents import codecs
from tests.kit.memory_surface import MemorySurface
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.secret_bindings.bound import shown
from tests.tenants.bound import BINDING, GLOBEX, ONE, Tenants, tenants, told

REPORT = f"{ONE}/erasure-report"
FENCE = Fence(9, "op-9", "9")


async def _report(on: Tenants, **asked: Any) -> Any:
    return shown(await on.call("GET", REPORT, tenantBindingId=BINDING, **asked))


async def _refusal(on: Tenants) -> ErasureNotReported:
    with pytest.raises(ErasureNotReported) as refused:
        await _report(on)
    return refused.value


async def _keys(on: Tenants) -> Any:
    return shown(await on.call("GET", "v1/runtime/erasure-keys"))


async def _looked(on: Tenants, after: timedelta = LOCAL_RULES.prove_every) -> None:
    """Let the timer run, *after* the last time."""
    await on.bench.service.clock.sleep(after.total_seconds())
    await prove_isolation(on.app)


async def _unbound(on: Tenants, revision: int = 3) -> None:
    """Unbind the tenant of its own environment, and tell that its isolation is taken away."""
    asked = await on.unbind()
    await on.hear(told(revision, isolation={"revision": asked["revision"], "state": "Removed"}))


async def _with_quota(on: Tenants, quota: Quota) -> None:
    surface, fence = MemorySurface(on.cluster), FENCE
    await surface.ensure_boundary(BoundarySpec(ENVIRONMENT, TENANT, quota), fence)


def _outcomes(report: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for each in report["erased"]:
        found.setdefault(each["outcome"], set()).add(each["kind"])
    return found


def test_the_end_of_an_environment_is_reported_once_nothing_is_seen_there() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        await on.enforced()
        await on.hear(told(3, gone=True, status="Decommissioned", remaining=["urn:db"]))
        before = await _refusal(on)
        await _looked(on)
        return before, await _report(on), await _keys(on)

    before, report, keys = run_virtual(main())

    assert "about to be looked at" in before.message
    assert (report["ending"], report["reason"], report["retained"]) == (
        "EnvironmentEnded", None, ["urn:db"],
    )  # fmt: skip
    assert _outcomes(report) == {
        "Removed": {"instances", "namespace", "identity", "quota", "routes", "output"},
        "NeverGiven": {"networkPolicy"},
        "NotLookedAt": {"data", "secrets"},
        "Kept": {"configurations"},
    }
    looked = {each["lookedAt"] for each in report["erased"] if each["outcome"] == "Removed"}
    assert looked == {report["reportedAt"]}
    assert report["unboundAt"] < report["reportedAt"]
    signature = report.pop("signature")
    assert json.loads(verified(signature, keys)) == report


def test_the_report_is_the_same_however_often_it_is_made_or_asked_for() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        await on.enforced()
        await on.hear(told(3, gone=True, status="Decommissioned"))
        await _looked(on)
        first = await _report(on)
        await _looked(on)
        await on.hear(told(4, gone=True, status="Decommissioned"))
        await _looked(on)
        return first, await _report(on)

    first, again = run_virtual(main())

    assert first == again


def test_no_report_is_made_while_something_is_left_and_what_is_named() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        surface = MemorySurface(on.cluster)
        await surface.ensure_site(SiteSpec(ENVIRONMENT, TENANT, "shop", "test"), FENCE)
        await _with_quota(on, Quota(instances=5))
        await on.enforced(quota={"instances": 5})
        await _unbound(on)
        await _looked(on)
        await _looked(on, LOCAL_RULES.look_for * 2)
        refused = await _refusal(on)
        await _with_quota(on, Quota())
        await _looked(on)
        return refused, await _report(on)

    refused, report = run_virtual(main())

    assert ["quota/instances" in each.message for each in refused.details] == [True]
    assert report["ending"] == "OwnerUnbound"
    assert _outcomes(report)["Removed"] == {"quota"}
    assert {"instances", "data", "secrets"} <= _outcomes(report)["Kept"]


def test_a_look_that_gets_no_answer_is_repeated_and_then_reported_as_none() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        await on.enforced()
        on.cluster.unreadable = "the cluster is away"
        await on.hear(told(3, gone=True, status="Decommissioned"))
        await _looked(on)
        refused = await _refusal(on)
        await _looked(on, LOCAL_RULES.look_for)
        return refused, await _report(on)

    refused, report = run_virtual(main())

    assert "the cluster is away" in refused.details[0].message
    assert "Removed" not in _outcomes(report)
    unseen = [each for each in report["erased"] if "the cluster is away" in each["evidence"]]
    assert {each["kind"] for each in unseen} >= {"instances", "namespace", "quota"}
    assert {(each["outcome"], each["lookedAt"]) for each in unseen} == {("NotLookedAt", None)}


def test_a_target_that_no_setting_leads_to_is_never_taken_for_empty() -> None:
    async def main() -> Any:
        on = await tenants()
        await on.enforced()
        await on.hear(told(3, gone=True, status="Decommissioned"))
        await _looked(on, LOCAL_RULES.look_for)
        return await _report(on)

    report = run_virtual(main())

    assert "Removed" not in _outcomes(report)
    assert any("LocalProcess is configured" in each["evidence"] for each in report["erased"])


def test_a_signing_key_that_was_deleted_delays_the_report_and_is_named() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        keys = on.app.signing_keys
        await on.enforced()
        await keys.sign(b"{}", "test")
        await keys.vault.delete(keys.name)
        await on.hear(told(3, gone=True, status="Decommissioned"))
        await _looked(on)
        refused = await _refusal(on)
        await keys.vault.recover(keys.name)
        await _looked(on)
        return refused, await _report(on)

    refused, report = run_virtual(main())

    assert ["it cannot be signed" in each.message for each in refused.details] == [True]
    assert report["signature"]


def test_a_report_outlives_the_next_binding_and_gives_way_to_the_next_report() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        await on.enforced()
        await _unbound(on)
        await _looked(on)
        first = await _report(on)
        await on.bind()
        kept = await _report(on)
        await on.hear(told(5, gone=True, status="Decommissioned"))
        await _looked(on)
        return first, kept, await _report(on)

    first, kept, second = run_virtual(main())

    assert first == kept
    assert (first["ending"], second["ending"]) == ("OwnerUnbound", "EnvironmentEnded")
    assert first["revision"] < second["revision"]


def test_a_tenant_that_is_bound_again_before_the_look_has_no_report() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        await on.enforced()
        await _unbound(on)
        await on.bind()
        await _looked(on)
        return await _refusal(on)

    assert "it is Bound" in run_virtual(main()).message


def test_a_report_is_shown_to_its_tenant_only() -> None:
    async def main() -> Any:
        on = await tenants(reads_boundaries=True)
        await on.enforced()
        await _unbound(on)
        await _looked(on)
        with pytest.raises(Exception, match="no tenant binding"):
            await _report(on, tenant=GLOBEX)

    run_virtual(main())


def test_a_former_key_verifies_what_it_signed_and_a_foreign_one_nothing() -> None:
    async def main() -> Any:
        on, other = await tenants(), await tenants()
        keys = on.app.signing_keys
        signed = await keys.sign(b'{"a":1}', "test")
        first = await _keys(on)
        foreign = await other.app.signing_keys.sign(b"{}", "test")
        (made,) = await other.app.signing_keys.vault.versions(keys.name)
        secret = await other.app.signing_keys.vault.get(keys.name, made.version)
        await on.bench.service.clock.sleep(2)
        await keys.vault.set(keys.name, secret.value)
        later = await keys.sign(b"{}", "test")
        return signed, later, foreign, first, await _keys(on)

    signed, later, foreign, first, both = run_virtual(main())

    assert len(first["keys"]) == 1
    assert len(both["keys"]) == 2
    assert all("d" not in each for each in both["keys"])
    assert verified(signed, both) == verified(signed, first) == b'{"a":1}'
    assert verified(later, both) == b"{}"
    for text, keys in ((foreign, first), (later, first), (f"{signed}x", both), ("no", both)):
        with pytest.raises(SignatureInvalid):
            verified(text, keys)
    head, _, tail = signed.split(".")
    with pytest.raises(SignatureInvalid, match="has not signed"):
        verified(f"{head}.e30.{tail}", both)


def test_a_version_that_is_no_key_signs_nothing_and_hides_no_other() -> None:
    async def main() -> Any:
        on = await tenants()
        keys = on.app.signing_keys
        await keys.sign(b"{}", "test")
        (secret,) = await keys.vault.versions(keys.name)
        good = await keys.vault.get(keys.name, secret.version)
        await on.bench.service.clock.sleep(2)
        await keys.vault.set(keys.name, type(good.value)("a password"))
        signed = await keys.sign(b"{}", "test")
        return verified(signed, await _keys(on))

    assert run_virtual(main()) == b"{}"


ABLE = (Feature.NAMESPACES, Feature.NETWORK_POLICY, Feature.QUOTAS)
AKS = ComputeTarget(kind=ComputeTargetKind.AKS, capabilities=ABLE)
LOCAL = ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS, capabilities=())
COUNTS = ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS, capabilities=(Feature.QUOTAS,))
NOTHING = Inventory(())
GUEST = Ending.GUEST_LEFT


def _component(tenant: str, module: str) -> LiveComponent:
    return LiveComponent(SurfaceComponent(ENVIRONMENT, TenantId(tenant), module), (), {}, None)  # type: ignore[arg-type]


def _is_gone(*looks: TargetReading, ending: Ending = GUEST) -> set[bool | None]:
    return {each.is_gone for each in leftovers(TENANT, ending, looks)}


def test_components_of_other_tenants_are_none_of_the_guests_and_are_not_named() -> None:
    inventory = Inventory((_component("globex", "module-theirs"),))

    found = leftovers(TENANT, GUEST, [TargetReading(LOCAL, Present(inventory), None)])

    assert {each.is_gone for each in found} == {True}
    assert not any("module-theirs" in each.evidence for each in found)


@pytest.mark.parametrize(
    "inventory",
    [
        pytest.param(Unknown("it is away"), id="no-answer"),
        pytest.param(Present(Inventory((), (Unread("part"),))), id="half-an-answer"),
    ],
)
def test_what_was_not_read_whole_is_not_gone(inventory: Any) -> None:
    assert _is_gone(TargetReading(LOCAL, inventory, None)) == {None}


@pytest.mark.parametrize(
    ("look", "ending"),
    [
        pytest.param(
            TargetReading(LOCAL, Present(Inventory((_component(TENANT, "module-web"),))), None),
            GUEST,
            id="a-component",
        ),
        pytest.param(
            TargetReading(AKS, Absent(), Present(Boundary(ENVIRONMENT, TENANT, "acme-shop", True))),
            GUEST,
            id="a-namespace",
        ),
        pytest.param(
            TargetReading(
                AKS,
                Absent(),
                Present(Boundary(ENVIRONMENT, TENANT, "acme", True, properties={"quota/cpu": "2"})),
            ),
            Ending.OWNER_UNBOUND,
            id="a-quota",
        ),
        pytest.param(
            TargetReading(COUNTS, Absent(), Present(Boundary(ENVIRONMENT, TENANT, "acme", True))),
            GUEST,
            id="a-quota-of-a-guest-on-a-machine",
        ),
    ],
)
def test_what_is_still_there_is_said_to_be(look: TargetReading, ending: Ending) -> None:
    assert False in _is_gone(look, ending=ending)


def test_of_a_boundary_that_is_still_there_the_report_says_that_it_is_one() -> None:
    for target in (AKS, COUNTS):
        boundary = Present(Boundary(ENVIRONMENT, TENANT, "acme-shop", True))
        look = TargetReading(target, Absent(), boundary)

        told = [each.evidence for each in leftovers(TENANT, GUEST, [look])]

        assert "its boundary acme-shop is still there" in told


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize(
    "on_a_machine",
    [TargetReading(LOCAL, Absent(), None), TargetReading(COUNTS, Absent(), Absent())],
    ids=["without-quotas", "with-quotas"],
)
def test_each_kind_of_thing_is_in_each_report_for_each_target(
    ending: Ending, on_a_machine: TargetReading
) -> None:
    looks = [TargetReading(AKS, Absent(), Absent()), on_a_machine]

    things = erased(ending, looks, leftovers(TENANT, ending, looks), isoformat(EPOCH))

    everywhere = {each.kind for each in things if each.target is None}
    for look in looks:
        there = {each.kind for each in things if each.target is look.target.kind}
        assert len(there | everywhere) == 10
    listed = [(each.kind, each.target) for each in things]
    assert len(listed) == len(set(listed))


def test_a_guest_was_never_given_data_and_its_output_is_kept_for_days_on_a_machine() -> None:
    looks = [TargetReading(COUNTS, Absent(), Absent())]

    things = erased(GUEST, looks, leftovers(TENANT, GUEST, looks), isoformat(EPOCH))

    by_kind = {each.kind: each for each in things}
    assert by_kind["data"].outcome == "NeverGiven"  # type: ignore[index]
    assert "7 days" in by_kind["output"].evidence  # type: ignore[index]
    assert by_kind["quota"].outcome == "Removed"  # type: ignore[index]
    assert by_kind["namespace"].outcome == "NeverGiven"  # type: ignore[index]
    assert OUTPUT_KEPT.days == OUTPUT_KEPT_DAYS


def test_every_type_that_is_stored_is_in_the_report_with_its_span() -> None:
    named = {f"{each.service}_{kind}": each.kept for each in DOCUMENTS for kind in each.kinds}

    assert len(named) == sum(len(each.kinds) for each in DOCUMENTS)
    assert set(named) == set(codecs())
    by_timer = {"catalog_service", "catalog_history", "deployments_deployment"}
    for name in set(named) - by_timer:
        assert named[name] is codecs()[name].kept, name
    assert named["catalog_service"] is named["catalog_history"] is Kept.RETIRED


def test_what_is_kept_is_kept_for_as_long_as_the_settings_say() -> None:
    records = kept_records(Retention(ended=timedelta(days=400)))

    days = {record.kinds[0]: record.days for record in records}
    assert (days["operation"], days["audit"], days["target"]) == (400, None, 90)
