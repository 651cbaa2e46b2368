"""The remedy for each error code: a sentence with commands that can be typed as they stand.

`{deployment}` and the like are filled in by `cli.remedy_lookup`.
"""

from collections.abc import Mapping
from typing import Final

_READ_AGAIN: Final = "read it again (`runtimectl env show {name}`) and repeat the command"
LOGIN: Final = "log in: `runtimectl login --dev`"
AS_WHO: Final = "runtimectl login --dev --tenant {caller} --user {user}"
_RESUME: Final = (
    "see why it is suspended: `runtimectl tenant show {name}`; resume it: "
    "`runtimectl tenant resume {name} --reason settled`"
)
REMEDIES: Final[Mapping[str, str]] = {
    # The caller
    "Unauthenticated": LOGIN,
    "TokenExpired": LOGIN,
    "Denied": f"log in with a role that may: `{AS_WHO} --role Runtime.Operate`",
    "ScopeMissing": (f"log in with a role that has this scope: `{AS_WHO} --role Runtime.Operate`"),
    "PolicyDenied": (
        "ask for what the message names as expected, or have the operator change the policy;"
        " what was decided before: `runtimectl audit --policy`"
    ),
    "TenantMismatch": "log in for that tenant: `runtimectl login --dev --tenant <tenant>`",
    "NoToken": LOGIN,
    "NoTenant": LOGIN,
    "NoIssuer": LOGIN,
    "NoKeyId": LOGIN,
    "UnknownKey": f"{LOGIN}; the token was signed by another system",
    "MalformedToken": LOGIN,
    "AlgorithmMismatch": LOGIN,
    "AlgorithmNotAllowed": LOGIN,
    "TokenNotYetValid": "correct the clock of this machine, then `runtimectl login --dev`",
    "UnmappedToken": (
        "use a client that is mapped to your tenant, or have this one mapped in RUNTIME_TENANTS"
    ),
    # The request
    "Invalid": "correct what the lines above name and type the command again",
    "UnexpectedBody": "send no body with this call",
    "UnknownParameter": "use one of the known parameters that the message lists",
    "TooLarge": "send less: 1 MiB for a request, 100 MiB for an artifact",
    "UnsupportedMediaType": "send JSON; an artifact is a zip",
    "PlanRefused": "change what the plan refuses; `--dry-run`, or `env plan`, plans without acting",
    "PreconditionRequired": "confirm it: `--confirm {name}` for a protected environment",
    "Refused": "correct what the message names and type the command again",
    "RepeatedParameter": "give each query parameter once",
    "LengthRequired": "send the body with Content-Length, not in chunks",
    "TooMany": "send fewer items: 1,000 in one list, 20,000 values in a body",
    "RepeatedField": "give each name once in an object",
    "TooDeep": "send less deeply nested JSON",
    "IdempotencyKeyReused": "type the command again: it gets a key of its own",
    "MalformedEnvelope": "see its reason: `runtimectl parked show <event>`",
    "MalformedRow": "a row of the store is damaged: see the log of the host, and report it",
    "DeadLetterTooOld": "ask for its change anew: `runtimectl parked show <event>` has its content",
    "NoHandler": "see where it was sent: `runtimectl parked show <event>`",
    "DryRunByMessage": "ask for the plan over HTTP: `runtimectl deploy --dry-run`",
    "BadReference": "name it whole: registry/repository:tag, or registry/repository@sha256:…",
    "ImageMissing": "push it (`runtimectl image build … --push`), or correct its name",
    "ImageDenied": "give its credentials: `--username`, or RUNTIME_REGISTRIES of the system",
    "ImageNotSupported": "push an image: `runtimectl image build … --push` makes one",
    "BadArtifact": "build it again: `runtimectl artifact build … --fresh`, and push it",
    "DataMissing": (
        "put the folder back, or add it: `runtimectl env update {name} --data NAME=LocalFolder`"
    ),
    "NotSupported": "change the plan, or use another compute target; the message says why",
    "RouteTaken": "give the component another pathPrefix",
    "SiloNotAlone": "admit no other tenant there, or choose another isolation model",
    "PathNotOwned": "leave out pathPrefix: it is reached by its host name",
    "SecretInGraph": "give a reference to the secret, not its value",
    "StackName": "choose another environment name",
    "InvalidSetting": "correct the host's setting that the message names, then `runtimectl up`",
    "ExporterNotInstalled": "install what the message names, then `runtimectl up`",
    "PartNotSupported": "start the system with `runtimectl up`",
    "SecretDeleted": "recover the secret, or purge it: `az keyvault secret recover`, `… purge`",
    "VaultNotAllowed": "name a vault below the suffix that the message names",
    "VaultMissing": (
        "name a vault of yours by `--vault` and `--external`: the environment's is its owner's"
    ),
    "SecretDisabled": "enable the version of the secret, or name another",
    # What does not exist
    "NotFound": "see what exists: `runtimectl env list`, `runtimectl status`",
    "DeploymentMissing": "see what exists: `runtimectl deployments`",
    "ArtifactMissing": "upload it first: `runtimectl artifact push <zip>`",
    "EnvironmentUnknown": "provision it first: `runtimectl env create {name} --wait`",
    "EnvironmentNotFound": (
        "see what exists: `runtimectl env list`; where else your tenant may deploy: "
        "`runtimectl tenant list`"
    ),
    "ServiceNotFound": "see what runs: `runtimectl status`; a new one takes a few seconds",
    "HealthNotFound": "see what runs: `runtimectl status`; a new one takes a few seconds",
    "LogNotFound": "see what runs: `runtimectl status`; of what is gone: "
    "`runtimectl logs MODULE --env NAME`",
    "RevisionMissing": "see what runs: `runtimectl status`, and deploy again",
    "UnknownRelease": "replace what runs: `runtimectl deploy -f …`",
    "SiteMissing": "provision the environment again: `runtimectl env create {name} --wait`",
    # What the state does not allow
    "Conflict": "see the state: `runtimectl status`, `runtimectl deployments`",
    "Stale": _READ_AGAIN,
    "Held": (
        "fix the cause and deploy another version, or, if this one is right after all: "
        "`runtimectl release-hold {deployment}`"
    ),
    "QueueTaken": "wait for it, `runtimectl cancel {deployment}`, or `--on-conflict queue`",
    "QueueFull": "wait for the queue to move: `runtimectl deployments`",
    "HoldsFull": "release holds of old releases: `runtimectl release-hold {deployment}`",
    "FactsFull": "decommission what is unused, then `runtimectl parked replay <event>`",
    "NaturalKeyActive": "wait for {deployment} or `runtimectl cancel {deployment}`",
    "TransitionRefused": "look at its state, and wait for one that the message names",
    "Cancelled": "nothing to do: it was canceled on request",
    "OperationCanceled": "nothing to do: it was canceled on request",
    "EnvironmentNotUsable": "see its status: `runtimectl env list`",
    "NotInForce": "roll back the later deployments first: `runtimectl deployments`",
    "NotRollbackable": (
        "deploy the release that you want, or a file with `remove: [{module}]`: "
        "`runtimectl deploy -f …`"
    ),
    "NothingToTakeBack": (
        "deploy the release that you want: `runtimectl deploy -f …`; or name an earlier one of "
        "`runtimectl deployments` by `--to`"
    ),
    "ArtifactRemoved": (
        "`runtimectl artifact push <zip>` of the same content, or roll back to a later one: "
        "`runtimectl deployments`"
    ),
    "NotCancellable": "roll it back instead: `runtimectl rollback {deployment}`",
    "NotRetryable": "deploy again: `runtimectl deploy -f …`",
    "NoActiveHold": "nothing to do: there is no hold",
    "NotPromotable": (
        "see why (`runtimectl status`, `runtimectl deployment {deployment}`), "
        "wait for the soak time and promote again"
    ),
    "EvidenceRequired": (
        "promote it, which asks health first: `runtimectl promote {deployment} --to {name}`"
    ),
    "DrainIncomplete": "see why the named workloads do not go, then delete the environment again",
    "CannotStart": "mend what the message says, then deploy again",
    "JobFailed": "mend what its last lines say, then deploy a new version: its job runs anew",
    "StartFailed": "mend what its last lines say, then deploy a new version",
    "NotReadyInTime": "read the workload's output: `runtimectl logs {module} --env {name}`",
    "ProofFailed": "see which instance departs: `runtimectl deployment {deployment}`",
    "OperationAlreadyEnded": "nothing to do: it has ended",
    "OperationAbandoned": "see what it left (`runtimectl status`), then type the command again",
    "CancelNotPossible": "wait for its end: `runtimectl operations`; the message says why",
    "AbandonNotPossible": "see {state}/logs/host.log for the operation's id, and report it",
    "ActivityFailed": "see {state}/logs/host.log for the operation's id, and report it",
    "OperationSuperseded": "watch the operation that superseded it: `runtimectl operations`",
    "RunNotActive": "nothing to do: the run has ended",
    "StackBusy": "wait for the other run, or cancel it: `runtimectl operations`",
    "ConfirmationMissing": "type the command again with `--confirm {confirm}`",
    "DataResourceUnknown": "name what it has: `runtimectl env show {name}`",
    "DataWouldBeDeleted": (
        "keep it with `--data`, or delete it with its content: "
        "`runtimectl env update {name} --remove-data NAME`"
    ),
    "RetainDiffers": "nothing keeps it now; see what stays: `runtimectl env show {name}`",
    "EnvironmentExists": (
        "leave it as it is, which `runtimectl env show {name}` shows, or change it: "
        "`runtimectl env update {name}`; stage and region cannot change: "
        "`runtimectl env delete {name}` and create it again, or choose another name"
    ),
    "EnvironmentFailed": "see why (`runtimectl operations`) and create it again",
    "EnvironmentLate": "see what it waits for: `runtimectl operations`; then deploy again",
    "PlanChanged": "plan again: the state has changed since",
    "SoakTimeLeft": "wait for the soak time that the message names, then promote again",
    "GateFailed": "see the evidence: `runtimectl deployment {deployment}`; deploy one that passes",
    "GateInconclusive": (
        "release its hold (`runtimectl release-hold {deployment}`), deploy it again and send it "
        "requests while the gate waits, or let it pass with `gate: {onInconclusive: pass}`"
    ),
    "GateConflict": "nothing to do: the gate exists already, with other limits",
    "NotReady": "read the workload's output: `runtimectl logs {module} --env {name}`",
    "Departs": "see which instance departs: `runtimectl deployment {deployment}`",
    "RolledBack": "see why: `runtimectl deployment {deployment}`",
    "RollbackAsked": "nothing to do: it was rolled back on request",
    "RevisionDiffers": "deploy again: this revision exists with other content",
    "StaleFence": "nothing to do: a newer operation works on it",
    "FieldTaken": "let the manager that the message names give the field up, then deploy again",
    "ObjectRefused": "change what the message names in the release, or the cluster's policy",
    "ClusterNotPrepared": "give it: `kubectl apply --server-side -f deploy/kubernetes/rbac.yaml`",
    "NamespaceTaken": "look into the namespace that the message names, delete it, and try again",
    "NotOwner": "change the rules of scaling: they have the number of instances",
    "StillWeighted": "wait until its traffic has moved, then type the command again",
    "BadWeights": "give weights that rise to 100: `--weights 10,50,100`",
    "StepFailed": "see what failed: `runtimectl operations`, and the log of the host",
    # Tenants
    "TenantBindingRequired": (
        "bind your tenant, then type the command again: `runtimectl tenant bind {name} --wait`"
    ),
    "TenantBindingSuspended": _RESUME,
    "TenantSuspended": _RESUME,
    "MoveUnderWay": "watch it: `runtimectl tenant show {name}`; before Cleaning the model that it"
    " comes from takes it back",
    "SuspendedByAnother": "ask who suspended it, as the message says, to resume it",
    "ErasureNotReported": (
        "see whether it is Unbound: `runtimectl tenant show {binding}`; a report takes up to 5 min"
        " from then on, and what is left is named above"
    ),
    "TenantBindingNotFound": (
        "see the bindings: `runtimectl tenant list`; those of guests in an environment of yours: "
        "`runtimectl tenant list --env {name}`, and `--tenant` names one"
    ),
    "TenantBindingExists": (
        "unbind it, which takes what a guest has there, then bind it again: "
        "`runtimectl tenant unbind {binding}{guest} --confirm {tenant} --wait`"
    ),
    "EnvironmentNotAdmitting": (
        "its owner sees whether it is Provisioned (`runtimectl env list`) and admits the tenant: "
        "`runtimectl env update {name} --admit {tenant} --wait`"
    ),
    "TenantsBound": (
        "see who is bound: `runtimectl tenant list --env {name}`; as an administrator unbind each: "
        "`runtimectl tenant unbind {name} --tenant <guest> --confirm <guest> --wait`"
    ),
    "ForeignTenant": "have the owner of the environment bind it, or that tenant itself",
    "TenantNotAdmitted": "ask the owner to admit the tenant (`admits`), then bind it again",
    "EnvironmentNotThere": "see its status: `runtimectl env list`; bind again when it is there",
    "IsolationNotSupported": (
        "leave out what the message names, or take an environment with another target"
    ),
    "IsolationBreached": "see what the proof found: `runtimectl tenant proofs {name}`",
    # Secrets and their bindings
    "BindingNotFound": "see what is bound: `runtimectl secret list`",
    "BindingExists": (
        "revoke it, then bind it again: "
        "`runtimectl secret revoke {secret} --env {name} --module {module}`"
    ),
    "TargetTaken": "name another variable or file for the secret",
    "VaultNotOfEnvironment": "leave the vault out, or say that the secret is external",
    "VaultOfAnEnvironment": "bind the secret in the environment that has this vault",
    "GeneratorNotSupported": "use a generator that the message names, or set it in the vault",
    "SecretHasNoVersion": "set a version in the vault, or name a generator; then bind it again",
    "ConsumersFull": "use a secret of another name, with the same value",
    "SecretNameReserved": "give the secret another name",
    "RotationNotFound": "see what is bound: `runtimectl secret list`",
    "BindingNotBound": "wait until the binding is Bound, then type the command again",
    "RotationInFlight": (
        "wait for it: `runtimectl secret rotation {rotation} --wait --until-revoked`; or end it, "
        "which leaves every version enabled, and rotate again: "
        "`runtimectl operations cancel {operation}`"
    ),
    "VersionInForce": (
        "see which is in force: `runtimectl secret versions {secret} --env {name}`; name a newer "
        "one"
    ),
    "GeneratorMissing": "set a new version in the vault and name it, or bind with a generator",
    "VersionUnusable": "enable the version in the vault, or name another",
    "WebhookDenied": "name a public https address in the generator, and bind the secret anew",
    "WebhookRefused": "see the webhook's own log: it is to answer 200 with a value; then rotate",
    "GeneratorDiffers": "name the generator that the secret's other bindings have, or none",
    "LoginNotMade": "rotate without a version: the generator makes one with a login",
    "LoginNotRetired": "enable that version in the vault, then rotate again",
    "ConsumerRolledBack": "see why: `runtimectl deployment <deployment>`; mend it, then rotate"
    " again with `--version` of the same",
    "ProofMissing": "see which instance does not run it: `runtimectl status`; then rotate again",
    "ReleaseOnItsWay": (
        "see which has not ended: `runtimectl deployments`; end it, then rotate again"
    ),
    "DowntimeNotAllowed": "move again with --allow-downtime, or deploy it with a canary first",
    "NothingToRollOut": "deploy the module first: `runtimectl deploy -f …`",
    "ResourceMissing": "name a resource that the environment has: `runtimectl env show {name}`",
    "PasswordRefused": "see what the server has: another change may be under way; rotate again",
    "AdministratorRefused": "put the administrator's login that the server has into the vault",
    "ServerMissing": "install it: `make data-servers`, in the folder of the platform",
    "BindingsFull": "revoke one that it needs no more: `runtimectl secret revoke --help`",
    "VersionsFull": "disable in the vault what nobody uses, then rotate again",
    # Configuration
    "ConfigurationNotFound": "see what there is: `runtimectl config list`",
    "EnvironmentNotProvisioned": "see its status: `runtimectl env list`; then type it again",
    "HeadMoved": "look at what was published (`runtimectl config diff {layer}`) and type it again",
    "ConfigurationInvalid": "correct the values or the schema that the message names",
    "ConfigurationUnusable": (
        "publish one of the layers again, so that they fit: "
        "`runtimectl config edit --env {name} --module {module}`"
    ),
    "ConfigurationRemoved": (
        "publish its values again (`runtimectl config set KEY=VALUE {layer}`), then deploy what "
        "you want"
    ),
    "ConfigurationGone": (
        "ask for what is in force: `runtimectl config get --env {name} --module {module}`"
    ),
    "NothingToReturnTo": "choose another version: `runtimectl config versions {layer}`",
    "NotADraft": "return to it instead: `runtimectl config rollback {layer} --to {version}`",
    "TooManyModules": "publish to the layers below it: `--env {name}`, or `--module` too",
    "NotAdopted": "see who does not run it: `runtimectl config adoption {layer}`",
    # Scaling, objectives and drift
    "PolicyNotFound": "see what there is: `runtimectl scale list`",
    "PolicyExists": "change it with all that it is to say: `runtimectl scale set --help`",
    "PolicyInvalid": "correct the rules that the lines above name",
    "PolicyChanged": "nothing to do: the next evaluation decides",
    "ServiceUnknown": "deploy it first; a new one takes a few seconds: `runtimectl status`",
    "ObjectiveNotFound": "give it one: `runtimectl slo set --help`",
    "DriftNotFound": "see what exists: `runtimectl env list`",
    "FindingNotFound": "see what was found: `runtimectl drift list --env {name}`",
    "SnapshotNotFound": "see which there are: `runtimectl drift snapshots --env {name}`",
    "NotRepairable": "see what differs and put it back: `runtimectl drift list --env {name}`",
    "GitSourceNotFound": "see which there are: `runtimectl drift source list`",
    "GitSourceExists": "see what it says: `runtimectl drift source list`; then remove it",
    "TooManyGitSources": "remove one: `runtimectl drift source list`",
    "EnvironmentNotOwned": "name an environment of your own first: `runtimectl env list`",
    "RepositoryNotAllowed": "give the https URL of the repository",
    "SignatureRefused": "sign with the key that the source names: `runtimectl drift source list`",
    "RepairHeld": "wait for the end of the suppression, or adopt that finding",
    "SuppressionTooLong": "name a length of at most a year, such as P30D",
    # What does not answer
    "Unavailable": "try again in a moment; `runtimectl up` starts the system when it is down",
    "ClusterRefused": "change what the message names: the cluster, or RUNTIME_KUBECONFIG",
    "ClusterStopped": "start the cluster (`az aks start`), then type the command again",
    "AnswerLost": "type the command again: a repeat gets the same answer",
    "WriteContention": "type the command again in a moment",
    "TooManyRequests": "wait as long as the message says, then type the command again",
    "TrafficUnavailable": "wait for the proxy to restart; `runtimectl status` shows it",
    "ProgramUnavailable": "see the log of the host: the environment program could not be run",
    "ProgramImpure": "correct the environment program: it must not read outside state",
    "OutputMissing": "correct the environment program: the message names the missing output",
    "AgentRunning": "stop it first: `runtimectl down`",
    "HostUnreachable": "start it: `runtimectl up` (its log is in {state}/logs/host.log)",
}
