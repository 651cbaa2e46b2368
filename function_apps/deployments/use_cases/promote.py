"""PromoteDeployment: the same digests to the next environment, once they have soaked."""

from function_apps.deployments.model import promotion
from function_apps.deployments.model.promotion import Source
from function_apps.deployments.ports import DeploymentsApp
from function_apps.deployments.repository import TARGETS, load_set
from function_apps.deployments.use_cases.deploy import AskEvidence, deploy, plan_deployment
from shared.contracts.deployment_plans import DeploymentPlan
from shared.contracts.deployments import Deploy
from shared.contracts.promotions import PromoteDeployment, SoakEvidence
from shared.kernel.context import Context
from shared.messaging.unit_of_work import Json, Outcome


async def promote(
    command: PromoteDeployment, ctx: Context, app: DeploymentsApp, *, token: str = ""
) -> Outcome[Json]:
    """Deploy the same digests to the next environment, once they have soaked where they are.

    With *token*, the bearer token of the caller, health is asked for the evidence.

    Raises:
        NotPromotable: not Completed, not in force, or not Healthy for long enough; says how long
            is left.
        EvidenceRequired: the command has no evidence of health.
        PolicyDenied: it goes to prod, and the operator's rules do not allow it.
    """
    source, release, ask_evidence = await _release(command, ctx, app, token)
    return await deploy(release, ctx, app, ask_evidence=ask_evidence, source=source)


async def plan_promotion(
    command: PromoteDeployment, ctx: Context, app: DeploymentsApp, *, token: str
) -> DeploymentPlan:
    """Return the plan of the promotion with every refusal, and what stays behind; change nothing.

    Raises:
        Stale: as `promote`.
        NotPromotable: the release is not Completed, or is where it is to go.
    """
    source, release, ask_evidence = await _release(command, ctx, app, token)
    return await plan_deployment(release, ctx, app, ask_evidence=ask_evidence, source=source)


async def _release(
    command: PromoteDeployment, ctx: Context, app: DeploymentsApp, token: str
) -> tuple[Source, Deploy, AskEvidence]:
    """Return what is promoted, the deployment that does, and what asks whether it may.

    Raises:
        NotPromotable: the release is not Completed, or is where it is to go.
    """
    known = await load_set(command.deployment_id, ctx, app)
    source = Source.of(known.deployment)

    async def ask_evidence() -> SoakEvidence | None:
        promotion.require_source_in_force(source, known.target)
        evidence = await _ask_health(source, ctx, app, token) if token else command.evidence
        promotion.require_soak_time(source, evidence, app.rules.soak, ctx.now())
        return evidence

    target = await app.service.work.find(TARGETS, command.to_environment_id, ctx.tenant)
    offered = target.environment.targets if target and target.environment else ()
    return source, promotion.promotion_command(source, command, offered), ask_evidence


async def load_source(deployment_id: str, ctx: Context, app: DeploymentsApp) -> Source:
    """Return the release that would be promoted.

    Raises:
        NotPromotable: it is not Completed, or no longer in force.
    """
    known = await load_set(deployment_id, ctx, app)
    source = Source.of(known.deployment)
    promotion.require_source_in_force(source, known.target)
    return source


async def _ask_health(
    source: Source, ctx: Context, app: DeploymentsApp, token: str
) -> SoakEvidence:
    """Ask health, as the caller of *token*, for the services of *source*.

    Raises:
        NotPromotable: one of them is not Healthy.
    """
    services = [component.service_id for component in source.unit.components]
    verdicts = await app.verdicts.ask(services, token=token)
    required = app.rules.soak.of(source.stage)
    return promotion.soak_evidence(source, verdicts, required, ctx.now())
