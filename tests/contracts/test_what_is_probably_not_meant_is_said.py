"""What a release may say and probably does not mean is a warning, not a refusal."""

from typing import Any

from shared.contracts.deployments import Deploy


def deploy(*components: dict[str, Any], remove: tuple[str, ...] = ()) -> Deploy:
    return Deploy.model_validate(
        {
            "environmentId": "env-" + "a" * 12,
            "releaseRef": "v1",
            "components": [
                {
                    "moduleId": "module-web",
                    "componentType": "gateway",
                    "version": "1.0",
                    "artifactDigest": "sha256:" + "1" * 64,
                    "port": 8080,
                    **each,
                }
                for each in components
            ],
            "remove": remove,
        }
    )


def test_a_dependency_outside_of_the_release_orders_nothing() -> None:
    warned = deploy({"dependsOn": ["module-migrat"]}, {"moduleId": "module-migrate"}).warnings

    assert warned == (
        "module-web: module-migrat in dependsOn is not in this release: it orders nothing here",
    )


def test_a_dependency_of_the_release_is_no_mistake() -> None:
    assert deploy({"dependsOn": ["module-db"]}, {"moduleId": "module-db"}).warnings == ()


def test_a_dependency_that_is_removed_is_refused_elsewhere() -> None:
    assert deploy({"dependsOn": ["module-db"]}, remove=("module-db",)).warnings == ()
