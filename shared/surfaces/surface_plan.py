"""The check of a plan against the capabilities of its surface, whole, before its first change.

A plan that needs a feature that the surface lacks is refused with the reason; nothing is weakened
to fit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Final, NamedTuple

from shared.contracts.gate_metrics import GateMetrics, GateSource
from shared.contracts.validation import shown
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Violation
from shared.surfaces.capabilities import Capabilities, Feature
from shared.surfaces.spec import CommandProbe, HttpProbe, Probe, RevisionSpec, TcpProbe
from shared.surfaces.variables import data_variable, data_variables


@dataclass(frozen=True)
class SurfacePlan:
    """All changes that a deployment plans on one surface.

    `revisions` are by their place among the components of the deployment, which findings point at:
    a deployment on two surfaces makes two plans. `weights` are the percents of its steps;
    `features` are those that no spec shows (instant rollback, configuration in place, secret
    references, namespaces, quotas).
    """

    revisions: Mapping[int, RevisionSpec]
    weights: tuple[int, ...] = (100,)
    features: frozenset[Feature] = field(default_factory=frozenset)
    elsewhere: tuple[Capabilities, ...] = ()
    """Of the other surfaces of the environment: what a refusal can point to."""
    is_gated: bool = False
    """False for the way back, which no gate judges."""
    metrics: GateMetrics | None = None
    """Where those gates read requests; at the surface when not given."""

    @property
    def needs_counters(self) -> bool:
        return self.is_gated and (self.metrics is None or self.metrics.is_counted)


LIMITS: Final = (
    ("memory_mb", "memoryMib", Feature.MEMORY_LIMIT),
    ("cpu", "cpu", Feature.CPU_LIMIT),
    ("open_files", "openFiles", Feature.OPEN_FILES_LIMIT),
    ("processes", "processes", Feature.PROCESSES_LIMIT),
)
"""Of a spec's resources: its attribute, the field of the release, the feature."""
PROBES: Final[Mapping[type[Probe], tuple[str, Feature]]] = {
    HttpProbe: ("http", Feature.HTTP_PROBES),
    TcpProbe: ("tcp", Feature.TCP_PROBES),
    CommandProbe: ("command", Feature.COMMAND_PROBES),
}
"""Of each kind of probe: its name in a release, the feature."""


_SOURCES: Final = " or ".join(each for each in GateSource if each is not GateSource.SURFACE)


class _Need(NamedTuple):
    """A feature that a plan needs, the JSON pointer and value that need it, and whose they are."""

    feature: Feature
    target: str
    received: str
    module: str = ""
    other: str = ""
    """What to write instead of a plan without the feature."""


def _needs(plan: SurfacePlan) -> Iterator[_Need]:
    for feature in sorted(plan.features):
        yield _Need(feature, "", feature)
    if any(0 < weight < 100 for weight in plan.weights):  # noqa: PLR2004  percent
        yield _Need(Feature.TRAFFIC_SPLIT, "/strategy/steps", str(list(plan.weights)))
    for index, spec in plan.revisions.items():
        if plan.needs_counters and spec.port is not None:
            yield _Need(
                Feature.REQUEST_COUNTERS,
                "/gate/metrics",
                "nothing" if plan.metrics is None else f"source {plan.metrics.source}",
                spec.component.module,
                f"source {_SOURCES}, with its queries",
            )
        for feature, name, received in _needs_of_revision(spec):
            target = f"/components/{index}/{name}"
            yield _Need(feature, target, received, spec.component.module)


def _needs_of_revision(spec: RevisionSpec) -> Iterator[tuple[Feature, str, str]]:
    """Yield each feature that *spec* needs, with the field of the component and its value."""
    rows = (
        (spec.image is None, Feature.ARTIFACTS, "artifactDigest", spec.artifact),
        (spec.image, Feature.IMAGES, "image", f"{spec.image}@{spec.artifact}"),
        (spec.replicas == 0, Feature.SCALE_TO_ZERO, "replicas", "0"),
        (spec.port is None and not spec.ends, Feature.WORKERS, "port", "none"),
        (spec.runs_once, Feature.JOBS, "runsOnce", "a job"),
        (spec.schedule, Feature.SCHEDULES, "schedule", spec.schedule and spec.schedule.cron),
        (spec.path_prefix, Feature.PATH_ROUTING, "pathPrefix", spec.path_prefix),
        (spec.startup, Feature.STARTUP_PROBES, "probes/startup", "a startup probe"),
        (spec.release, Feature.SELF_PROOF, "release", spec.release and spec.release.path),
        *_needs_of_configuration(spec),
        *(
            (True, Feature.SECRET_REFERENCES, f"secrets/{place}", each.source)
            for place, each in enumerate(spec.secrets)
        ),
    )
    for is_needed, feature, name, received in rows:
        if is_needed:
            yield feature, name, str(received)
    for name, probe in spec.probes.items():
        kind, feature = PROBES[type(probe)]
        yield feature, f"probes/{name}/kind", kind
    for place, word in enumerate(spec.requires):
        yield Feature(word), f"requires/{place}", word
    for attribute, name, feature in LIMITS:
        limit = getattr(spec.resources, attribute)
        if limit is not None:
            yield feature, f"resources/{name}", str(limit)


def _needs_of_configuration(spec: RevisionSpec) -> Iterator[tuple[bool, Feature, str, str]]:
    given = spec.configuration
    if given is not None:
        at, names = "configuration", ", ".join
        variables, files = names(sorted(given.variables)), names(sorted(given.files))
        yield bool(variables), Feature.CONFIGURATION_VARIABLES, f"{at}/variables", variables
        yield bool(files), Feature.CONFIGURATION_FILES, f"{at}/files", files


def _features(plan: SurfacePlan, capabilities: Capabilities) -> Iterator[Violation]:
    for need in _needs(plan):
        if not capabilities.supports(need.feature):
            yield Violation(
                "NotSupported",
                need.target,
                _refusal(need.feature, capabilities, need.module),
                _instead(need, plan.elsewhere),
                need.received,
            )


def _refusal(feature: Feature, capabilities: Capabilities, module: str) -> str:
    owner = f" for {module}" if module else ""
    return f"{capabilities.surface} cannot honour {feature}{owner}: {capabilities.lacks[feature]}"


def _instead(need: _Need, elsewhere: Sequence[Capabilities]) -> str:
    able = [each.surface for each in elsewhere if each.supports(need.feature)]
    other = f"computeTarget {' or '.join(able)}" if able else "an environment with another target"
    return f"{need.other or f'a plan without {need.feature}'}, or {other}"


def _weights(plan: SurfacePlan, capabilities: Capabilities) -> Iterator[Violation]:
    step = capabilities.weight_step_percent
    for index, weight in enumerate(plan.weights):
        if not 0 <= weight <= 100 or weight % step:  # noqa: PLR2004  percent
            yield Violation(
                "OutOfRange",
                f"/strategy/steps/{index}",
                f"{capabilities.surface} takes weights in steps of {step} percent",
                f"a multiple of {step} from 0 to 100",
                str(weight),
            )


def _replicas(plan: SurfacePlan, capabilities: Capabilities) -> Iterator[Violation]:
    for index, spec in plan.revisions.items():
        if spec.replicas > capabilities.replicas_max:
            yield Violation(
                "OutOfRange",
                f"/components/{index}/replicas",
                f"{capabilities.surface} cannot run that many instances of a component",
                f"at most {capabilities.replicas_max}",
                str(spec.replicas),
            )


def _probes(plan: SurfacePlan, capabilities: Capabilities) -> Iterator[Violation]:
    for index, spec in plan.revisions.items():
        for name, probe in spec.probes.items():
            fault = _fault_of(probe, spec.port) or _fault_here(name, probe, capabilities)
            if fault:
                yield Violation(
                    "Invalid",
                    f"/components/{index}/probes/{name}",
                    f"{capabilities.surface} cannot run this probe: {fault}",
                    "a path from /, a port, a period and timeout above 0, thresholds from 1",
                    shown(probe),
                )


def _fault_of(probe: Probe, port: int | None) -> str:
    if port is None and not isinstance(probe, CommandProbe):
        return "the component has no port"
    if isinstance(probe, HttpProbe) and not probe.path.startswith("/"):
        return "its path must begin with /"
    if isinstance(probe, CommandProbe) and not probe.command:
        return "it has no command"
    if min(probe.period_s, probe.timeout_s) <= 0 or probe.initial_delay_s < 0:
        return "period and timeout must be above 0 seconds"
    if min(probe.failure_threshold, probe.success_threshold) < 1:
        return "thresholds must be at least 1"
    return ""


def _fault_here(name: str, probe: Probe, capabilities: Capabilities) -> str:
    step = capabilities.probe_step_s
    times = (probe.period_s, probe.timeout_s, probe.initial_delay_s)
    if step and any(time % step for time in times):
        return f"its times must be multiples of {step:g} s"
    if name in capabilities.passes_at_once and probe.success_threshold != 1:
        return f"one success makes a {name} probe passing: successThreshold must be 1"
    return ""


def _routes(plan: SurfacePlan, capabilities: Capabilities) -> Iterator[Violation]:
    owners: dict[str, str] = {}
    for index, spec in plan.revisions.items():
        prefix = spec.path_prefix
        if prefix is None:
            continue
        owner = owners.setdefault(prefix, spec.component.module)
        if owner != spec.component.module:
            yield Violation(
                "RouteTaken",
                f"/components/{index}/pathPrefix",
                f"{capabilities.surface} has one public port, and {prefix} is {owner}'s",
                "another prefix",
                prefix,
            )


def _data(plan: SurfacePlan, capabilities: Capabilities) -> Iterator[Violation]:
    has_folders = capabilities.supports(Feature.DATA_FOLDERS)
    for index, spec in plan.revisions.items():
        given = {data_variable(name) for name in spec.data if has_folders}
        words = [(f"command/{place}", word) for place, word in enumerate(spec.command)]
        words += [(f"environ/{name}", value) for name, value in spec.environ.items()]
        for place, word in words:
            for name in sorted(data_variables(word) - given):
                yield Violation(
                    "DataMissing",
                    f"/components/{index}/{place}",
                    f"the environment has no data folder for ${name}"
                    if has_folders
                    else _refusal(Feature.DATA_FOLDERS, capabilities, spec.component.module),
                    f"one of {', '.join(sorted(given))}" if given else "no data folder",
                    name,
                )


RULES: Final[tuple[Callable[[SurfacePlan, Capabilities], Iterator[Violation]], ...]] = (
    _features,
    _weights,
    _replicas,
    _probes,
    _routes,
    _data,
)


def check(plan: SurfacePlan, capabilities: Capabilities) -> tuple[Violation, ...]:
    """Return every reason to refuse *plan*; empty when the surface can honour all of it."""
    return tuple(finding for rule in RULES for finding in rule(plan, capabilities))
