"""A component as it is asked for, as the release unit records it, and as a surface gets it."""

from collections.abc import Iterable, Mapping, Sequence

from function_apps.deployments.model import bound_secrets, configuration
from function_apps.deployments.model.deployment_target import DeploymentTarget
from function_apps.deployments.model.facts import SCALING, SECRET, Fact
from shared.contracts.components import Component
from shared.contracts.configuration_merge import Values
from shared.contracts.placement import default_placement
from shared.contracts.releases import (
    ConfigurationPin,
    ReleasedComponent,
    ReleasedSecret,
    ReleaseUnit,
    Routing,
)
from shared.contracts.strategies import RolloutDefaults
from shared.contracts.values import (
    ComputeTargetKind,
    EnvironmentId,
    ModuleId,
    Reason,
    TenantId,
)
from shared.kernel.ids import module_key, parse_id, service_id
from shared.surfaces.released_component import revision_spec
from shared.surfaces.spec import RevisionSpec


def to_released_component(
    component: Component,
    tenant: TenantId,
    target: DeploymentTarget,
    pin: ConfigurationPin | None = None,
    recorded: Sequence[ReleasedSecret] | None = None,
) -> ReleasedComponent | None:
    """Return *component* as the release unit records it under its next release revision.

    It runs where it says, else where its type belongs; None when nothing of the environment fits.
    *pin* is its configuration, secret versions and scaling policy are what their services said
    last; what nobody said is 0 or empty, and `missing_parts` says so. Data folders are of the owner
    of the environment: tenants that were admitted to it have no data of each other's. Of a release
    that comes back, the secrets are those that it had *recorded*.
    """
    environment = target.environment
    kind = _placement(component, environment.targets if environment else ())
    if kind is None:
        return None
    revision = target.module(component.module_id).last + 1
    asked = 1 if component.replicas is None else component.replicas
    key = parse_id(target.environment_id, "env").environment
    facts = [fact for fact in target.facts.values() if fact.module in {"", component.module_id}]
    secrets, versions = _secrets(facts, recorded)
    policy = _policy_revision(facts)
    return ReleasedComponent(
        module_id=component.module_id,
        service_id=service_id(key, module_key(tenant, component.module_id)),
        release_revision=revision,
        component_type=component.component_type,
        version=component.version,
        image=component.image,
        digest=component.digest,
        compute_target=kind,
        port=component.port,
        path_prefix=component.path_prefix,
        command=component.command,
        environ=component.environ,
        release=component.release,
        probes=component.probes,
        resources=component.resources,
        requires=component.requires,
        depends_on=component.depends_on,
        runs_once=component.runs_once,
        schedule=component.schedule,
        scheduled=component.scheduled,
        replicas=_minimum(facts, asked),
        asked_replicas=asked if policy else None,
        configuration_mode=component.configuration_mode,
        configuration_delivery=component.configuration_delivery,
        configuration=pin or ConfigurationPin(),
        secret_versions=versions,
        secrets=secrets,
        scaling_policy_revision=policy,
        data=environment.data if environment and environment.owner == tenant else (),
        routing=Routing(weights={str(revision): 100} if component.port else {}),
        owner=component.owner,
    )


def _placement(
    component: Component, offered: Sequence[ComputeTargetKind]
) -> ComputeTargetKind | None:
    """Return where *component* runs of what is *offered*; None where nothing fits."""
    return component.compute_target or default_placement(
        component.component_type,
        offered,
        scheduled=component.scheduled or component.schedule is not None,
        is_archive=component.image is None,
    )


def _minimum(facts: Sequence[Fact], asked: int) -> int:
    """Return the fewest instances: the minimum of a policy where one is in force, else *asked*.

    At least one: nothing is proved by none.
    """
    policies = [fact for fact in facts if fact.kind == SCALING and fact.policy_revision]
    return max((1, *(fact.minimum for fact in policies))) if policies else asked


def _policy_revision(facts: Sequence[Fact]) -> int:
    return max((fact.policy_revision for fact in facts if fact.kind == SCALING), default=0)


def _secrets(
    facts: Sequence[Fact], recorded: Sequence[ReleasedSecret] | None
) -> tuple[tuple[ReleasedSecret, ...], Mapping[str, str]]:
    """Return the secrets that a module is given, by name, and the version of each."""
    if recorded is not None:
        secrets = bound_secrets.restored(recorded, facts)
        return tuple(sorted(secrets, key=bound_secrets.BY_NAME)), {
            secret.name: secret.version for secret in secrets
        }
    bound = [fact for fact in facts if fact.kind == SECRET and fact.version]
    # Of one that was recorded before its vault was, only the version is known.
    secrets = tuple(bound_secrets.to_released_secret(fact) for fact in bound if fact.vault)
    return tuple(sorted(secrets, key=bound_secrets.BY_NAME)), {
        fact.name: fact.version for fact in bound
    }


def planned(
    components: Sequence[Component],
    tenant: TenantId,
    target: DeploymentTarget,
    pins: Mapping[ModuleId, ConfigurationPin],
    recorded: Mapping[ModuleId, Sequence[ReleasedSecret]],
) -> tuple[ReleasedComponent, ...]:
    """Return *components* as they would be recorded now, once it is known where they run."""
    units = (
        to_released_component(
            component,
            tenant,
            target,
            pins.get(component.module_id),
            recorded.get(component.module_id),
        )
        for component in components
    )
    return tuple(filter(None, units))


def recorded_unit(
    components: Iterable[ReleasedComponent],
    target: DeploymentTarget,
    removed: tuple[ModuleId, ...],
) -> ReleaseUnit:
    """Return the unit of *components*, each with the binding in force."""
    binding = target.binding_revision
    bound = {"tenant_binding_revision": binding}
    return ReleaseUnit(
        components=tuple(component.model_copy(update=bound) for component in components),
        tenant_binding_revision=binding,
        removed=removed,
    )


def missing_parts(unit: ReleaseUnit) -> tuple[Reason, ...]:
    """Return the parts of *unit* that nobody has provided, and the rule by which they will be."""
    rows = (
        (
            any(component.configuration.hash is None for component in unit.components),
            "ConfigurationAbsent",
            "nothing is published for it; the next unit pins the versions in force then",
        ),
        (
            not any(component.secret_versions for component in unit.components),
            "SecretVersionsAbsent",
            "no secret is bound; the next unit records the versions in force then",
        ),
        (
            not any(component.scaling_policy_revision for component in unit.components),
            "ScalingPolicyAbsent",
            "no policy is applied; deployments own the number of replicas until one is",
        ),
        (
            not unit.tenant_binding_revision,
            "TenantBindingAbsent",
            "the tenant is not bound; without a binding only the owner deploys, outside prod",
        ),
    )
    return tuple(Reason(code=code, message=message) for is_so, code, message in rows if is_so)


def requested_component(component: ReleasedComponent) -> Component:
    """Return what has to be asked for to get *component* again, under a new revision.

    An image is asked for by the digest that was recorded, whatever its tag names by now; of the
    instances as many as the release asked for, whatever a policy made of that.
    """
    asked = component.asked_replicas
    return Component(
        module_id=component.module_id,
        component_type=component.component_type,
        version=component.version,
        image=component.image,
        artifact_digest=None if component.image else component.digest,
        compute_target=component.compute_target,
        replicas=component.replicas if asked is None else asked,
        command=component.command,
        port=component.port,
        path_prefix=component.path_prefix,
        environ=component.environ,
        release=component.release,
        probes=component.probes,
        resources=component.resources,
        requires=component.requires,
        depends_on=component.depends_on,
        runs_once=component.runs_once,
        schedule=component.schedule,
        scheduled=component.scheduled,
        configuration_mode=component.configuration_mode,
        configuration_delivery=component.configuration_delivery,
        owner=component.owner,
    )


def to_revision_spec(
    component: ReleasedComponent,
    environment_id: EnvironmentId,
    tenant: TenantId,
    rollout: RolloutDefaults,
    values: Values | None = None,
) -> RevisionSpec:
    """Return what a surface is asked for; the same unit always gives the same workload.

    *values* are those that its configuration stands for; without them it is given none.
    """
    pin = component.configuration
    given = (
        configuration.to_surface(pin, values, component.configuration_delivery)
        if pin.hash and values is not None
        else None
    )
    return revision_spec(component, environment_id, tenant, rollout, given)
