"""The remedy of a failure: that of its code, with what was typed and the ids in its message."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from cli.exit_codes import ExitCode
from cli.remedies import AS_WHO, LOGIN, REMEDIES
from cli.typed import TOKEN_VARIABLE, URL_VARIABLE, is_elsewhere, typed_values
from shared.kernel.ids import id_shape

_NEVER: Final = re.compile(r"(?!)")
_RESUME_AS_A_GUEST: Final = (
    "see why it is suspended: `runtimectl tenant show {name}`; ask the owner of the environment to "
    "resume it: `runtimectl tenant resume {name} --tenant {tenant} --reason settled`; what your "
    "own tenant suspended it resumes itself, without `--tenant`"
)
_BY_EXIT_CODE: Final[Mapping[ExitCode, str]] = {
    ExitCode.OK: "",
    ExitCode.DEFECT: "look for the trace id in {state}/logs/host.log, and report it",
    ExitCode.USAGE: "see `--help` of the command",
    ExitCode.REFUSED: REMEDIES["Refused"],
    ExitCode.NOT_FOUND: REMEDIES["NotFound"],
    ExitCode.CONFLICT: REMEDIES["Conflict"],
    ExitCode.UNAVAILABLE: REMEDIES["Unavailable"],
    ExitCode.ENDED_OTHERWISE: "see why: `runtimectl operations`, `runtimectl events`",
    ExitCode.NOT_LOGGED_IN: LOGIN,
    ExitCode.STILL_RUNNING: "watch it: `runtimectl operations`",
    ExitCode.INTERRUPTED: "accepted work continues; watch it: `runtimectl operations`",
}
_ROOM: Final = (
    "have room for the new instances beside the old ones: `runtimectl tenant show {name}` has the "
    "quota; or deploy with `--strategy recreate`, which stops the old ones first"
)
_ROOM_TO_MOVE: Final = (
    "have room for the new instances beside the old ones; or have what runs there deployed with "
    "`--restart --strategy recreate`, which stops the old ones first, then move with "
    "`--allow-downtime`"
)
BY_WORDS: Final[Sequence[tuple[str, str, str]]] = (
    ("NotReadyInTime", "exceeded quota", _ROOM),
    ("CannotStart", "exceeded quota", _ROOM),
    ("MoveTakenBack", "exceeded quota", _ROOM_TO_MOVE),
    ("TenantBindingSuspended", "another tenant's", _RESUME_AS_A_GUEST),
    ("TenantSuspended", "another tenant's", _RESUME_AS_A_GUEST),
    (
        "NotPromotable",
        r" is in \S+ already",
        "name another environment: `runtimectl env list`; there, `deploy` brings another release",
    ),
    (
        "NotPromotable",
        "only removed modules",
        "remove them there too: `runtimectl deploy -f …` of a file with `remove: […]`",
    ),
    (
        "NotPromotable",
        "is no longer in force",
        "promote what is in force: `runtimectl deployments`",
    ),
    (
        "NotPromotable",
        "only Completed is promoted",
        "see why: `runtimectl deployment {deployment}`; promote one that Completed",
    ),
    (
        "TenantBindingExists",
        "with another isolationModel: move it",
        (
            "move it, which keeps what a guest has there: "
            "`runtimectl tenant move {name}{guest} --model {model} --wait`"
        ),
    ),
    (
        "NothingToTakeBack",
        "toDeploymentId dep-",
        "for that release: `runtimectl rollback {deployment} --to {goal}`",
    ),
    (
        "NotCancellable",
        "has ended as (?!Completed)",
        "nothing to do: it has ended; see how: `runtimectl deployment {deployment}`",
    ),
    ("TransitionRefused", "a deployment in", "see its state: `runtimectl deployment {deployment}`"),
    ("TransitionRefused", "an environment in", "see its state: `runtimectl env show {name}`"),
    (
        "TransitionRefused",
        "a tenant binding in state Unbinding",
        "wait until it is Unbound: `runtimectl tenant show {name}`",
    ),
    (
        "TransitionRefused",
        "a tenant binding in state Unbound",
        "bind the tenant again: `runtimectl tenant bind --help`",
    ),
    (
        "TransitionRefused",
        "a tenant binding in state Suspended",
        "resume it first: `runtimectl tenant resume {name}{guest} --reason settled`",
    ),
    (
        "TransitionRefused",
        "a tenant binding in",
        "see its state: `runtimectl tenant show {name}`",
    ),
    ("TransitionRefused", "a secret binding in", "see its state: `runtimectl secret list`"),
    ("TransitionRefused", "a rotation in", "see its state: `runtimectl operations`"),
    ("TransitionRefused", "a version in", "see its state: `runtimectl config versions {layer}`"),
    (
        "TransitionRefused",
        r"a policy in state \S+ \(Resumed\)",
        "it is not paused, so nothing holds its number: `runtimectl scale list`",
    ),
    ("TransitionRefused", "a policy in", "see its state: `runtimectl scale list`"),
    (
        "TransitionRefused",
        "a finding of drift in",
        "see its state: `runtimectl drift show {finding}`",
    ),
    (
        "ConfigurationNotFound",
        "^no version ",
        "see which versions it has: `runtimectl config versions {layer}`",
    ),
    (
        "ScopeMissing",
        "is not the caller's tenant",
        "have the owner of the environment bind it, or an administrator of that tenant",
    ),
    (
        "ScopeMissing",
        "a workload may",
        "ask with the token of a person or a pipeline: `runtimectl login --dev`",
    ),
    (
        "ScopeMissing",
        r"runtime\.(?:admin|tenants\.write)",
        f"log in with a role that has this scope: `{AS_WHO} --role Runtime.Admin`",
    ),
    ("NotFound", r"of kind op$|^no operation", "see which there are: `runtimectl operations`"),
    (
        "PlanRefused",
        r"environ of \S+ must be of other names",
        (
            "give the variable, the key of the configuration or the target of the secret another "
            "name; a refused roll-out is then begun anew: `runtimectl parked`"
        ),
    ),
    (
        "NotRepairable",
        "Git says",
        "see what Git says: `runtimectl drift list --env {name}`; deploy that, or change it there",
    ),
    (
        "NotADraft",
        "is a draft against",
        "publish what it says: `runtimectl config show {layer} --version {version}`",
    ),
    (
        "EnvironmentNotAdmitting",
        r"^(\S+) has no .* that \1 may",
        "see whether it is Provisioned: `runtimectl env list`; another tenant's takes `--owner`",
    ),
)
"""For codes that stand for several refusals: a pattern of the message, and their remedy."""
_ELSEWHERE: Final[Mapping[str, str]] = {
    "HostUnreachable": f"check {URL_VARIABLE}, and whether the system there runs",
    "Unavailable": "try again in a moment",
    LOGIN: f"put a token of that system's identity provider into {TOKEN_VARIABLE}",
}
"""By code or remedy, for a system that this machine did not start."""
_ID_PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "deployment": re.compile(id_shape("dep")),
    "goal": re.compile(rf"(?<=toDeploymentId ){id_shape('dep')}"),
    "operation": re.compile(id_shape("op")),
    "rotation": re.compile(id_shape("rot")),
    "name": re.compile(id_shape("env")),
    "module": re.compile(r"module-[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"),
    "binding": re.compile(id_shape("tb")),
    "version": re.compile(r"(?<=^version )\d+"),
    "confirm": re.compile(r"(?<=expected its name )[a-z0-9-]+"),
    "secret": re.compile(r"^[0-9A-Za-z-]+(?= is bound to module-)"),
    "finding": _NEVER,
    "layer": _NEVER,
    "tenant": re.compile(r"(?<=the binding of )[a-z0-9-]+(?= to environment)"),
    "caller": _NEVER,
    "model": _NEVER,
    "guest": _NEVER,
    "user": _NEVER,
    "state": _NEVER,
}


_ABSENT: Final[Mapping[str, str]] = {
    "layer": "--env <name> --module <module>",
    "guest": "",
    "caller": "<tenant>",
}
"""What stands for what nobody named, where that is no placeholder of one word."""


def remedy_for(code: str, message: str, exit_code: ExitCode) -> str:
    """Return the remedy for *code*, with what the user typed and the ids in *message*."""
    remedy = REMEDIES.get(code) or _BY_EXIT_CODE[exit_code]
    fitting = (
        each for known, words, each in BY_WORDS if known == code and re.search(words, message)
    )
    remedy = next(fitting, remedy)
    if exit_code is ExitCode.NOT_FOUND and "caller" in typed_values():
        # Another terminal may have logged in to another tenant meanwhile.
        remedy += "; you are logged in to the tenant {caller}"
    if is_elsewhere():
        remedy = _ELSEWHERE.get(code) or _ELSEWHERE.get(remedy, remedy)
    typed = typed_values()
    for name, pattern in _ID_PATTERNS.items():
        match = pattern.search(message)
        value = typed.get(name) or (match[0] if match else _ABSENT.get(name, f"<{name}>"))
        remedy = remedy.replace(f"{{{name}}}", value)
    return remedy
