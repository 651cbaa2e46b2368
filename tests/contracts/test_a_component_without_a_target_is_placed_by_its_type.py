import pytest

from shared.contracts.placement import default_placement
from shared.contracts.values import ComponentType, ComputeTargetKind

ALL_OF_AZURE = tuple(kind for kind in ComputeTargetKind if kind != "LocalProcess")


@pytest.mark.parametrize(
    ("component_type", "first", "without_first"),
    [
        ("gateway", "AKS", "ContainerApps"),
        ("microservice", "AKS", None),
        ("worker", "ContainerApps", "Functions"),
        ("admin-portal", "AppService", None),
        ("customer-portal", "AppService", None),
        ("mobile-backend", "AKS", "ContainerApps"),
    ],
)
def test_the_first_preference_that_is_offered_is_taken(
    component_type: str, first: str, without_first: str | None
) -> None:
    rest = [kind for kind in ALL_OF_AZURE if kind != first]

    assert default_placement(ComponentType(component_type), ALL_OF_AZURE) == first
    assert default_placement(ComponentType(component_type), rest) == without_first


@pytest.mark.parametrize("component_type", list(ComponentType))
def test_an_environment_with_only_local_processes_takes_everything(
    component_type: ComponentType,
) -> None:
    local = ComputeTargetKind.LOCAL_PROCESS

    assert default_placement(component_type, [local]) is local
    assert default_placement(component_type, [local], scheduled=True) is local


@pytest.mark.parametrize("component_type", list(ComponentType))
def test_an_archive_is_placed_on_this_machine_wherever_that_is_offered(
    component_type: ComponentType,
) -> None:
    both = [ComputeTargetKind.AKS, ComputeTargetKind.LOCAL_PROCESS]

    assert default_placement(component_type, both, is_archive=True) is both[1]
    assert default_placement(ComponentType.MICROSERVICE, both) is both[0]
    assert default_placement(ComponentType.MICROSERVICE, both[:1], is_archive=True) is both[0]


def test_a_scheduled_job_goes_to_functions_whatever_its_type() -> None:
    placed = default_placement(ComponentType.MICROSERVICE, ALL_OF_AZURE, scheduled=True)

    assert placed is ComputeTargetKind.FUNCTIONS
