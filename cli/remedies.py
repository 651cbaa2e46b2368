"""What to do next, for every error code: a sentence with commands that can be typed.

`{deployment}` and the like are filled from the first id of that kind in the message; where it has
none, a placeholder stands there.
"""

import re
from collections.abc import Mapping
from typing import Final

from cli.exit_codes import ExitCode

_WATCH: Final = "wait for it (`runtimectl operations`), then type the command again"
_UPDATE: Final = "read it again (`runtimectl env show`) and repeat the command"
_LOGIN: Final = "log in: `runtimectl login --dev`"
FIXES: Final[Mapping[str, str]] = {
    # Who is asking
    "Unauthenticated": _LOGIN,
    "TokenExpired": _LOGIN,
    "Denied": "log in with a role that may: `runtimectl login --dev --role Runtime.Operate`",
    "ScopeMissing": (
        "log in with a role that has this scope: `runtimectl login --dev --role Runtime.Operate`"
    ),
    "TenantMismatch": "log in for that tenant: `runtimectl login --dev --tenant <tenant>`",
    "NoToken": _LOGIN,
    "NoTenant": _LOGIN,
    "NoIssuer": _LOGIN,
    "NoKeyId": _LOGIN,
    "UnknownKey": f"{_LOGIN}; the token was signed by another system",
    "MalformedToken": _LOGIN,
    "AlgorithmMismatch": _LOGIN,
    "AlgorithmNotAllowed": _LOGIN,
    "TokenNotYetValid": "correct the clock of this machine, then `runtimectl login --dev`",
    "TwoTenants": "log in for one tenant: `runtimectl login --dev --tenant <tenant>`",
    # What was sent
    "Invalid": "correct what the lines above name and type the command again",
    "UnexpectedBody": "send no body with this call",
    "UnknownParameter": "use one of the known parameters that the message lists",
    "TooLarge": "send less: 1 MiB for a request, 100 MiB for an artifact",
    "UnsupportedMediaType": "send JSON; an artifact is a zip",
    "PlanRefused": "change what the plan refuses; `deploy --dry-run` plans without acting",
    "PreconditionRequired": "say it explicitly: `--confirm <name>` for a protected environment",
    "Refused": "correct what the message names and type the command again",
    "RepeatedParameter": "give each query parameter once",
    "TooDeep": "send less deeply nested JSON",
    "IdempotencyKeyReused": "type the command again: it gets a key of its own",
    "MalformedEnvelope": "see what is wrong with it: `runtimectl parked show <event>`",
    "MalformedRow": "a row of the store is damaged: see the log of the host, and report it",
    "NoHandler": "see where it was sent: `runtimectl parked show <event>`",
    "BadArtifact": "build it again: `runtimectl artifact build … --fresh`, and push it",
    "NotSupported": "ask for what the surface can do; the message says which",
    "NotOffered": "name one of the environment's compute targets: `runtimectl env show <name>`",
    "RouteTaken": "give the component another pathPrefix: two cannot share one",
    "SecretInGraph": "give a reference to the secret, not its value",
    "StackName": "choose another environment name",
    "InvalidSetting": "correct the host's setting that the message names, then `runtimectl up`",
    "PartNotSupported": "start the system with `runtimectl up`",
    # What is there
    "NotFound": "look at what there is: `runtimectl env list`, `runtimectl status`",
    "DeploymentMissing": "look at what there is: `runtimectl deployments`",
    "ArtifactMissing": "upload it first: `runtimectl artifact push <zip>`",
    "EnvironmentUnknown": "provision it first: `runtimectl env create <name> --wait`",
    "EnvironmentNotFound": "look at what there is: `runtimectl env list`",
    "ServiceNotFound": "look at what runs: `runtimectl status`; a new one takes a few seconds",
    "HealthNotFound": "look at what runs: `runtimectl status`; a new one takes a few seconds",
    "LogNotFound": "look at what runs: `runtimectl status`",
    "RunUnknown": "look at what goes on: `runtimectl operations`",
    "RevisionMissing": "look at what runs: `runtimectl status`, and deploy again",
    "SiteMissing": "provision the environment again: `runtimectl env create <name> --wait`",
    # What the state does not allow
    "Conflict": "look at the state (`runtimectl status`, `runtimectl deployments`) and decide",
    "Stale": _UPDATE,
    "Held": (
        "fix the cause and deploy another version, or, if this one is right after all: "
        "`runtimectl release-hold {deployment}`"
    ),
    "QueueTaken": "wait for it, `runtimectl cancel {deployment}`, or `--on-conflict queue`",
    "QueueFull": "wait for the queue to move: `runtimectl deployments`",
    "NaturalKeyActive": "wait for {deployment} or `runtimectl cancel {deployment}`",
    "TransitionRefused": "look at its state: `runtimectl deployment {deployment}`",
    "Overtaken": "read it again: `runtimectl deployment {deployment}`",
    "Cancelled": "nothing to do: somebody asked for it to stop",
    "OperationCanceled": "nothing to do: somebody asked for it to stop",
    "EnvironmentNotUsable": "look at the environment: `runtimectl env list`",
    "NotInForce": "roll back the later deployments first: `runtimectl deployments`",
    "NotRollbackable": "deploy the release that you want instead: `runtimectl deploy -f …`",
    "NotCancellable": "roll it back instead: `runtimectl rollback {deployment}`",
    "NotRetryable": "deploy again: `runtimectl deploy -f …`",
    "NothingHeld": "nothing to do: no hold stands in the way",
    "NotPromotable": (
        "look why (`runtimectl status`, `runtimectl deployment {deployment}`), "
        "wait for the soak time and promote again"
    ),
    "EvidenceRequired": "promote with `runtimectl promote`, which asks health first",
    "NotReadyInTime": "read what the workload said: `runtimectl logs <module> --env <name>`",
    "ProofFailed": "see which instance departs: `runtimectl deployment {deployment}`",
    "OperationEnded": "nothing to do: it has ended",
    "OperationOver": "nothing to do: it has ended",
    "ConfirmationMissing": "say it explicitly: `--confirm <name>`",
    "EnvironmentExists": "change it: `runtimectl env update`, or choose another name",
    "EnvironmentFailed": "see why (`runtimectl operations`) and create it again",
    "EnvironmentLate": "see what it waits for: `runtimectl operations`; then deploy again",
    "FixedOnceProvisioned": "stage and region stay; make another environment for others",
    "PlanMoved": "plan again: the state has moved since",
    "StepsLeft": "see what is left (`runtimectl operations`) and type the command again",
    "SoakTimeLeft": "wait for the soak time that the message names, then promote again",
    "GateFailed": "see the evidence: `runtimectl deployment {deployment}`; deploy one that passes",
    "GateInconclusive": "send it more requests, or `runtimectl retry {deployment}`",
    "GateConflict": "nothing to do: the gate was asked for already, with other limits",
    "NotReady": "read what the workload said: `runtimectl logs <module> --env <name>`",
    "Departs": "see which instance departs: `runtimectl deployment {deployment}`",
    "RolledBack": "see why: `runtimectl deployment {deployment}`",
    "RollbackAsked": "nothing to do: somebody asked for it",
    "RevisionDiffers": "deploy again: this revision is taken by other content",
    "StaleFence": "nothing to do: a newer operation works on it",
    "StillWeighted": "wait until its traffic has moved, then type the command again",
    "BadWeights": "give weights that rise to 100: `--weights 10,50,100`",
    "StepFailed": "see what failed: `runtimectl operations`, and the log of the host",
    "TenantBindingRequired": "this stage needs a tenant binding; use another stage",
    "TenantBindingSuspended": "resume the tenant binding first",
    "IsolationBreached": "wait for the tenant's isolation proof to pass again",
    # What is away
    "Unavailable": "try again in a moment; `runtimectl up` starts the system when it is down",
    "AnswerLost": "type the command again: the same one gets the same answer",
    "Contended": "type the command again in a moment",
    "TooManyRequests": "wait as long as the message says, then type the command again",
    "TrafficUnavailable": "wait for the proxy to come back; `runtimectl status` shows it",
    "ProgramUnavailable": "see the log of the host: the environment program could not be run",
    "ProgramImpure": "correct the environment program: it must not ask the world",
    "OutputMissing": "correct the environment program: it lacks the output that is named",
    "VariantUnavailable": "install the variant of the environment program that is named",
    "SupervisorRunning": "stop the host first: `runtimectl down`",
    "HostAway": "start it: `runtimectl up` (its log is in <state>/logs/host.log)",
}
_BY_EXIT: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "",
    ExitCode.DEFECT: "look for the trace id in <state>/logs/host.log, and report it",
    ExitCode.USAGE: "see `--help` of the command",
    ExitCode.REFUSED: FIXES["Refused"],
    ExitCode.NOT_FOUND: FIXES["NotFound"],
    ExitCode.CONFLICT: FIXES["Conflict"],
    ExitCode.UNAVAILABLE: FIXES["Unavailable"],
    ExitCode.ENDED_OTHERWISE: "see why: `runtimectl operations`, `runtimectl events`",
    ExitCode.NOT_LOGGED_IN: _LOGIN,
    ExitCode.STILL_RUNNING: "watch it: `runtimectl operations`",
    ExitCode.INTERRUPTED: "what was accepted goes on; watch it: `runtimectl operations`",
}
_NAMED: Final[Mapping[str, re.Pattern[str]]] = {
    "deployment": re.compile(r"dep-[a-z2-7]{12}-[0-9a-z]{16}"),
    "operation": re.compile(r"op-[a-z-]+-[a-z2-7]{12}-(?:[a-z2-7]{10}-)?[0-9a-z]{16}"),
    "environment": re.compile(r"env-[a-z2-7]{12}"),
}


def fix_for(code: str, message: str, exit_code: ExitCode) -> str:
    """Return what to do about *code*, with the ids that *message* names."""
    fix = FIXES.get(code) or _BY_EXIT[exit_code]
    for name, shape in _NAMED.items():
        found = shape.search(message)
        fix = fix.replace(f"{{{name}}}", found[0] if found else f"<{name}>")
    return fix
