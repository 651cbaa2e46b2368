"""The table of surfaces is what their adapters say, and they say it of every place alike."""

from local_agent import capabilities as local_process
from shared.surfaces.aks import capabilities as aks
from shared.surfaces.aks.cluster_offers import ClusterOffers
from shared.surfaces.aks.traffic_layer import TrafficLayer
from tools.surface_reference import PAGE, SURFACES, rewritten


def test_the_page_is_what_its_tool_writes() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == rewritten(page), "run: python -m tools.surface_reference"


def test_no_feature_is_both_never_there_and_there_at_times() -> None:
    assert [each.name for each in SURFACES if each.never.keys() & each.needs.keys()] == []


def test_a_machine_lacks_what_no_machine_has_and_only_what_depends_on_it() -> None:
    lacks = local_process.capabilities().lacks

    assert {feature: lacks[feature] for feature in local_process.NEVER} == local_process.NEVER
    assert lacks.keys() - local_process.NEVER.keys() <= local_process.BY_MACHINE.keys()


def test_a_cluster_lacks_what_no_cluster_has_and_what_it_does_not_offer() -> None:
    nothing = ClusterOffers(
        has_measures=False, has_events=False, lacks_secrets="no driver is there"
    )
    everything = ClusterOffers(has_measures=True, has_events=True, lacks_secrets="")

    bare = aks.capabilities(
        TrafficLayer(None, "it has no gateway"), nothing, counts=False, tries=False
    )
    full = aks.capabilities(TrafficLayer("gateway"), everything, counts=True, tries=True)

    assert bare.lacks.keys() == aks.NEVER.keys() | aks.BY_CLUSTER.keys()
    assert full.lacks == aks.NEVER
