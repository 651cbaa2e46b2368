"""Names what a deployment is to people: the release, or what was rolled out to its modules."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Deployment = Mapping[str, Any]
_OF_MODULES: Final[Mapping[str, str]] = {
    "configuration": "the roll-out of configuration to",
    "repair": "the repair of",
    "relocation": "the relocation of",
}
_BRINGS_A_RELEASE: Final = frozenset({"release", "rollback"})


def deployment_words(deployment: Deployment) -> str:
    """Return what *deployment* is; `releaseRef` alone is the same for all that follows a release.

    It may be a deployment, or what a rollback takes back.
    """
    release, kind = deployment["releaseRef"], deployment.get("kind", "release")
    modules = ", ".join(modules_of(deployment))
    match kind:
        case "secret":
            secret = deployment.get("secret") or {}
            version = str(secret.get("version", ""))[:12]
            return f"the roll-out of secret {secret.get('secretName')} {version} to {modules}"
        case "rollback":
            return f"the rollback to {release}"
        case _ if kind in _OF_MODULES:
            return f"{_OF_MODULES[kind]} {modules}"
        case _:
            return str(release)


def modules_of(deployment: Deployment) -> Sequence[str]:
    """Return the modules that *deployment* brings; not those that it takes away."""
    if "modules" in deployment:
        return [str(module) for module in deployment["modules"]]
    return [component["moduleId"] for component in deployment["components"]]


def taken_back_words(taken_back: Deployment, rollback: Deployment) -> str:
    """Return what the command that answered *rollback* takes back, and what is in force then."""
    words = deployment_words(taken_back)
    if taken_back["deploymentId"] == rollback["deploymentId"]:
        return f"takes back {words}, which was on its way"
    if taken_back["kind"] in _BRINGS_A_RELEASE:
        return f"takes back {words}: {rollback['releaseRef']} comes back"
    return (
        f"takes back {words}: {rollback['releaseRef']} stays, as it was before; for the release "
        f"before it, once this has ended: `runtimectl rollback {rollback['deploymentId']}`"
    )


def planned_rollback_words(plan: Mapping[str, Any]) -> str:
    """Return what a rollback would take back, by the answer of its dry run."""
    taken_back, release = plan["takenBack"], plan["releaseRef"]
    words = f"would take back {deployment_words(taken_back)}"
    if release is None:
        text = f"{words}, which is on its way: what is in force stays"
    elif taken_back["kind"] in _BRINGS_A_RELEASE:
        text = f"{words}: {release} would come back"
    else:
        text = f"{words}: {release} stays, as it was before"
    return f"{text}\nwould wait for {plan['waitingFor']}" if plan["waitingFor"] else text
