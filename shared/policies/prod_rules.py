"""The rules of the operator for what changes prod: the setting `RUNTIME_PROD_POLICY`. Pure.

A part that is not given allows everything; an empty list allows nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from shared.contracts.components import Component
from shared.contracts.environments import ComputeTargetSpec, DataResourceSpec
from shared.contracts.shape import Value
from shared.contracts.validation import parse
from shared.contracts.values import (
    REPLICAS_MAX,
    IsolationModel,
    ModuleId,
    Region,
    Resources,
    Stage,
)
from shared.images.image_rules import Source, is_from
from shared.images.reference import parse_reference
from shared.kernel.dataclass import dataclass
from shared.kernel.errors import Invalid, Violation

PROD_POLICY: Final = "RUNTIME_PROD_POLICY"


class Sizes(Value):
    """The largest that prod is given; what is not given has no bound."""

    replicas: Annotated[int, Field(ge=1, le=REPLICAS_MAX)] | None = None
    """Instances of one component, as a release asks for them or a scaling policy allows them."""
    instance: Resources | None = None
    """Limits of one instance."""
    compute_target: Resources | None = None
    """Capacity of one compute target of an environment; no more for all instances of a service
    together, as a scaling policy allows them."""


class ProdRules(Value):
    """The built-in rules."""

    regions: Annotated[tuple[Region, ...], Field(max_length=50)] | None = None
    """Where environments of the stage prod may be."""
    registries: Annotated[tuple[Source, ...], Field(max_length=50)] | None = None
    """Where images may come from, as in `RUNTIME_IMAGE_RULES`."""
    stages: Annotated[tuple[Stage, ...], Field(max_length=4)] | None = None
    """From which a release may be promoted to prod; nothing is deployed there otherwise."""
    sizes: Sizes | None = None


@dataclass(frozen=True)
class Instances:
    """How many instances of a module a scaling policy allows, and what one may take."""

    module_id: ModuleId | str
    min: int
    max: int
    limits: Resources

    def inputs(self) -> Mapping[str, Any]:
        return {
            "moduleId": self.module_id,
            "min": self.min,
            "max": self.max,
            "resources": _shown(self.limits),
        }


@dataclass(frozen=True)
class ProdChange:
    """What a caller asks to change in prod, without what may have a secret in it.

    No variables, commands, settings or tags.
    """

    action: str
    environment_id: str
    region: Region | None = None
    """Of an environment; a release goes where its environment is."""
    isolation_model: IsolationModel | None = None
    compute_targets: Sequence[ComputeTargetSpec] = ()
    data_resources: Sequence[DataResourceSpec] = ()
    admits: Sequence[str] = ()
    components: Sequence[Component] = ()
    remove: Sequence[ModuleId] = ()
    promoted_from: Stage | None = None
    instances: Instances | None = None

    def inputs(self) -> Mapping[str, Any]:
        """Return what the decision rests on, as JSON."""
        given = {
            "action": self.action,
            "environmentId": self.environment_id,
            "stage": Stage.PROD.value,
            "region": self.region,
            "isolationModel": self.isolation_model,
            "computeTargets": [
                {"kind": each.kind.value, "capacity": _shown(each.capacity)}
                for each in self.compute_targets
            ],
            "dataResources": [
                {"name": each.name, "kind": each.kind.value} for each in self.data_resources
            ],
            "admits": [*self.admits],
            "components": [_component(each) for each in self.components],
            "remove": [*self.remove],
            "promotedFrom": self.promoted_from,
            "instances": self.instances.inputs() if self.instances else None,
        }
        return {name: value for name, value in given.items() if value not in (None, [])}


def violations(rules: ProdRules, change: ProdChange) -> Sequence[Violation]:
    """Return what *rules* do not allow of *change*, each with what they would."""
    return [violation for rule in _RULES for violation in rule(rules, change)]


def read_prod_rules(text: str) -> ProdRules:
    """Return the rules that *text* has, a JSON object: `RUNTIME_PROD_POLICY`.

    Raises:
        Invalid: it is none, with a violation for each mistake.
    """
    if not text.strip():
        return ProdRules()
    try:
        return parse(ProdRules, text.encode())
    except Invalid as problem:
        details = [
            Violation("RuleBroken", at, f"{at}: {each.message}")
            for each in problem.details
            for at in [f"{PROD_POLICY}{each.target}"]
        ]
        message = "; ".join(each.message for each in details)
        raise Invalid(message, details=details) from problem


def _regions(rules: ProdRules, change: ProdChange) -> Iterator[Violation]:
    if rules.regions is not None and change.region not in (None, *rules.regions):
        yield _violation(
            "RegionNotAllowed", "/region", "prod is in other regions", rules.regions, change.region
        )


def _registries(rules: ProdRules, change: ProdChange) -> Iterator[Violation]:
    if rules.registries is None:
        return
    for index, component in enumerate(change.components):
        if component.image is None:
            continue
        reference = parse_reference(component.image)
        if not any(is_from(source, reference) for source in rules.registries):
            yield _violation(
                "RegistryNotAllowed",
                f"/components/{index}/image",
                "images of prod come from other registries",
                rules.registries,
                component.image,
            )


def _stages(rules: ProdRules, change: ProdChange) -> Iterator[Violation]:
    if rules.stages is None or not change.components or change.promoted_from in rules.stages:
        return
    found = change.promoted_from
    yield _violation(
        "StageNotAllowed",
        "/environmentId",
        "a release comes to prod by a promotion from another stage",
        [f"a promotion from {stage}" for stage in rules.stages],
        f"a promotion from {found}" if found else "a deployment without promotion",
    )


def _sizes(rules: ProdRules, change: ProdChange) -> Iterator[Violation]:
    sizes = rules.sizes or Sizes()
    for index, component in enumerate(change.components):
        at, replicas = f"/components/{index}", component.replicas or 1
        if sizes.replicas is not None and replicas > sizes.replicas:
            yield _too_large(f"{at}/replicas", sizes.replicas, replicas)
        yield from _above(sizes.instance, component.resources, f"{at}/resources")
    for index, target in enumerate(change.compute_targets):
        yield from _above(
            sizes.compute_target, target.capacity, f"/computeTargets/{index}/capacity"
        )
    if change.instances is not None:
        yield from _too_many(sizes, change.instances)


_DIGITS: Final = 6
"""Of a product that are meant: ten instances of 1.1 cores are no more than 11."""
_RULES: Final = (_regions, _registries, _stages, _sizes)


def _too_many(sizes: Sizes, asked: Instances) -> Iterator[Violation]:
    """Yield what *asked* has above the number for one component, or the size of one target.

    A limit that an instance does not have is none that can be added up.
    """
    if sizes.replicas is not None and asked.max > sizes.replicas:
        yield _too_large("/max", sizes.replicas, asked.max)
    limits = _shown(asked.limits)
    for name, most in _shown(sizes.compute_target).items():
        together = round(asked.max * limits.get(name, 0), _DIGITS)
        if together > most:
            yield _violation(
                "SizeNotAllowed",
                "/max",
                f"all instances together are given less {name} in prod",
                [f"at most {most}"],
                f"{together:g}",
            )


def _above(bound: Resources | None, asked: Resources | None, at: str) -> Iterator[Violation]:
    """Yield each limit of *asked* that is above *bound*, or that is none where that has one."""
    wanted = _shown(asked)
    for name, most in _shown(bound).items():
        if wanted.get(name) is None or wanted[name] > most:
            yield _too_large(f"{at}/{name}", most, wanted.get(name, "no limit"))


def _too_large(at: str, most: float, found: object) -> Violation:
    return _violation("SizeNotAllowed", at, "prod is given less", [f"at most {most}"], found)


def _violation(
    code: str, at: str, message: str, allowed: Iterable[object], found: object
) -> Violation:
    expected = ", ".join(map(str, allowed)) or "nothing"
    return Violation(code, at, f"{message} ({PROD_POLICY})", expected, str(found))


def _component(component: Component) -> Mapping[str, Any]:
    given = {
        "moduleId": component.module_id,
        "componentType": component.component_type.value,
        "version": component.version,
        "image": component.image,
        "artifactDigest": component.artifact_digest,
        "replicas": component.replicas or 1,
        "resources": _shown(component.resources),
    }
    return {name: value for name, value in given.items() if value is not None}


def _shown(resources: Resources | None) -> Mapping[str, Any]:
    return resources.model_dump(mode="json", exclude_none=True) if resources else {}
