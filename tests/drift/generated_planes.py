"""Generated environments by their own planes: infrastructure, tenancy, configuration of Git.

A seed says what an environment was asked for. On a cluster its boundary and its capacity are the
objects that the adapter of AKS makes, and are read by it; a machine shows words.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from random import Random  # noqa: TID251  a test's own seeded generator
from typing import Any, Final

from shared.contracts.values import ComputeTargetKind
from shared.kernel.ids import EnvironmentId, TenantId
from shared.kernel.observation import Absent, Present, Reading, Unknown
from shared.surfaces.aks.boundary_objects import (
    LIMITS,
    QUOTAS,
    BoundaryObjects,
    capacity_of,
    wanted,
    wanted_capacity,
)
from shared.surfaces.aks.cluster_boundaries import ACCOUNTS, POLICIES
from shared.surfaces.aks.kinds import NAMESPACES
from shared.surfaces.aks.names import Installation
from shared.surfaces.boundaries import Boundary, BoundarySpec, Quota, boundary_properties
from shared.surfaces.capabilities import Feature
from shared.surfaces.data_servers import LiveServer
from shared.surfaces.observed_state import Site
from shared.surfaces.spec import Resources, SiteSpec
from tests.drift.followed import Followed, followed, layers, published
from tests.drift.isolated import ABLE, believed, told
from tests.kit.service import TENANT
from tests.kit.told import ENVIRONMENT, bound_tenant

IDENTITY: Final = "11111111-2222-3333-4444-555555555555"
INSTALLATION: Final = Installation()
ENDPOINTS: Final = ("http://shop.test/", "http://10.0.0.7/")
Content = dict[str, Any]


@dataclass
class LivePlanes:
    """What the surface of one environment has; `objects` are those of a cluster, by kind."""

    kind: ComputeTargetKind
    fence: int = 5
    is_there: bool = True
    endpoint: str = ENDPOINTS[0]
    servers: list[LiveServer] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    capacity: Any = None
    """The ResourceQuota that it is; None without one."""
    boundary: BoundarySpec | None = None
    """Of a machine."""
    objects: dict[str, Any] = field(default_factory=dict)
    unreadable: str = ""

    async def read_site(self, environment: EnvironmentId) -> Reading[Site]:
        if self.unreadable:
            return Unknown(self.unreadable)
        if not self.is_there:
            return Absent()
        site = Site(environment, self.endpoint, True, {}, self.fence, tuple(self.servers))
        if self.kind is ComputeTargetKind.AKS:
            return Present(replace(site, capacity=capacity_of(self.capacity)))
        return Present(replace(site, volumes=tuple(self.volumes)))

    async def read_boundary(
        self, environment: EnvironmentId, tenant: TenantId
    ) -> Reading[Boundary]:
        if self.unreadable:
            return Unknown(self.unreadable)
        if self.kind is ComputeTargetKind.AKS:
            return self._of_cluster(environment, tenant)
        if self.boundary is None:
            return Absent()
        words = boundary_properties(self.boundary)
        return Present(Boundary(environment, tenant, "acme", True, Quota(), words, self.fence))

    def _of_cluster(self, environment: EnvironmentId, tenant: TenantId) -> Reading[Boundary]:
        if self.objects.get("namespace") is None:
            return Absent()
        live = BoundaryObjects(**self.objects)
        is_closed, used = live.is_in_force(()), live.used()
        words = live.properties()
        return Present(Boundary(environment, tenant, "acme", is_closed, used, words, self.fence))

    def bind(self, spec: BoundarySpec) -> None:
        """Have environments make the boundary of *spec*, as a cluster has counted it."""
        if self.kind is not ComputeTargetKind.AKS:
            self.boundary = spec
            return
        made = wanted(spec, INSTALLATION, ())
        self.objects = {
            "namespace": deepcopy(made[NAMESPACES]), "quota": _counted(made[QUOTAS]),
            "limits": deepcopy(made[LIMITS]), "policy": deepcopy(made[POLICIES]),
            "account": deepcopy(made[ACCOUNTS]),
        }  # fmt: skip

    def hold_to(self, limits: Resources) -> None:
        """Have environments give the site its capacity."""
        spec = SiteSpec(ENVIRONMENT, TENANT, "shop", "test", capacity=limits)
        self.capacity = _counted(wanted_capacity(spec, INSTALLATION)[QUOTAS])


def _counted(quota: Any) -> Any:
    if quota is None:
        return None
    noted = deepcopy(quota)
    noted["status"] = {"hard": dict(noted["spec"]["hard"]), "used": {}}
    return noted


@dataclass
class PlanesEnvironment:
    """The environment of one seed, what it was asked for, and drift over it."""

    random: Random
    live: LivePlanes
    made: Followed
    content: Content
    quota: dict[str, Any]
    stated: dict[str, dict[str, Any]]
    """The values of each layer, as Git states them; `in_force` has those that were published."""
    in_force: dict[str, dict[str, Any]]
    revision: int = 2
    binding: int = 2
    versions: dict[str, int] = field(default_factory=dict)

    async def provision(self) -> None:
        """Tell that the environment is as its content says."""
        self.revision += 1
        await self.made.drift.hear(told(self.revision, **self.content))

    async def bind(self, status: str = "Enforced") -> None:
        self.binding += 1
        await self.made.drift.hear(bound_tenant(self.binding, status, quota=self.quota))

    async def publish(self, layer: str) -> None:
        """Have somebody publish the values of *layer* that are to be in force."""
        self.versions[layer] = self.versions.get(layer, 0) + 1
        event = published(layer, self.versions[layer], self.in_force[layer])
        await self.made.drift.hear(event)

    async def commit(self) -> None:
        await self.made.push({"layers.json": layers(*stated_in(self.stated, self.random))})

    def boundary_of(self) -> BoundarySpec:
        given = self.quota
        quota = Quota(given.get("cpu"), given.get("memoryMib"), given.get("instances"))
        return BoundarySpec(ENVIRONMENT, TENANT, quota, identity=self._identity())

    def _identity(self) -> str | None:
        identity: str | None = self.content["isolation"][0].get("identity")
        return identity


def stated_in(stated: Mapping[str, Mapping[str, Any]], random: Random) -> list[dict[str, Any]]:
    """Return *stated* as entries of a file, keys and layers in any order."""
    entries = []
    for layer, values in stated.items():
        shuffled = random.sample(list(values), len(values))
        entry: dict[str, Any] = {"values": {key: values[key] for key in shuffled}}
        if layer == "module":
            entry["module"] = "module-web"
        elif layer == "tenant":
            entry["layer"] = layer
        entries.append(entry)
    return random.sample(entries, len(entries))


def _content(random: Random, kind: ComputeTargetKind) -> Content:
    """Return what *random* asks for, as the event of the environment tells it."""
    is_cluster = kind is ComputeTargetKind.AKS
    isolation: dict[str, Any] = {
        "bindingId": bound_tenant(1, "Bound").binding_id, "revision": 1, "state": "Applied",
    }  # fmt: skip
    if is_cluster and random.randrange(2):
        isolation["identity"] = IDENTITY
    content: Content = {
        "kind": kind.value, "endpoint": ENDPOINTS[0], "isolation": [isolation],
        "able": ABLE if is_cluster else (Feature.QUOTAS,),
    }  # fmt: skip
    if is_cluster:
        limits = {"cpu": random.choice((0.5, 2, 8)), "memoryMib": random.choice((512, 4096))}
        asked = random.sample(sorted(limits), random.randint(1, 2))
        return {**content, "capacities": {"AKS": {name: limits[name] for name in asked}}}
    data = [
        {"kind": "LocalPostgres", "name": "orders"},
        {"kind": "LocalFolder", "name": "files"},
        *([{"kind": "LocalValkey", "name": "cache"}] if random.randrange(2) else []),
    ]
    outputs = {
        f"data.{each['name']}.port": str(5000 + random.randrange(1000))
        for each in data
        if each["kind"] != "LocalFolder"
    }
    return {**content, "dataResources": data, "outputs": outputs, "capacities": {}}


def _values(random: Random) -> dict[str, dict[str, Any]]:
    layers_of = ["environment", *random.sample(["tenant", "module"], random.randint(0, 2))]
    return {
        layer: {
            "limit": random.randint(1, 99),
            "ratio": random.choice((0.25, 0.5)),
            "isOpen": random.choice((True, False)),
            "greeting": random.choice(("hello", "ü", "1.0")),
            "hosts": ["a", "b", {"deep": [1, 2.5]}],
            "apiKey": {"secret": f"key-{random.randrange(9)}"},
        }
        for layer in layers_of
    }


def servers_of(content: Mapping[str, Any]) -> list[LiveServer]:
    named: Sequence[Mapping[str, str]] = content.get("dataResources", [])
    ports = content.get("outputs", {})
    return [
        LiveServer(each["name"], each["kind"], int(ports[f"data.{each['name']}.port"]), "Ready")
        for each in named
        if each["kind"] != "LocalFolder"
    ]


def capacity_asked(content: Mapping[str, Any]) -> Resources:
    asked = content["capacities"].get("AKS", {})
    return Resources(memory_mb=asked.get("memoryMib"), cpu=asked.get("cpu"))


async def generated_planes(seed: int, kind: ComputeTargetKind) -> PlanesEnvironment:
    """Return the environment of *seed*, made as it was asked for, scanned, and found right."""
    random = Random(seed)
    content, values = _content(random, kind), _values(random)
    quota = {"cpu": random.choice((1, 2.5)), "instances": random.randint(5, 20)}
    if random.randrange(2):
        quota["memoryMib"] = 2048
    live = LivePlanes(kind)
    made = await followed({"layers.json": layers(*stated_in(values, random))})
    drift = made.drift
    drift.app = replace(drift.app, sites={kind: live}, boundaries={kind: live})
    environment = PlanesEnvironment(random, live, made, content, quota, values, deepcopy(values))
    live.servers, live.volumes = servers_of(content), ["files", "of-before"]
    if kind is ComputeTargetKind.AKS:
        live.hold_to(capacity_asked(content))
    live.bind(environment.boundary_of())
    await environment.bind()
    await environment.provision()
    for layer in values:
        await environment.publish(layer)
    await believed(drift)
    return environment


def quota_named(live: LivePlanes) -> dict[str, Any]:
    """Return what the quota of the boundary holds the tenant to, on a cluster."""
    hard: dict[str, Any] = live.objects["quota"]["spec"]["hard"]
    return hard


def note_quota(quota: Any, **hard: str) -> None:
    """Write *hard* into *quota*, and have the cluster count by it; `_` stands for a point."""
    quota["spec"]["hard"] |= {name.replace("_", "."): value for name, value in hard.items()}
    quota["status"]["hard"] = dict(quota["spec"]["hard"])
