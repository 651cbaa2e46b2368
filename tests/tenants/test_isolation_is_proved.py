"""What isolates a tenant is looked at again and again; what somebody opened holds deployments."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from function_apps.tenants.model.binding import TenantBinding
from function_apps.tenants.model.proofs import (
    FullQuota,
    Look,
    ProofResult,
    TargetAttempts,
    full_quotas,
    judge,
    proof_results,
    without_alerts,
)
from function_apps.tenants.ports import TenantsApp
from function_apps.tenants.use_cases.live_boundary import isolation_attempts
from shared.contracts.environments import ComputeTarget
from shared.contracts.isolation import IsolationLayer, Quota
from shared.contracts.tenants import ProofVerdict
from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.boundaries import Boundary
from shared.surfaces.boundaries import Quota as LiveQuota
from shared.surfaces.capabilities import Feature
from shared.surfaces.isolation_attempts import TRIED, LayerAttempts
from tests.kit.releases import a_component, deploy, ended, provisioned, uploaded
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT
from tests.kit.virtual_time import EPOCH, run_virtual
from tests.kit.world import World
from tests.tenants.test_bound_tenants_in_the_whole_world import ROOT, bound

ABLE = (Feature.NAMESPACES, Feature.NETWORK_POLICY, Feature.QUOTAS)
QUOTA = Quota(instances=5)
_TRIED = "LocalProcess was tried from inside"
ATTEMPTED: Final = tuple(
    each
    for each in TRIED[ComputeTargetKind.LOCAL_PROCESS]
    if each is not IsolationLayer.QUOTA  # none of these tenants has one of memory
)


def _look(reading: Any, able: tuple[str, ...] = ABLE) -> Look:
    return ComputeTarget(kind=ComputeTargetKind.AKS, capabilities=able), reading


def _live(*, is_ready: bool = True, instances: str = "5") -> Present[Boundary]:
    properties = {"quota/instances": instances}
    return Present(Boundary(ENVIRONMENT, TENANT, "acme-shop", is_ready, properties=properties))


def _verdicts(*looks: Any) -> dict[str, ProofVerdict]:
    """Return the verdict of each layer after these looks, one after the other."""
    proofs: Any = ()
    for reading in looks:
        proofs, _ = judge(proofs, proof_results([_look(reading)], QUOTA), EPOCH)
    return {proof.layer: proof.verdict for proof in proofs}


def test_a_boundary_that_is_as_it_was_made_passes_in_each_layer() -> None:
    assert _verdicts(_live()) == {
        IsolationLayer.COMPUTE: ProofVerdict.PASS,
        IsolationLayer.NETWORK: ProofVerdict.PASS,
        IsolationLayer.QUOTA: ProofVerdict.PASS,
    }


@pytest.mark.parametrize(
    ("opened", "layer"),
    [
        pytest.param(_live(is_ready=False), IsolationLayer.NETWORK, id="a-policy-that-is-opened"),
        pytest.param(_live(instances="500"), IsolationLayer.QUOTA, id="a-quota-that-is-raised"),
        pytest.param(Absent(), IsolationLayer.COMPUTE, id="a-namespace-that-is-gone"),
    ],
)
def test_what_is_open_in_two_looks_is_a_breach_and_what_is_closed_again_is_none(
    opened: Any, layer: IsolationLayer
) -> None:
    assert _verdicts(_live(), opened)[layer] is ProofVerdict.INDETERMINATE
    assert _verdicts(_live(), opened, opened)[layer] is ProofVerdict.BREACH
    assert _verdicts(_live(), opened, opened, _live())[layer] is ProofVerdict.PASS


@pytest.mark.parametrize(
    ("used", "full"),
    [
        (LiveQuota(cpu=1.0, memory_mb=511, instances=2), ()),
        (LiveQuota(cpu=1.0, memory_mb=512, instances=2), ("memoryMib",)),
        (LiveQuota(cpu=9.0, memory_mb=600, instances=3), ("instances", "memoryMib")),
    ],
)
def test_a_quota_is_full_where_a_surface_has_nothing_of_it_left(
    used: LiveQuota, full: tuple[str, ...]
) -> None:
    quota = Quota(memory_mib=512, instances=3)

    shown = full_quotas([_used(used)], quota, ())

    assert [set(each.measures) for each in shown] == ([set(full)] if full else [])


def _used(used: LiveQuota) -> Look:
    return _look(Present(Boundary(ENVIRONMENT, TENANT, "acme", True, used=used)))


def test_what_was_full_on_a_surface_stays_so_until_that_surface_answers() -> None:
    was = [FullQuota(ComputeTargetKind.AKS, ("instances",))]

    assert full_quotas([_look(Unknown("it is away"))], QUOTA, was) == tuple(was)
    assert full_quotas([_used(LiveQuota(instances=1))], QUOTA, was) == ()
    assert full_quotas([_look(Absent())], QUOTA, was) == ()


def test_a_surface_that_never_answers_hides_nothing_of_another_one() -> None:
    here = ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS, capabilities=ABLE)
    away = _look(Unknown("no AKS is configured"))

    def seen(instances: int, was: tuple[FullQuota, ...]) -> tuple[FullQuota, ...]:
        _, look = _used(LiveQuota(instances=instances))
        return full_quotas([(here, look), away], QUOTA, was)

    full = (FullQuota(ComputeTargetKind.LOCAL_PROCESS, ("instances",)),)
    assert seen(5, ()) == full
    assert seen(4, full) == ()


def test_a_look_without_an_answer_between_two_that_are_open_hides_no_breach() -> None:
    away = Unknown("it is away")

    verdicts = _verdicts(_live(is_ready=False), away, _live(is_ready=False))

    assert verdicts[IsolationLayer.NETWORK] is ProofVerdict.BREACH


def test_without_an_answer_a_proof_could_not_have_failed() -> None:
    found = proof_results([_look(Unknown("it is away"))], QUOTA)

    proofs, _ = judge((), found, EPOCH)

    assert {proof.verdict for proof in proofs} == {ProofVerdict.INDETERMINATE}
    assert not any(proof.positive_control for proof in proofs)


def test_only_another_verdict_is_news_and_each_has_the_next_number() -> None:
    proofs, first = judge((), proof_results([_look(_live())], QUOTA), EPOCH)
    proofs, again = judge(proofs, proof_results([_look(_live())], QUOTA), EPOCH)
    proofs, last = judge(proofs, proof_results([_look(_live(instances="9"))], QUOTA), EPOCH)

    assert [proof.revision for proof in first] == [1, 1, 1]
    assert again == ()
    assert [(proof.layer, proof.revision) for proof in last] == [(IsolationLayer.QUOTA, 2)]


def test_a_layer_that_the_surface_does_not_isolate_is_not_proved() -> None:
    found = proof_results([_look(_live(), able=(Feature.NAMESPACES,))], QUOTA)

    assert [finding.layer for finding in found] == [IsolationLayer.COMPUTE]


def _attempts(reading: Any) -> list[TargetAttempts]:
    return [(ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS), reading)]


def _after(*readings: Any) -> dict[str, ProofVerdict]:
    """Return the verdict of each layer after these attempts, one after the other."""
    proofs: Any = ()
    for reading in readings:
        proofs, _ = judge(proofs, proof_results([], Quota(), _attempts(reading)), EPOCH)
    return {proof.layer: proof.verdict for proof in proofs}


CLOSED: Final = Present((LayerAttempts(IsolationLayer.DATA),))
OPEN: Final = Present((LayerAttempts(IsolationLayer.DATA, reached=("/other can be read",)),))
MUTE: Final = Present((LayerAttempts(IsolationLayer.DATA, "its own file cannot be read"),))


@pytest.mark.parametrize(
    ("readings", "verdict"),
    [
        pytest.param([CLOSED], ProofVerdict.PASS, id="nothing-of-others-was-reached"),
        pytest.param([MUTE], ProofVerdict.INDETERMINATE, id="its-own-was-not-reached-either"),
        pytest.param([CLOSED, MUTE], ProofVerdict.INDETERMINATE, id="any-more"),
        pytest.param([CLOSED, OPEN], ProofVerdict.INDETERMINATE, id="reached-once"),
        pytest.param([OPEN, MUTE, OPEN], ProofVerdict.BREACH, id="twice-with-nothing-in-between"),
        pytest.param([OPEN, CLOSED, OPEN], ProofVerdict.INDETERMINATE, id="closed-in-between"),
        pytest.param([CLOSED, OPEN, OPEN], ProofVerdict.BREACH, id="twice"),
        pytest.param([OPEN, OPEN, CLOSED], ProofVerdict.PASS, id="and-closed-again"),
    ],
)
def test_what_was_reached_from_inside_twice_is_a_breach(
    readings: list[Any], verdict: ProofVerdict
) -> None:
    assert _after(*readings)[IsolationLayer.DATA] is verdict


def test_where_nothing_answers_no_layer_passes_that_is_tried_from_inside() -> None:
    assert _after(Unknown("it is away")) == dict.fromkeys(ATTEMPTED, ProofVerdict.INDETERMINATE)
    assert _after(Absent()) == dict.fromkeys(ATTEMPTED, ProofVerdict.INDETERMINATE)


def test_what_is_tried_on_a_cluster_passes_by_a_look_alone_no_more() -> None:
    able = (*ABLE, Feature.ISOLATION_ATTEMPTS)
    target, look = _look(_live(), able)

    def verdict(reading: Any) -> dict[str, ProofVerdict]:
        proofs, _ = judge((), proof_results([(target, look)], QUOTA, [(target, reading)]), EPOCH)
        return {proof.layer: proof.verdict for proof in proofs}

    kept = Present(tuple(LayerAttempts(each) for each in TRIED[ComputeTargetKind.AKS]))
    by_look = {IsolationLayer.QUOTA}  # of instances
    tried = {IsolationLayer.COMPUTE, IsolationLayer.NETWORK, IsolationLayer.IDENTITY}
    assert verdict(kept) == dict.fromkeys(by_look | tried, ProofVerdict.PASS)
    assert verdict(Unknown("it is away")) == {
        **dict.fromkeys(by_look, ProofVerdict.PASS),
        **dict.fromkeys(tried, ProofVerdict.INDETERMINATE),
    }


@pytest.mark.parametrize("tries", [True, False])
def test_evidence_says_where_a_network_was_read_only(*, tries: bool) -> None:
    able = (Feature.NETWORK_POLICY, *([Feature.ISOLATION_ATTEMPTS] if tries else []))

    (found,) = proof_results([_look(_live(), able)], Quota())

    (evidence,) = found.evidence
    assert evidence.startswith("acme-shop is closed")
    assert ("read only" in evidence) is not tries


def test_an_attempt_that_leaves_a_layer_out_shows_nothing_of_it() -> None:
    opened = Present(tuple(LayerAttempts(each, reached=("it is open",)) for each in ATTEMPTED))

    after = _after(opened, opened, CLOSED)

    assert after == {
        layer: ProofVerdict.PASS if layer is IsolationLayer.DATA else ProofVerdict.INDETERMINATE
        for layer in ATTEMPTED
    }


@pytest.mark.parametrize(
    "silent", [pytest.param(Unknown("it is away"), id="no-answer"), Absent(), CLOSED]
)
def test_a_quota_that_is_open_inside_stays_alarmed_until_an_attempt_finds_it_closed(
    silent: Any,
) -> None:
    quota = Quota(memory_mib=512)
    target = ComputeTarget(kind=ComputeTargetKind.LOCAL_PROCESS, capabilities=(Feature.QUOTAS,))
    bound = Boundary(ENVIRONMENT, TENANT, "acme", True, properties={"quota/memoryMib": "512"})
    opened, closed = (
        Present((LayerAttempts(IsolationLayer.QUOTA, reached=each),))
        for each in (("it takes more",), ())
    )
    proofs: Any = ()
    shown = []
    for reading in (opened, opened, silent, closed):
        found = proof_results([(target, Present(bound))], quota, [(target, reading)])
        proofs, _ = judge(proofs, found, EPOCH)
        (proof,) = (each for each in proofs if each.layer is IsolationLayer.QUOTA)
        shown.append((proof.verdict, proof.raised_at is not None))

    assert shown == [
        (ProofVerdict.INDETERMINATE, False),
        (ProofVerdict.BREACH, True),
        (ProofVerdict.INDETERMINATE, True),
        (ProofVerdict.PASS, False),
    ]


def test_a_layer_that_is_closed_by_its_look_and_open_from_inside_is_open() -> None:
    inside = _attempts(
        Present((LayerAttempts(IsolationLayer.QUOTA, reached=("it can take more",)),))
    )

    found, *_ = proof_results([_look(_live(), able=(Feature.QUOTAS,))], QUOTA, inside)

    assert found.layer is IsolationLayer.QUOTA
    assert found.is_kept is False
    assert found.evidence == (
        "acme-shop has the quota of the binding",
        f"{_TRIED}: it can take more",
    )


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        pytest.param(
            Present((LayerAttempts(IsolationLayer.DATA),)),
            f"{_TRIED}: it reached nothing of others",
            id="nothing-was-reached",
        ),
        pytest.param(
            Present((LayerAttempts(IsolationLayer.DATA, "its own file cannot be read"),)),
            "LocalProcess could not be tried from inside: its own file cannot be read",
            id="it-could-not-try",
        ),
        pytest.param(
            Present(()),
            "LocalProcess was to try it from inside, and said nothing of it",
            id="the-layer-was-left-out",
        ),
        pytest.param(
            Unknown("it is away"),
            "LocalProcess was to try it from inside, and did not answer: it is away",
            id="no-answer",
        ),
    ],
)
def test_evidence_is_a_sentence_of_what_was_tried_and_what_came(
    reading: Reading[tuple[LayerAttempts, ...]], said: str
) -> None:
    found = proof_results([], QUOTA, _attempts(reading))

    assert {each.layer: each.evidence for each in found}[IsolationLayer.DATA] == (said,)


@pytest.mark.parametrize(
    ("kind", "quota", "is_tried"),
    [
        pytest.param(ComputeTargetKind.AKS, Quota(cpu=1), True, id="cores-of-a-cluster"),
        pytest.param(ComputeTargetKind.AKS, Quota(memory_mib=64), True, id="memory-of-a-cluster"),
        pytest.param(ComputeTargetKind.AKS, Quota(instances=3), False, id="instances"),
        pytest.param(ComputeTargetKind.LOCAL_PROCESS, Quota(cpu=1), False, id="cores-of-a-machine"),
    ],
)
def test_a_quota_that_one_instance_can_exceed_is_to_be_tried(
    kind: ComputeTargetKind, quota: Quota, *, is_tried: bool
) -> None:
    target = ComputeTarget(kind=kind, capabilities=(Feature.QUOTAS,))

    def found(*attempts: LayerAttempts) -> dict[IsolationLayer, ProofResult]:
        results = proof_results([], quota, [(target, Present(attempts))])
        return {each.layer: each for each in results}

    assert (IsolationLayer.QUOTA in found()) is is_tried
    kept = found(LayerAttempts(IsolationLayer.QUOTA))[IsolationLayer.QUOTA]
    way = "in dry runs" if kind is ComputeTargetKind.AKS else "from inside"
    assert kept.evidence == (f"{kind} was tried {way}: it got no more than its quota",)


OF_NETWORK: Final = Present((LayerAttempts(IsolationLayer.NETWORK),))


class Reader:
    """Of a surface that tries quotas, too; it keeps which one it was asked to exceed."""

    def __init__(
        self,
        of_quota: Reading[tuple[LayerAttempts, ...]],
        of_others: Reading[tuple[LayerAttempts, ...]] = OF_NETWORK,
    ) -> None:
        self.of_quota = of_quota
        self.of_others = of_others
        self.asked: list[LiveQuota] = []

    async def attempt_isolation(self, *_: Any) -> Reading[tuple[LayerAttempts, ...]]:
        return self.of_others

    async def attempt_quota(
        self, _environment: Any, _tenant: Any, quota: LiveQuota
    ) -> Reading[tuple[LayerAttempts, ...]]:
        self.asked.append(quota)
        return self.of_quota


def _tried(reader: Reader, quota: Quota) -> Reading[tuple[LayerAttempts, ...]]:
    target = ComputeTarget(
        kind=ComputeTargetKind.AKS, capabilities=(Feature.QUOTAS, Feature.ISOLATION_ATTEMPTS)
    )
    binding = SimpleNamespace(
        environment_id=ENVIRONMENT, tenant_id=TENANT, compute_targets=(target,), quota=quota
    )
    app = SimpleNamespace(attempts={ComputeTargetKind.AKS: reader})
    tried = isolation_attempts(cast("TenantBinding", binding), cast("TenantsApp", app))
    ((_, reading),) = run_virtual(tried)
    return reading


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (Present((LayerAttempts(IsolationLayer.QUOTA),)), LayerAttempts(IsolationLayer.QUOTA)),
        (Unknown("it is away"), LayerAttempts(IsolationLayer.QUOTA, "it is away")),
    ],
)
def test_the_quota_that_is_tried_is_that_of_the_binding(
    answer: Reading[tuple[LayerAttempts, ...]], shown: LayerAttempts
) -> None:
    reader = Reader(answer)

    reading = _tried(reader, Quota(cpu=2, memory_mib=512, instances=3))

    assert reading == Present((LayerAttempts(IsolationLayer.NETWORK), shown))
    assert reader.asked == [LiveQuota(cpu=2, memory_mb=512, instances=3)]


def test_more_than_a_quota_is_told_where_nothing_else_could_be_tried() -> None:
    had = LayerAttempts(IsolationLayer.QUOTA, reached=("it takes more",))

    reading = _tried(Reader(Present((had,)), Unknown("it is away")), Quota(cpu=2))

    others = [each for each in TRIED[ComputeTargetKind.AKS] if each is not IsolationLayer.QUOTA]
    assert reading == Present((*(LayerAttempts(each, "it is away") for each in others), had))


def test_a_quota_that_one_instance_cannot_exceed_is_not_asked_about() -> None:
    reader = Reader(Unknown("it is away"))

    assert _tried(reader, Quota(instances=3)) == Present((LayerAttempts(IsolationLayer.NETWORK),))
    assert reader.asked == []


def test_what_is_reached_from_inside_holds_deployments_until_it_is_not() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        world.surface.reached = {}
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment)
        path = f"{ROOT}/{binding['bindingId']}/proofs"

        async def data_is(verdict: str) -> bool:
            _, shown = await world.call("GET", path)
            return ("data", verdict) in {
                (each["layer"], each["verdict"]) for each in shown["value"]
            }

        await world.until(lambda: data_is("Pass"), within_s=300, every_s=10)
        world.surface.reached = {IsolationLayer.DATA: ("another's folder can be read",)}
        await world.until(lambda: data_is("Breach"), within_s=300, every_s=10)
        digest = await uploaded(world, "1")
        body = {
            "environmentId": environment,
            "releaseRef": "v1",
            "components": [a_component(digest, "1")],
        }
        refused = await world.call("POST", "/runtime/deployments", body)
        world.surface.reached = {}
        await world.until(lambda: data_is("Pass"), within_s=300, every_s=10)
        deployment = await ended(world, await deploy(world, environment, "1"))
        await world.stop()
        return refused, deployment

    (status, refused), deployment = run_virtual(main())

    assert (status, refused["error"]["code"]) == (409, "IsolationBreached")
    assert deployment["status"] == "Completed"


def test_of_a_surface_that_keeps_a_quota_only_nothing_else_is_proved() -> None:
    def found(reading: Any) -> dict[str, bool | None]:
        looks = [_look(reading, able=(Feature.QUOTAS, Feature.OWN_PROCESSES))]
        return {each.layer: each.is_kept for each in proof_results(looks, QUOTA)}

    assert found(_live()) == {IsolationLayer.QUOTA: True}
    assert found(Absent()) == {IsolationLayer.QUOTA: False}
    assert proof_results([_look(Absent(), able=(Feature.QUOTAS,))], Quota()) == []


def test_a_quota_that_somebody_raised_holds_deployments_until_it_is_put_back() -> None:
    async def main() -> Any:
        world = World(requests_per_s=30)
        await world.boot()
        environment = await provisioned(world)
        binding = await bound(world, environment, quota={"instances": 20})
        path = f"{ROOT}/{binding['bindingId']}/proofs"

        async def quota_is(verdict: str) -> bool:
            _, shown = await world.call("GET", path)
            return {"quota": verdict}.items() <= {
                each["layer"]: each["verdict"] for each in shown["value"]
            }.items()

        await world.until(lambda: quota_is("Pass"), within_s=300, every_s=10)
        site = next(iter(world.surface.sites.values()))
        boundary = site.boundaries[TenantId(TENANT)]
        made = boundary.spec
        assert made is not None
        boundary.spec = replace(made, quota=LiveQuota(instances=1000))
        await world.until(lambda: quota_is("Breach"), within_s=300, every_s=10)
        digest = await uploaded(world, "1")
        body = {
            "environmentId": environment,
            "releaseRef": "v1",
            "components": [a_component(digest, "1")],
        }
        refused = await world.call("POST", "/runtime/deployments", body)
        boundary.spec = made
        await world.until(lambda: quota_is("Pass"), within_s=300, every_s=10)
        deployment = await ended(world, await deploy(world, environment, "1"))
        await world.stop()
        return refused, deployment

    (status, refused), deployment = run_virtual(main())

    assert (status, refused["error"]["code"]) == (409, "IsolationBreached")
    assert deployment["status"] == "Completed"


def test_the_evidence_says_how_a_boundary_was_found() -> None:
    able = (*ABLE, Feature.ISOLATION_ATTEMPTS)
    closed, opened = (
        {
            each.layer: each.evidence
            for each in proof_results([_look(_live(is_ready=ready), able)], QUOTA)
        }
        for ready in (True, False)
    )

    assert closed[IsolationLayer.NETWORK] == ("acme-shop is closed",)
    assert opened[IsolationLayer.NETWORK] == ("acme-shop was opened, or a part of it is missing",)


def test_proofs_of_a_binding_that_ended_alarm_nobody() -> None:
    proofs: Any = ()
    for _ in range(2):
        proofs, _news = judge(proofs, proof_results([_look(_live(is_ready=False))], QUOTA), EPOCH)
    ended = {each.layer: each for each in without_alerts(proofs, EPOCH)}
    breached = next(each for each in proofs if each.layer is IsolationLayer.NETWORK)

    assert breached.raised_at
    quiet = ended[IsolationLayer.NETWORK]
    assert (quiet.verdict, quiet.positive_control) == (ProofVerdict.INDETERMINATE, False)
    assert (quiet.opened, quiet.raised_at) == (0, None)
    assert quiet.revision == breached.revision + 1
    others = [each for each in proofs if each is not breached]
    assert [ended[each.layer] for each in others] == others
