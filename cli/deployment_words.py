"""Names what a deployment is to people: the release, or what was rolled out to its modules."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Deployment = Mapping[str, Any]
_OF_MODULES: Final[Mapping[str, str]] = {
    "configuration": "the roll-out of configuration to",
    "repair": "the repair of",
    "relocation": "the relocation of",
}


def deployment_words(deployment: Deployment) -> str:
    """Return what *deployment* is; `releaseRef` alone is the same for all that follows a release.

    It may be a deployment, or what a rollback takes back.
    """
    release, kind = deployment["releaseRef"], deployment.get("kind", "release")
    modules = ", ".join(modules_of(deployment))
    match kind:
        case "secret":
            if secret := deployment.get("secret"):
                version = str(secret["version"])[:12]
                return f"the roll-out of secret {secret['secretName']} {version} to {modules}"
            return f"the roll-out of a secret to {modules}"
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
    if _comes_back(taken_back, rollback["releaseRef"]):
        return f"takes back {words}: {rollback['releaseRef']} comes back"
    return (
        f"takes back {words}: {rollback['releaseRef']} stays, as it was before; for the release "
        "before it, if there is one, once this has ended: "
        f"`runtimectl rollback {rollback['deploymentId']}`"
    )


def _comes_back(taken_back: Deployment, release: str) -> bool:
    """Return whether *release* is another than the modules have.

    Before a release there was another one, though it may have the same name. A roll-out is of what
    they have, and so is a rollback to what was before one.
    """
    is_release = taken_back.get("kind", "release") == "release"
    return bool(is_release or release != taken_back["releaseRef"])


def planned_rollback_words(plan: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a rollback would take back and leave, by the answer of its dry run, in lines."""
    taken_back, release = plan["takenBack"], plan["releaseRef"]
    restores, removals = plan.get("restores", ()), plan.get("removals", ())
    words = f"would take back {deployment_words(taken_back)}"
    if release is None:
        stays = "what is in force stays" if restores else "nothing was in force before it"
        if started := [each["moduleId"] for each in restores if each.get("startsAgain")]:
            stays = "what was in force before is started again"
            if len(started) < len(restores):
                stays += f" of {', '.join(started)}, and stays of the others"
        yield f"{words}, which is on its way: {stays}"
    elif len(refs := {each.get("releaseRef") or release for each in restores}) > 1:
        yield f"{words}: of each module what was before would come back ({', '.join(sorted(refs))})"
    elif _comes_back(taken_back, release):
        yield f"{words}: {release} would come back"
    else:
        again = "for the release before it, if there is one, roll back once more"
        yield f"{words}: {release} stays, as it was before; {again} when this has ended"
    if restores:
        modules = (f"{each['moduleId']} {each['version'] or ''}".rstrip() for each in restores)
        yield f"in force then: {', '.join(modules)}"
    yield from map(removal_words, removals)
    if plan["waitingFor"]:
        yield f"would wait for {plan['waitingFor']}"


def removal_words(removal: Mapping[str, Any]) -> str:
    """Return that a plan has *removal*, with version and revision where they are known."""
    revision = removal["releaseRevision"]
    parts = (removal["moduleId"], removal["version"], f"r{revision}" if revision else "")
    return f"would remove {' '.join(filter(None, parts))}"
