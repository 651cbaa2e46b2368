"""A secret is named with its version and its place; who cannot give it refuses it by name."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

import pytest

from shared.kernel.errors import Invalid
from shared.kernel.observation import Absent
from shared.surfaces.capabilities import Feature
from shared.surfaces.configuration import configuration
from shared.surfaces.properties import Plane, differences, revision_properties
from shared.surfaces.secret_references import SecretReference
from shared.surfaces.surface_plan import SurfacePlan, check
from tests.surfaces.conftest import DECLARED
from tests.surfaces.harness import SHOP, TEMPLATE, SurfaceHarness, fence

RunScenario = Callable[[Callable[[SurfaceHarness], Coroutine[Any, Any, None]]], None]
VAULT: Final = "https://kv-shop.vault.azure.net"
FILE: Final = SecretReference("database", "v3", VAULT, file="db-password")
TOLD: Final = {"configurationHash": "c0ffee", "secret.database": "v3"}


@pytest.mark.shows(on="memory")
def test_a_surface_without_a_vault_takes_no_reference(run_scenario: RunScenario) -> None:
    async def scenario(harness: SurfaceHarness) -> None:
        spec = harness.worker(1, secrets=(FILE,), unit=TOLD)

        with pytest.raises(Invalid, match="no vault"):
            await harness.surface.apply(spec, fence(1))

        assert isinstance(await harness.surface.observe(SHOP), Absent)

    run_scenario(scenario)


def test_a_plan_with_a_reference_is_refused_where_nothing_resolves_it() -> None:
    spec = replace(TEMPLATE, secrets=(FILE,), unit=TOLD)
    bare = replace(spec, configuration=None, readiness=None, release=None)

    (refusal,) = check(SurfacePlan({0: bare}), DECLARED["memory"])

    assert (refusal.code, refusal.target) == ("NotSupported", "/components/0/secrets/0")
    assert Feature.SECRET_REFERENCES in refusal.message
    assert "it has no vault" in refusal.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"name": "1st"}, "name of a secret", id="a-name-of-no-secret"),
        pytest.param({"version": ""}, "version of a secret", id="no-version"),
        pytest.param({"vault": "kv-shop"}, "URL of a vault", id="no-url"),
        pytest.param({"file": "../passwd"}, "file of a secret", id="a-path"),
        pytest.param({"file": ".hidden"}, "file of a secret", id="a-hidden-file"),
        pytest.param({"file": None}, "say which", id="nowhere"),
        pytest.param({"variable": "A"}, "say which", id="twice"),
        pytest.param({"file": None, "variable": "HOME"}, "platform's own", id="a-variable-of-ours"),
    ],
)
def test_what_no_vault_has_and_no_instance_takes_cannot_be_named(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(Invalid, match=words):
        replace(FILE, **changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"unit": {}}, "versions of its unit", id="another-version-than-the-unit"),
        pytest.param({"environ": {"DB": "x"}}, "secrets.*got 'DB'", id="a-variable-of-the-release"),
        pytest.param(
            {"configuration": configuration("c0ffee", variables={"DB": "x"})},
            "secrets.*got 'DB'",
            id="a-variable-of-the-configuration",
        ),
        pytest.param(
            {"secrets": (FILE, replace(FILE, file=None, variable="DB"), replace(FILE, file="DB"))},
            "'DB'",
            id="one-place-for-two",
        ),
    ],
)
def test_a_place_has_one_value_in_the_version_of_the_unit(
    changes: dict[str, Any], words: str
) -> None:
    secrets = (FILE, replace(FILE, file=None, variable="DB"))

    with pytest.raises(Invalid, match=words):
        replace(TEMPLATE, **{"secrets": secrets, "unit": TOLD, **changes})


def test_where_a_secret_comes_from_is_a_property() -> None:
    one = replace(TEMPLATE, secrets=(FILE,), unit=TOLD)
    two = replace(one, secrets=(replace(FILE, vault="https://other.vault.azure.net"),))

    (changed,) = differences(revision_properties(one, weight=0), revision_properties(two, weight=0))

    assert (changed.plane, changed.path) == (Plane.SECRETS, "files/db-password")
    assert changed.desired == f"database v3 of {VAULT}"
