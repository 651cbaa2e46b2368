"""The refusals of deployments, by name."""

from collections.abc import Iterable, Mapping, Sequence

from shared.kernel.errors import Conflict, NotFound, PlanRefused, Violation
from shared.kernel.ids import ModuleId


class DeploymentMissing(NotFound):
    """No deployment of the tenant has the id."""

    def __init__(self, deployment_id: str) -> None:
        super().__init__(f"no deployment {deployment_id[:80]!r}")


class ArtifactMissing(NotFound):
    """No artifact of the tenant has the digest."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"no artifact {digest[:80]!r}: upload it first")


class Held(Conflict):
    """The unit was rolled back here and nobody has released the hold yet."""

    def __init__(self, module: str, version: str, digest: str, holder: str) -> None:
        super().__init__(
            f"this release unit of {module} ({version}, {digest[:19]}…) was rolled back here by "
            f"{holder}; release the hold (release-hold of {holder}), or deploy another one: "
            "other content, version, environ, limits, configuration or secrets",
            target="/components",
        )
        self.module = module
        self.holder = holder


class QueueTaken(Conflict):
    """`onConflict: reject` met another deployment of the same module."""

    def __init__(self, module: str, holder: str) -> None:
        super().__init__(
            f"{module} is being changed by {holder}; wait for it, cancel it, "
            "or deploy with onConflict queue",
            target="/onConflict",
        )
        self.holder = holder


class QueueFull(Conflict):
    """So many deployments wait in the environment that no other one is taken."""


class HoldsFull(Conflict):
    """Too many release units are held in the environment to let new ones in."""


class FactsFull(Conflict):
    """There is no room for the facts of another aggregate; the message is parked."""


class NaturalKeyActive(Conflict):
    """The same modules and digests are on their way, asked for otherwise."""

    def __init__(self, deployment_id: str) -> None:
        super().__init__(
            f"{deployment_id} has the same versions with another strategy, gate or settings of "
            "its components; wait for it or cancel it first"
        )
        self.deployment = deployment_id


class EnvironmentNotUsable(Conflict):
    """Deployments need an environment that is Provisioned, Updating, or on its way there."""


class EnvironmentUnknown(NotFound):
    """No event of the environment came within the time that is given to an unknown one."""


class BindingRequired(PlanRefused):
    code = "TenantBindingRequired"


class BindingSuspended(Conflict):
    """The tenant's binding to the environment is suspended, by its own side or by the owner."""

    code = "TenantBindingSuspended"

    def __init__(self, environment_id: str, tenant: str, owner: str) -> None:
        where = f"the binding of {tenant} to environment {environment_id}"
        if owner == tenant:
            super().__init__(f"{where} is suspended: its reason stands in the binding")
            return
        super().__init__(
            f"{where}, another tenant's, is suspended: its reason stands in the binding; ask"
            f" {owner}, the owner, to resume it, unless {tenant} suspended it itself"
        )


class IsolationBreached(Conflict):
    """The last proof of the tenant's isolation said Breach; nothing is deployed until it passes."""


class NotInForce(Conflict):
    """Only what runs now can be rolled back; later deployments are rolled back first."""


class UnknownRelease(Conflict):
    """A release runs that no record explains, as after an older copy of them was put back."""

    def __init__(self, unknown: Mapping[ModuleId, int]) -> None:
        what = ", ".join(f"{module} runs revision {number}" for module, number in unknown.items())
        super().__init__(
            f"{what}, which no release recorded here explains: the records may be an older copy"
            " that was put back. Nothing was changed; deploy again to replace what runs"
        )


class NotRollbackable(Conflict):
    """The deployment cannot be rolled back as it stands; the message says why."""


class NothingToTakeBack(Conflict):
    """A rollback would start again what runs: what it is to take back does not go."""

    def __init__(
        self,
        undone: str,
        disabled: Sequence[str] = (),
        revoked: Sequence[str] = (),
        earlier: str = "",
    ) -> None:
        why = f"what was in force before {undone} is what runs"
        if disabled:
            why = (
                f"{', '.join(disabled)}, as it was before {undone}, is disabled in the vault, or"
                " about to be"
            )
        if revoked:
            why += f"; the binding of {', '.join(revoked)} was revoked, so it does not come back"
        super().__init__(f"{why}: there is nothing to take back{earlier}")
        self.undone = undone
        self.disabled = disabled
        self.revoked = revoked

    def naming(self, deployment_id: str, release_ref: str) -> "NothingToTakeBack":
        """Return this with the release to go back to instead."""
        goal = f"; to go back to {release_ref}, say toDeploymentId {deployment_id}"
        return NothingToTakeBack(self.undone, self.disabled, self.revoked, goal)


class ArtifactRemoved(Conflict):
    """An archive of the release to go back to is not stored any more."""

    def __init__(self, missing: Sequence[Violation], target: str | None) -> None:
        super().__init__(
            f"{missing[0].message}: upload the same archive again, or go back to a later release",
            target=target,
            details=missing,
        )


class ConfigurationRemoved(Conflict):
    """The content of a configuration that a release was given is not stored any more."""

    def __init__(self, content_hash: str) -> None:
        super().__init__(
            f"the configuration {content_hash} is not stored any more: publish its content again,"
            " then deploy the release that you want"
        )


class NothingToRollOut(Conflict):
    """A roll-out would bring what is in force already, or has no instance to bring it to."""


class DowntimeNotAllowed(Conflict):
    """A relocation would stop what takes requests before it starts it again, and may not."""


class NotCancellable(Conflict):
    """The deployment has ended, or only a rollback undoes it."""


class NotRetryable(Conflict):
    """Only a Failed or a paused deployment is retried."""


class NoActiveHold(Conflict):
    """There is no hold to release."""


class NotPromotable(Conflict):
    """Not Completed, not in force, or not Healthy for the soak time at the source."""


class EvidenceRequired(NotPromotable):
    """A promotion by message carries soak evidence: it has no token to ask health with."""


class CannotBePlanned(PlanRefused):
    """Every reason why the deployment is not possible as it stands."""

    code = "PlanRefused"

    def __init__(self, violations: Iterable[Violation]) -> None:
        found = tuple(violations)
        first = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        super().__init__(f"{first.message}{more}", target=first.target, details=found)


class NotReadyInTime(Conflict):
    """The new instances were not ready within the time they have."""


class StartFailed(Conflict):
    """An instance of the new version ended again and again before it was ready."""


class CannotStart(Conflict):
    """The surface could not start an instance of the new version, again and again."""


class JobFailed(Conflict):
    """A job of the release has not ended well, so nothing of the release gets traffic."""


class ProofFailed(Conflict):
    """A live instance is not what the release unit says."""


class DrainIncomplete(Conflict):
    """An environment that is drained still has workloads."""

    def __init__(self, environment_id: str, remaining: Sequence[str]) -> None:
        named = ", ".join(remaining[:20])
        super().__init__(f"{len(remaining)} workloads are left in {environment_id}: {named}")
