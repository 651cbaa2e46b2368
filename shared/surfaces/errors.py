"""The errors of surfaces, by name."""

from shared.kernel.errors import Conflict, Invalid, NotFound, Unavailable


class SiteMissing(NotFound):
    """The environment has no site on this surface."""


class RevisionMissing(NotFound):
    """The component has no such revision on this surface."""


class RevisionDiffers(Conflict):
    """The revision exists with other content; the content of a revision never changes."""


class RouteTaken(Conflict):
    """Another component of the environment has that path prefix."""


class PathNotOwned(Conflict):
    """The paths of the public port are the environment's owner's; another tenant gets none."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"{module} is in another tenant's environment, whose public port has paths of its owner"
            " only: leave out the prefix, it has a host name of its own",
            target="/pathPrefix",
        )


class NotReady(Conflict):
    """The revision has fewer ready instances than its share of the traffic needs."""

    def __init__(self, module: str, revision: int, *, ready: int, needed: int) -> None:
        super().__init__(
            f"revision {revision} of {module} needs {needed} ready instances for that weight "
            f"and has {ready}"
        )


class NotOwner(Conflict):
    """The surface changes the number of instances itself; take it back with `set_scaling` first."""


class StillWeighted(Conflict):
    """A revision that receives traffic cannot be removed; set its weight to 0 first."""


class BadWeights(Invalid):
    """Weights are whole percents that add up to 100, or none at all."""


class BadArtifact(Invalid):
    """The archive does not have its digest, or cannot be unpacked or installed safely."""


class FieldTaken(Conflict):
    """Another manager owns a field of an object of ours and has given it another value."""


class ObjectRefused(Conflict):
    """The cluster does not take an object: its policy, a quota or its validation; it says why."""


class ClusterNotPrepared(Conflict):
    """The cluster lacks the namespace and the rights that an administrator gives the platform."""


class NamespaceTaken(Conflict):
    """The namespace of a tenant is there, and the platform did not make it."""


class DataMissing(Conflict):
    """A data folder that the release was given is not there; it is never made anew, empty."""


class ServerMissing(Conflict):
    """This machine has not the program of a server that an environment is to have."""


class TrafficUnavailable(Unavailable):
    """The traffic layer did not show the change in time; the change may still come into force."""
