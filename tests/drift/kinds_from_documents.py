"""Kinds of change to a cluster or a machine, listed from documents only.

Written from the API reference of Kubernetes, the Gateway API, `shared/surfaces/spec.py` and the
pages `surfaces.md` and `surfaces-aks.md`, before its writer had read how drift compares. Each says
whether somebody has to hear of it.
"""

from typing import Final

HARMFUL: Final = frozenset(
    {
        # kubectl set image, edit, patch of a Deployment
        "image of another digest",
        "image by a tag instead of its digest",
        "image of another repository",
        "another argument of the program",
        "a variable added",
        "a variable of another value",
        "a variable removed",
        "a variable read from a Secret instead",
        "a memory limit doubled",
        "a limit removed",
        "a request of CPU lowered",
        "another path of a readiness probe",
        "a liveness probe removed",
        "a probe that gives up earlier",
        "another port of the container",
        "another time from SIGTERM to SIGKILL",
        "a hook before the stop removed",
        "a container added by kubectl edit",
        "an init container added by kubectl edit",
        "a container made privileged",
        "a file system made writable",
        "the network of the node",
        "a folder of the node mounted",
        "another service account",
        # what is there at all
        "a Deployment deleted",
        "a Deployment of a revision nobody released",
        "a schedule suspended",
        "other times of a schedule",
        # kubectl scale, autoscalers
        "more replicas than were decided",
        "no replica at all",
        "a higher maximum of an autoscaler",
        "another target of an autoscaler",
        "an autoscaler deleted",
        # routes
        "another weight of a backend",
        "a backend removed from a route",
        "another path of a route",
        "a host added to a route",
        "a header rewritten by a route",
        "a route deleted",
        "a Service that selects another revision",
        "a Service of another target port",
        # configuration, secrets
        "a ConfigMap made again with another value",
        "a ConfigMap made again without a key",
        "a secret of another version",
        "another vault of a secret",
        # tenancy
        "a quota raised",
        "a network policy opened",
        "a network policy deleted",
        "pod security of a namespace lowered",
        # a machine
        "a process of another archive",
        "weights of a machine's proxy moved",
    }
)  # fmt: skip
NOT_COMPARED: Final = frozenset(
    {
        "a quota raised",
        "a network policy opened",
        "a network policy deleted",
        "pod security of a namespace lowered",
    }
)
"""Of the plane tenancy, which drift does not compare yet: coverage says so, and tenants proves it.
"""
HARMLESS: Final = frozenset(
    {
        # what the API server fills in
        "fields the API server fills in",
        "defaults of a probe written out",
        "defaults of a route written out",
        # the same in another notation
        "1000m for 1",
        "1024Mi for 1Gi",
        "bytes for Mi",
        "a trailing zero of a quantity",
        # order
        "variables in another order",
        "keys of a map in another order",
        "backends of a route in another order",
        "volumes in another order",
        # controllers and other managers
        "a status of a controller",
        "another version and generation of an object",
        "labels of another manager",
        "annotations of another manager",
        "a restart by kubectl rollout restart",
        "a toleration of a policy",
        "a sidecar by admission",
        "a variable by admission",
        "a user by admission",
        "replicas within an autoscaler's bounds",
        "conditions of an autoscaler",
        "a status of a route by its gateway",
        # instances come and go
        "a pod deleted and made again",
        "a pod evicted",
        "a process that restarted",
        "an instance that is not ready yet",
        "instances in another order",
    }
)  # fmt: skip
