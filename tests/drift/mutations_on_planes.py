"""What is changed in the planes of an environment, and what drift has to tell of it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shared.contracts.values import ComputeTargetKind
from shared.surfaces.aks.boundary_objects import CLIENT_ID, SECURITY
from shared.surfaces.data_servers import LiveServer
from tests.drift.generated_planes import (
    ENDPOINTS,
    PlanesEnvironment,
    capacity_asked,
    note_quota,
    quota_named,
)

Truth = Collection[tuple[str, str]]
"""Planes and paths of the findings that have to be; empty for what is harmless."""
MACHINE: Final = (ComputeTargetKind.LOCAL_PROCESS,)
CLUSTER: Final = (ComputeTargetKind.AKS,)
BOTH: Final = (*MACHINE, *CLUSTER)


@dataclass(frozen=True)
class PlaneMutation:
    """One kind of change, on the surfaces that have what it changes.

    What it makes of the values in force is published, what it makes of those of Git is committed.
    """

    name: str
    act: Callable[[PlanesEnvironment], Truth]
    on: Sequence[ComputeTargetKind] = BOTH
    publishes: bool = False
    commits: bool = False
    is_from_documents: bool = False
    """All of them are by somebody who has read how drift compares."""


def _infrastructure(environment: PlanesEnvironment, *paths: str) -> Truth:
    return {("infrastructure", f"{environment.live.kind}/{path}") for path in paths}


def _tenancy(environment: PlanesEnvironment, *paths: str) -> Truth:
    return {("tenancy", f"{environment.live.kind}/{path}") for path in paths}


def _value(*keys: str) -> Truth:
    return {("configuration", f"git/values/environment/{key}") for key in keys}


def _site_gone(at: PlanesEnvironment) -> Truth:
    at.live.is_there = False
    return _infrastructure(at, "site")


def _another_address(at: PlanesEnvironment) -> Truth:
    at.live.endpoint = ENDPOINTS[1]
    return _infrastructure(at, "endpoint")


def _another_port(at: PlanesEnvironment) -> Truth:
    first, *others = at.live.servers
    at.live.servers = [replace(first, port=first.port + 7), *others]
    return _infrastructure(at, f"data/{first.name}/port")


def _server_gone(at: PlanesEnvironment) -> Truth:
    first, *at.live.servers = at.live.servers
    return _infrastructure(at, f"data/{first.name}/port", f"data/{first.name}/kind")


def _another_kind(at: PlanesEnvironment) -> Truth:
    first, *others = at.live.servers
    at.live.servers = [replace(first, kind="LocalOther"), *others]
    return _infrastructure(at, f"data/{first.name}/kind")


def _folder_gone(at: PlanesEnvironment) -> Truth:
    at.live.volumes = ["of-before"]
    return _infrastructure(at, "data/files/folder")


def _more_capacity(at: PlanesEnvironment) -> Truth:
    note_quota(at.live.capacity, limits_cpu="99")
    return _infrastructure(at, "capacity/cpu")


def _less_memory(at: PlanesEnvironment) -> Truth:
    note_quota(at.live.capacity, limits_memory="33Mi")
    return _infrastructure(at, "capacity/memoryMib")


def _no_capacity(at: PlanesEnvironment) -> Truth:
    asked = capacity_asked(at.content)
    at.live.capacity = None
    limits = {"cpu": asked.cpu, "memoryMib": asked.memory_mb}
    return _infrastructure(at, *(f"capacity/{n}" for n, each in limits.items() if each is not None))


def _restarts(at: PlanesEnvironment) -> Truth:
    at.live.servers = [replace(each, reason="Exited", message="") for each in at.live.servers]
    return ()


def _server_of_before(at: PlanesEnvironment) -> Truth:
    at.live.servers = [LiveServer("old", "LocalValkey", 9, "Ready"), *at.live.servers]
    return ()


def _another_order(at: PlanesEnvironment) -> Truth:
    at.live.servers.reverse()
    at.live.volumes.reverse()
    return ()


def _unreadable(at: PlanesEnvironment) -> Truth:
    at.live.unreadable = "it is away"
    return ()


def _capacity_in_other_words(at: PlanesEnvironment) -> Truth:
    asked, words = capacity_asked(at.content), {}
    if asked.cpu is not None:
        words["limits_cpu"] = f"{asked.cpu:.2f}"
    if asked.memory_mb is not None:
        words["limits_memory"] = str(asked.memory_mb * 2**20)
    note_quota(at.live.capacity, **words)
    return ()


def _used_by_workloads(at: PlanesEnvironment) -> Truth:
    for quota in (at.live.capacity, at.live.objects["quota"]):
        quota["status"]["used"] = {"limits.cpu": "100m", "pods": "1"}
    return ()


def _labels_of_others(at: PlanesEnvironment) -> Truth:
    for each in at.live.objects.values():
        if each is not None:
            each["metadata"]["labels"]["team"] = "shop"
            each["metadata"].setdefault("annotations", {})["note"] = "kubectl"
            each["metadata"]["resourceVersion"] = "777"
    return ()


def _quota_in_other_words(at: PlanesEnvironment) -> Truth:
    cpu = float(at.quota["cpu"])
    note_quota(at.live.objects["quota"], limits_cpu=f"{cpu:.3f}", pods=f"{at.quota['instances']}.0")
    at.live.objects["quota"]["spec"]["hard"] = dict(reversed(quota_named(at.live).items()))
    return ()


def _rules_in_another_order(at: PlanesEnvironment) -> Truth:
    spec = at.live.objects["policy"]["spec"]
    for name in ("ingress", "egress", "policyTypes"):
        spec[name].reverse()
    return ()


def _ports_in_another_order(at: PlanesEnvironment) -> Truth:
    for rule in at.live.objects["policy"]["spec"]["egress"]:
        rule.get("ports", []).reverse()
        rule["to"].reverse()
    return ()


def _more_instances(at: PlanesEnvironment) -> Truth:
    if at.live.boundary is not None:
        quota = replace(at.live.boundary.quota, instances=99)
        at.live.boundary = replace(at.live.boundary, quota=quota)
    else:
        note_quota(at.live.objects["quota"], pods="99")
    return _tenancy(at, "quota/instances")


def _less_cpu(at: PlanesEnvironment) -> Truth:
    if at.live.boundary is not None:
        quota = replace(at.live.boundary.quota, cpu=0.25)
        at.live.boundary = replace(at.live.boundary, quota=quota)
    else:
        note_quota(at.live.objects["quota"], limits_cpu="250m")
    return _tenancy(at, "quota/cpu")


def _no_quota(at: PlanesEnvironment) -> Truth:
    if at.live.boundary is not None:
        at.live.boundary = None
        return _tenancy(at, "boundary")
    at.live.objects["quota"] = None
    return _tenancy(at, *(f"quota/{name}" for name in at.quota))


def _namespace_gone(at: PlanesEnvironment) -> Truth:
    at.live.objects = {"namespace": None}
    return _tenancy(at, "boundary")


def _policy_gone(at: PlanesEnvironment) -> Truth:
    at.live.objects["policy"] = None
    return _tenancy(at, "closed")


def _opened(at: PlanesEnvironment) -> Truth:
    at.live.objects["policy"]["spec"]["ingress"].append({})
    return _tenancy(at, "closed")


def _may_reach(at: PlanesEnvironment) -> Truth:
    rule = {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}
    at.live.objects["policy"]["spec"]["egress"].append(rule)
    return _tenancy(at, "mayReach/10.1.0.0/16")


def _privileged_pods(at: PlanesEnvironment) -> Truth:
    at.live.objects["namespace"]["metadata"]["labels"][SECURITY] = "privileged"
    return _tenancy(at, "closed")


def _another_identity(at: PlanesEnvironment) -> Truth:
    account = at.live.objects["account"]["metadata"]
    account["annotations"] = {**account["annotations"], CLIENT_ID: "somebody-else"}
    return _tenancy(at, "identity")


def _account_gone(at: PlanesEnvironment) -> Truth:
    has_identity = "identity" in at.content["isolation"][0]
    at.live.objects["account"] = None
    return _tenancy(at, "closed", *(["identity"] if has_identity else []))


def _published(key: str, value: Any) -> Callable[[PlanesEnvironment], Truth]:
    def act(at: PlanesEnvironment) -> Truth:
        at.in_force["environment"][key] = value
        return _value(key)

    return act


def _published_less(at: PlanesEnvironment) -> Truth:
    del at.in_force["environment"]["greeting"]
    return _value("greeting")


def _published_nothing(at: PlanesEnvironment) -> Truth:
    keys = [*at.in_force["environment"]]
    at.in_force["environment"] = {}
    return _value(*keys)


def _published_the_same(at: PlanesEnvironment) -> Truth:
    at.in_force["environment"] = dict(reversed(at.in_force["environment"].items()))
    return ()


def _stated_elsewise(at: PlanesEnvironment) -> Truth:
    at.stated["environment"]["limit"] = 1000
    return _value("limit")


def _stated_in_other_words(at: PlanesEnvironment) -> Truth:
    at.stated["environment"]["limit"] = float(at.stated["environment"]["limit"])
    at.stated["environment"]["hosts"] = ["a", "b", {"deep": [1.0, 2.50]}]
    return ()


def _stated_no_more(at: PlanesEnvironment) -> Truth:
    at.in_force["environment"]["limit"] = 2000
    del at.stated["environment"]
    return ()


ON_PLANES: Final = (
    PlaneMutation("a site that is gone", _site_gone),
    PlaneMutation("another public address", _another_address),
    PlaneMutation("a server at another port", _another_port, MACHINE),
    PlaneMutation("a server that is gone", _server_gone, MACHINE),
    PlaneMutation("a server of another kind", _another_kind, MACHINE),
    PlaneMutation("a folder of data that is gone", _folder_gone, MACHINE),
    PlaneMutation("a capacity of more CPU", _more_capacity, CLUSTER),
    PlaneMutation("a capacity of less memory", _less_memory, CLUSTER),
    PlaneMutation("a capacity taken away", _no_capacity, CLUSTER),
    PlaneMutation("servers that restart", _restarts, MACHINE),
    PlaneMutation("a server of an earlier generation", _server_of_before, MACHINE),
    PlaneMutation("servers and folders in another order", _another_order, MACHINE),
    PlaneMutation("a surface that cannot be read", _unreadable),
    PlaneMutation("a capacity in other words", _capacity_in_other_words, CLUSTER),
    PlaneMutation("quotas of which more is used", _used_by_workloads, CLUSTER),
    PlaneMutation("labels and annotations of others", _labels_of_others, CLUSTER),
    PlaneMutation("a quota in other words and order", _quota_in_other_words, CLUSTER),
    PlaneMutation("rules of a network policy in another order", _rules_in_another_order, CLUSTER),
    PlaneMutation("ports and peers in another order", _ports_in_another_order, CLUSTER),
    PlaneMutation("a quota of more instances", _more_instances),
    PlaneMutation("a quota of less CPU", _less_cpu),
    PlaneMutation("a quota taken away", _no_quota),
    PlaneMutation("a namespace that is gone", _namespace_gone, CLUSTER),
    PlaneMutation("a network policy that is gone", _policy_gone, CLUSTER),
    PlaneMutation("a network policy that lets everybody in", _opened, CLUSTER),
    PlaneMutation("a network outside that may be reached", _may_reach, CLUSTER),
    PlaneMutation("privileged pods in a namespace", _privileged_pods, CLUSTER),
    PlaneMutation("an account of another identity", _another_identity, CLUSTER),
    PlaneMutation("an account that is gone", _account_gone, CLUSTER),
    PlaneMutation("another number published", _published("limit", 777), publishes=True),
    PlaneMutation("another text published", _published("greeting", "bye"), publishes=True),
    PlaneMutation("true published as 1", _published("isOpen", 1), publishes=True),
    PlaneMutation("another secret named", _published("apiKey", {"secret": "x"}), publishes=True),
    PlaneMutation("a key more published", _published("more", None), publishes=True),
    PlaneMutation("a key less published", _published_less, publishes=True),
    PlaneMutation("a layer published empty", _published_nothing, publishes=True),
    PlaneMutation("the same published anew, in another order", _published_the_same, publishes=True),
    PlaneMutation("another number committed", _stated_elsewise, commits=True),
    PlaneMutation("the same numbers in other words", _stated_in_other_words, commits=True),
    PlaneMutation("a layer that Git states no more", _stated_no_more, publishes=True, commits=True),
)  # fmt: skip
