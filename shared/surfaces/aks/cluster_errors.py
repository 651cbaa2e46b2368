"""Why a cluster cannot be connected to, by name."""

from shared.kernel.errors import Invalid, Unavailable


class ClusterRefused(Invalid):
    """The platform does not connect to such a cluster, or in such a way."""


class ClusterStopped(Unavailable):
    """The cluster is not running: somebody stopped it, or it is being made or deleted."""
