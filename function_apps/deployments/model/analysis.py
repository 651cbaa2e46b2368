"""The analysis of one step: a gate for each component, and the verdict over all of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from function_apps.deployments.model.deployment import Deployment
from function_apps.deployments.model.rollout_steps import RolloutStep
from shared.contracts.deployments import DeploymentKind, EndReason
from shared.contracts.gates import (
    Analysis,
    EvaluateGate,
    GateDefaults,
    GateEvidence,
    GateVersion,
    Measure,
    OnInconclusive,
    Verdict,
    extension_max,
)
from shared.contracts.releases import ReleasedComponent
from shared.contracts.values import ComponentType, GateId, ModuleId, Stage
from shared.kernel.ids import DeploymentId, module_key, parse_id
from shared.kernel.ids import gate_id as gate_id_of
from shared.surfaces.rules import WHOLE

_MINIMUM_MEASURES: Final = frozenset({Measure.READINESS, Measure.SAMPLES})
ANSWER_GRACE_S: Final = 15.0
"""Between a gate's deadline and the arrival of its evidence; then it counts as Inconclusive."""
ANALYSIS_POLL_EVERY: Final = timedelta(seconds=30)
"""Of an analysis: a lost event of it costs no more than this."""
ANALYSIS_POLLS_MAX: Final = 200
"""At one gate; over a long deadline they are spread."""


def is_gated(deployment: Deployment) -> bool:
    """Return whether steps are judged; a rollback goes to what ran before, without a canary."""
    return deployment.kind is not DeploymentKind.ROLLBACK and bool(gated_components(deployment))


def gated_components(deployment: Deployment) -> Sequence[ReleasedComponent]:
    """Return what has a gate: a job is judged by its end, and a schedule has not begun."""
    return [each for each in deployment.released_components if not each.ends]


def gate_of(deployment: Deployment, module: ModuleId, index: int) -> GateId:
    key = module_key(deployment.tenant_id, module)
    return gate_id_of(deployment.deployment_id, key, deployment.attempt, index)


def deployment_of(gate_id: str) -> DeploymentId:
    """Return the deployment whose gate this is. Raises NotFound for another shape."""
    parts = parse_id(gate_id, "gate")
    return DeploymentId(f"dep-{parts.environment}-{parts.rest.split('-', 1)[0]}")


def step_of(deployment: Deployment, gate_id: str) -> RolloutStep | None:
    """Return the step that still waits for the evidence of *gate_id*; None when no step does."""
    for step in deployment.steps:
        if gate_id in step.gates:
            is_known = any(evidence.gate_id == gate_id for evidence in step.evidence)
            return None if is_known else step
    return None


def deadline_of(deployment: Deployment, defaults: GateDefaults, asked_at: datetime) -> datetime:
    return asked_at + (deployment.gate.deadline or defaults.deadline)


def gate_request(
    deployment: Deployment,
    step: RolloutStep,
    component: ReleasedComponent,
    defaults: GateDefaults,
) -> EvaluateGate:
    """Return what health is asked about one component."""
    assert deployment.stage is not None
    assert step.asked_at is not None
    assert step.deadline_at is not None
    gate = deployment.gate
    before = deployment.before(component.module_id)
    weight = step.share_of(component.module_id)
    # At 100 % the old version has no traffic left to compare with: absolute limits only.
    has_baseline = before is not None and weight < WHOLE
    return EvaluateGate(
        gate_id=gate_of(deployment, component.module_id, step.index),
        deployment_id=deployment.deployment_id,
        environment_id=deployment.environment_id,
        stage=deployment.stage,
        module_id=component.module_id,
        service_id=component.service_id,
        attempt=deployment.attempt,
        step=step.index,
        weight=weight,
        candidate=_version(component),
        baseline=_version(before) if before is not None and has_baseline else None,
        port=component.port,
        probes=component.probes,
        probes_count=_probes_count(deployment, component),
        limits=gate.limits,
        window=defaults.window if gate.window is None else gate.window,
        min_samples=gate.min_samples or defaults.min_samples,
        metrics=gate.metrics,
        asked_at=step.asked_at,
        deadline_at=step.deadline_at,
    )


def _version(component: ReleasedComponent) -> GateVersion:
    revision = component.release_revision
    return GateVersion(release_revision=revision, metrics_key=str(revision))


def _probes_count(deployment: Deployment, component: ReleasedComponent) -> bool:
    if deployment.gate.probes_count is not None:
        return deployment.gate.probes_count
    return deployment.stage is not Stage.PROD or component.component_type is ComponentType.WORKER


def verdict_of(step: RolloutStep, now: datetime) -> Verdict | None:
    """Return the verdict over all components: one Fail fails, all Pass pass, else Inconclusive.

    None while evidence is awaited and nothing has failed; what has not come by the deadline
    counts as Inconclusive.
    """
    verdicts = [evidence.verdict for evidence in step.evidence]
    if Verdict.FAIL in verdicts:
        return Verdict.FAIL
    if len(verdicts) < len(step.gates) and now < _over_at(step):
        return None
    is_whole = len(verdicts) == len(step.gates)
    if is_whole and all(verdict is Verdict.PASS for verdict in verdicts):
        return Verdict.PASS
    return Verdict.INCONCLUSIVE


def after_poll(step: RolloutStep, now: datetime) -> RolloutStep:
    """Return *step* after a poll for its evidence, with the time by which the poll was late."""
    since = step.looked_at or step.asked_at
    late_s = (now - next_poll_at(step, since)).total_seconds() if since else 0.0
    return replace(step, looked_at=now, away_s=step.away_s + max(0.0, late_s))


def _over_at(step: RolloutStep) -> datetime:
    """Return when evidence is no longer awaited.

    Health moves its deadline where it saw nothing, and by all of the time in which the host was
    away. That began at any time between two polls.
    """
    assert step.deadline_at is not None
    extension = extension_max(step.asked_at, step.deadline_at) if step.asked_at else timedelta(0)
    over_at = step.deadline_at + extension + timedelta(seconds=ANSWER_GRACE_S)
    if not step.away_s:
        return over_at
    return over_at + timedelta(seconds=step.away_s) + _poll_every(step, over_at)


def _poll_every(step: RolloutStep, over_at: datetime) -> timedelta:
    spread = (
        (over_at - step.asked_at) / ANALYSIS_POLLS_MAX if step.asked_at else ANALYSIS_POLL_EVERY
    )
    return max(ANALYSIS_POLL_EVERY, spread)


def next_pause_poll_at(since: datetime, until: datetime, now: datetime) -> datetime:
    """Return when to poll a pause that lasts *until*, and what carries its traffic, next."""
    return min(until, now + max(ANALYSIS_POLL_EVERY, (until - since) / ANALYSIS_POLLS_MAX))


def next_poll_at(step: RolloutStep, now: datetime) -> datetime:
    """Return when to poll *step* next without an event, at the latest when it is over."""
    over_at = _over_at(step)
    return min(now + _poll_every(step, over_at), max(over_at, now + timedelta(seconds=1)))


def on_inconclusive(deployment: Deployment, defaults: GateDefaults) -> OnInconclusive:
    assert deployment.stage is not None
    return deployment.gate.on_inconclusive or defaults.on_inconclusive(deployment.stage)


def reason_of(step: RolloutStep, verdict: Verdict) -> EndReason:
    """Return why *step* was rolled back: the gate that decided, with all evidence of the step."""
    deciding: Sequence[GateEvidence] = [e for e in step.evidence if e.verdict is verdict]
    gate = deciding[0].gate_id if deciding else None
    return EndReason(
        code="GateFailed" if verdict is Verdict.FAIL else "GateInconclusive",
        message=_sentence(step, verdict, deciding),
        gate_id=gate,
        evidence=step.evidence,
    )


def _sentence(step: RolloutStep, verdict: Verdict, deciding: Sequence[GateEvidence]) -> str:
    if not deciding:
        missing = len(step.gates) - len(step.evidence)
        return f"at {step.weight} % {missing} of {len(step.gates)} gates gave no answer in time"
    rules = [analysis for analysis in deciding[0].analyses if analysis.verdict is verdict]
    why = f": {_measured(rules[0])} {rules[0].reason}" if rules else ""
    return f"at {step.weight} % the gate of {deciding[0].module_id} said {verdict}{why}"[:2048]


def _measured(analysis: Analysis) -> str:
    """Return what was measured, with its bound where *analysis* has both."""
    if analysis.value is None or analysis.threshold is None:
        return str(analysis.measure)
    value, threshold = (
        f"{each:.2%}" if analysis.unit == "ratio" else f"{each:g} {analysis.unit}"
        for each in (analysis.value, analysis.threshold)
    )
    bound = "needs" if analysis.measure in _MINIMUM_MEASURES else "limit"
    return f"{analysis.measure} {value}, {bound} {threshold}:"
