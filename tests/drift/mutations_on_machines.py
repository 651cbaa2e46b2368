"""What changes in processes, files and the proxy of a machine, as its agent says it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from shared.kernel.ids import ModuleId
from shared.surfaces.configuration import configuration
from shared.surfaces.spec import HttpProbe, ReleaseQuestion, Resources, RevisionSpec, TcpProbe
from tests.drift.generated_environments import API, WEB, WORKER
from tests.drift.mutations import INSTANCES, Mutation, Target, Truth, workload
from tests.kit.memory_cluster import MemoryComponent, MemoryRevision
from tests.kit.told import ENVIRONMENT, component_of

ON_MACHINES: Final[list[Mutation]] = []
OTHER: Final = f"sha256:{'9' * 64}"
Changed = Callable[[RevisionSpec], dict[str, Any]]


def _kind(name: str, **how: Any) -> Callable[[Callable[[Target], Truth]], None]:
    def register(act: Callable[[Target], Truth]) -> None:
        ON_MACHINES.append(Mutation(name, act, **how))

    return register


def _spec(name: str, truth: Truth, changed: Changed, **how: Any) -> None:
    """Register another spec of what runs: *changed* are its fields."""

    def act(target: Target) -> Truth:
        live = _live(target)
        live.spec = replace(live.spec, **changed(live.spec))
        return truth

    planes = {plane for plane, _ in truth}
    survives = bool(planes) and planes <= {"workload", "configuration", "secrets"}
    ON_MACHINES.append(Mutation(name, act, survives=survives, **how))


def _component(target: Target) -> MemoryComponent:
    return target.environment.machines.sites[ENVIRONMENT].components[component_of(target.module)]


def _live(target: Target) -> MemoryRevision:
    return _component(target).revisions[target.spec.revision]


_spec("another version", workload("version"), lambda _: {"version": "9.9"})
_spec("another archive", workload("artifact"), lambda _: {"artifact": OTHER})
_spec("another program", workload("command"), lambda spec: {"command": (*spec.command, "-v")})
_spec(
    "a variable more",
    workload("environ/EXTRA"),
    lambda spec: {"environ": {**spec.environ, "EXTRA": ""}},
    modules=(WEB, API, WORKER),
)
_spec(
    "a variable changed",
    workload("environ/SETTING_0"),
    lambda spec: {"environ": {**spec.environ, "SETTING_0": f"{spec.environ['SETTING_0']} "}},
    modules=(WEB, API, WORKER),
)
_spec(
    "a variable less",
    workload("environ/SETTING_1"),
    lambda spec: {"environ": {k: v for k, v in spec.environ.items() if k != "SETTING_1"}},
    modules=(WEB, API, WORKER),
)
_spec("another port", workload("port"), lambda _: {"port": 9090})
_spec(
    "another readiness probe",
    workload("probes/readiness"),
    lambda _: {"readiness": HttpProbe("/other")},
)
_spec("no liveness probe", workload("probes/liveness"), lambda _: {"liveness": None})
_spec("a startup probe", workload("probes/startup"), lambda _: {"startup": TcpProbe()})
_spec(
    "another memory limit",
    workload("resources/memoryMib"),
    lambda _: {"resources": Resources(memory_mb=64)},
    modules=(WEB, API, WORKER),
)
_spec(
    "no memory limit",
    workload("resources/memoryMib"),
    lambda _: {"resources": Resources()},
    modules=(WEB, API, WORKER),
)
_spec(
    "a limit of files",
    workload("resources/openFiles"),
    lambda spec: {"resources": replace(spec.resources, open_files=64)},
)
_spec("another data folder", workload("data"), lambda _: {"data": ("other",)})
_spec("less isolation", workload("requires"), lambda _: {"requires": ("ownPorts",)})
_spec(
    "another question for the release",
    workload("release"),
    lambda _: {"release": ReleaseQuestion("/other", "version")},
)
_spec("more instances", {("replicas", "replicas")}, lambda spec: {"replicas": spec.replicas + 3})
_spec("one instance less", {("replicas", "replicas")}, lambda spec: {"replicas": 1})
_spec("no instance", {("replicas", "replicas")}, lambda _: {"replicas": 0})
_spec("another path prefix", {("routing", "pathPrefix")}, lambda _: {"path_prefix": "/elsewhere"})


def _given(spec: RevisionSpec, pin: str, **files: str) -> dict[str, Any]:
    texts = {"variables": {"LOG_LEVEL": f"level of {pin}", "REGION": "north"}}
    kept = {"app.json": f'{{"of": "{pin}"}}', "rules.yaml": "limits: 1", **files}
    return {"configuration": configuration(pin, **texts, files=kept)}


_spec(
    "another file of configuration",
    {("configuration", "files/rules.yaml")},
    lambda spec: _given(spec, spec.unit["configurationHash"], **{"rules.yaml": "limits: 2"}),
)
_spec(
    "one file of configuration more",
    {("configuration", "files/extra.yaml")},
    lambda spec: _given(spec, spec.unit["configurationHash"], **{"extra.yaml": "1"}),
)
_spec(
    "another hash of configuration, and no configuration",
    {
        ("configuration", path)
        for path in (
            "hash", "files/app.json", "files/rules.yaml", "variables/LOG_LEVEL",
            "variables/REGION",
        )
    },
    lambda spec: {
        "unit": {**spec.unit, "configurationHash": OTHER}, "configuration": None,
    },
)  # fmt: skip
_spec(
    "a secret of an older version",
    {("secrets", "database"), ("secrets", "files/db-password")},
    lambda spec: {
        "unit": {**spec.unit, "secret.database": "v0"},
        "secrets": tuple(
            replace(each, version="v0") if each.name == "database" else each
            for each in spec.secrets
        ),
    },
)
_spec(
    "a secret at another place",
    {("secrets", "files/db-password"), ("secrets", "files/elsewhere")},
    lambda spec: {
        "secrets": tuple(
            replace(each, file="elsewhere") if each.file else each for each in spec.secrets
        )
    },
)
_spec(
    "a secret of another vault",
    {("secrets", "variables/MAIL_KEY")},
    lambda spec: {
        "secrets": tuple(
            replace(each, vault="https://other.vault.azure.net") if each.variable else each
            for each in spec.secrets
        )
    },
)
_spec(
    "variables in another order", (), lambda spec: {"environ": dict(reversed(spec.environ.items()))}
)
_spec("the same limit as another number", (), lambda spec: {
    "resources": replace(spec.resources, memory_mb=float(spec.resources.memory_mb or 0)),
})  # fmt: skip
_spec("data folders in another order", (), lambda spec: {"data": spec.data[::-1]})
_spec("needs in another order", (), lambda spec: {"requires": spec.requires[::-1]})
_spec("numbers of another version of the platform", (), lambda _: {"drain_s": 90.0, "grace_s": 3.0})


@_kind("weights of a machine's proxy moved")
def _weights(target: Target) -> Truth:
    _component(target).weights = {target.spec.revision: target.random.randint(1, 99)}
    return {("routing", "weight")}


@_kind("no traffic at all")
def _no_traffic(target: Target) -> Truth:
    _component(target).weights = {}
    return {("routing", "weight")}


@_kind("a process of another archive", survives=True)
def _process(target: Target) -> Truth:
    machines = target.environment.machines
    machines.tampered.add(target.random.choice(_live(target).instances).id)
    return {INSTANCES}


@_kind("every process of another archive", survives=True)
def _processes(target: Target) -> Truth:
    target.environment.machines.tampered |= {each.id for each in _live(target).instances}
    return {INSTANCES}


@_kind("a release that is gone")
def _gone(target: Target) -> Truth:
    del target.environment.machines.sites[ENVIRONMENT].components[component_of(target.module)]
    return workload("revision")


def _started(spec: RevisionSpec) -> MemoryRevision:
    return MemoryRevision(spec)


@_kind("a release beside it that nobody made", modules=(WEB, API, WORKER))
def _beside(target: Target) -> Truth:
    other = replace(target.spec, revision=77, version="77.0")
    _component(target).revisions[77] = _started(other)
    return workload("revision/77")


@_kind("another release in its place", modules=(WEB, API))
def _in_place(target: Target) -> Truth:
    component = _component(target)
    component.revisions = {77: _started(replace(target.spec, revision=77))}
    component.weights = {77: 100}
    return workload("revision", "revision/77")


@_kind("a service beside them that nobody released")
def _service(target: Target) -> Truth:
    target.module = ModuleId("module-mine")
    component = component_of(target.module)
    spec = replace(target.environment.spec(WEB), component=component, path_prefix=None)
    site = target.environment.machines.sites[ENVIRONMENT]
    site.components[component] = MemoryComponent({1: _started(spec)}, {1: 100}, 1)
    return workload("service")


@_kind("a process that restarted", modules=(WEB, API, WORKER))
def _restarted(target: Target) -> Truth:
    instance = target.random.choice(_live(target).instances)
    target.environment.machines.crash(component_of(target.module), instance.id)
    return ()


@_kind("a machine that restarted")
def _machine(target: Target) -> Truth:
    target.environment.machines.stop()
    return ()


@_kind("an instance that is not ready yet", modules=(WEB, API, WORKER))
def _unready(target: Target) -> Truth:
    target.environment.machines.lost.add(target.random.choice(_live(target).instances).id)
    return ()


@_kind("instances in another order")
def _turned(target: Target) -> Truth:
    _live(target).instances.reverse()
    return ()


@_kind("an instance that does not say its release")
def _mute(target: Target) -> Truth:
    target.environment.machines.mute.add(_live(target).instances[0].id)
    return ()


@_kind("a service that cannot be read")
def _torn(target: Target) -> Truth:
    target.environment.machines.torn.add(component_of(target.module))
    return ()


@_kind("a machine that cannot be read")
def _unreadable(target: Target) -> Truth:
    target.environment.machines.unreadable = "its agent is away"
    return ()
