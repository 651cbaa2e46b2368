"""Watches a deployment to its end, with the traffic of its old and new revisions."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cli.client import HostUnreachable
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.output import Format
from cli.progress_display import Line, ProgressDisplay, open_display
from cli.remedies import REMEDIES
from cli.remedy_lookup import remedy_for
from cli.rollout_report import ENDED, Deployment, rollout_lines
from cli.session import Session
from cli.traffic import ModuleTraffic, not_ready_of, parse_traffic
from cli.typed import typed_values
from shared.surfaces.traffic import RevisionTraffic

ROOT: Final = "/v1/runtime/deployments"
POLL_INTERVAL_S: Final = 0.5
_RETRY_INTERVAL_S: Final = 0.2
_ASKED: Final = frozenset({"Cancelled", "RollbackAsked"})


class RolloutWatch:
    """The latest state of one deployment, and its traffic since the current step began."""

    def __init__(self, session: Session, deployment_id: str) -> None:
        self._session = session
        self._id = deployment_id
        self._etag: str | None = None
        self._step: tuple[Any, ...] = ()
        self._traffic_at_step: dict[str, ModuleTraffic] = {}
        self.deployment: Deployment = {}
        self.traffic: Mapping[str, tuple[int, Mapping[int, RevisionTraffic]]] = {}
        self.not_ready: Sequence[str] = ()

    @property
    def has_ended(self) -> bool:
        return self.deployment.get("status") in ENDED

    @property
    def lines(self) -> list[Line]:
        if not self.deployment:
            return []
        return rollout_lines(self.deployment, self.traffic, self.not_ready)

    def poll(self) -> None:
        """Read the deployment and, while it runs, its traffic. Raises as `Client.get`."""
        response = self._session.client.get(f"{ROOT}/{self._id}", etag=self._etag)
        if not response.is_unchanged:
            self.deployment, self._etag = response.body, response.etag
        if not self.has_ended:
            self._poll_traffic()

    def _poll_traffic(self) -> None:
        try:
            body = self._session.client.get(f"{ROOT}/{self._id}/traffic").body
        except HostUnreachable:
            raise
        except Failure:
            # It serves no traffic yet, or the counters cannot be read at the moment.
            self.traffic, self.not_ready = {}, ()
            return
        self.not_ready = not_ready_of(body)
        modules = {module.module: module for module in parse_traffic(body)}
        started = [step for step in self.deployment["steps"] if step["startedAt"] is not None]
        step = tuple(step["index"] for step in started)
        if step != self._step:
            self._step, self._traffic_at_step = step, modules
        self.traffic = {
            name: (module.candidate, module.since(self._traffic_at_step.get(name)))
            for name, module in modules.items()
        }


def watch_rollout(
    session: Session,
    deployment_id: str,
    *,
    timeout_s: float,
    form: Format = Format.TABLE,
    until: Callable[[RolloutWatch], bool] = lambda watch: watch.has_ended,
) -> RolloutWatch:
    """Show the rollout until *until* holds or it has ended, and return its watch.

    While the host does not answer, its restart is waited for.

    Raises:
        Failure: *timeout_s* has passed, or Ctrl-C; the rollout continues in both cases.
    """
    watch = RolloutWatch(session, deployment_id)
    deadline_s = session.clock.monotonic_s() + timeout_s
    stream = sys.stdout if form is Format.TABLE else sys.stderr
    try:
        with open_display(session.clock, stream) as display:
            while True:
                _poll(watch, display, session)
                if watch.has_ended or until(watch):
                    return watch
                if session.clock.monotonic_s() > deadline_s:
                    raise Failure(
                        f"{deployment_id} has not ended within {timeout_s:.0f} s; it continues",
                        ExitCode.STILL_RUNNING,
                        remedy=f"watch it: `runtimectl deployment {deployment_id} --wait`",
                    )
                pause(session.clock, POLL_INTERVAL_S)
    except KeyboardInterrupt as interrupt:
        raise Failure(
            f"stopped watching {deployment_id}; it continues",
            ExitCode.INTERRUPTED,
            remedy=f"watch it: `runtimectl deployment {deployment_id} --wait`, "
            f"or stop it: `runtimectl cancel {deployment_id}`",
        ) from interrupt


def require_ended_as(deployment: Deployment, wanted: Sequence[str]) -> None:
    """Raise the reason of a rollout that ended otherwise than *wanted*."""
    if deployment["status"] in wanted:
        return
    reason = deployment.get("reason") or {}
    deployment_id = deployment["deploymentId"]
    message = reason.get("message") or "no reason was given"
    raise Failure(
        f"{deployment_id} ended as {deployment['status']}: {message}",
        ExitCode.ENDED_OTHERWISE,
        code=reason.get("code", ""),
        remedy=_remedy_of(deployment, reason.get("code", ""), message),
    )


def _remedy_of(deployment: Deployment, code: str, message: str) -> str:
    if code in _ASKED:
        return "nothing to do: it was stopped on request"
    if "does not say its release" in message:
        return "correct path and field of `release:`, or leave it out, and deploy again"
    if code == "GateInconclusive":
        return REMEDIES[code].replace("{deployment}", str(deployment["deploymentId"]))
    is_quota = code == "NotReadyInTime" and "exceeded quota" in message
    if is_quota or code in {"CannotStart", "DataMissing", "JobFailed"}:
        remedy = remedy_for(code, message, ExitCode.ENDED_OTHERWISE)
        is_held = is_quota and deployment.get("holds")
        first = f"`runtimectl release-hold {deployment['deploymentId']}`, as it is held; then "
        return first + remedy if is_held else remedy
    modules = [component["moduleId"] for component in deployment["components"]]
    names_instance = any(re.search(rf"{re.escape(each)}-\d+-\d+: ", message) for each in modules)
    if code not in {"NotReadyInTime", "NotReady", "StartFailed"} and not names_instance:
        return (
            f"see its evidence: `runtimectl deployment {deployment['deploymentId']}`; "
            "deploy a version that passes"
        )
    named = [module for module in modules if module in message] or modules
    environment = typed_values().get("name") or deployment["environmentId"]
    return f"read the output of its instances: `runtimectl logs {named[0]} --env {environment}`"


def _poll(watch: RolloutWatch, display: ProgressDisplay, session: Session) -> None:
    try:
        watch.poll()
    except Failure as failure:
        if failure.exit_code is not ExitCode.UNAVAILABLE:
            raise
        text = "the host does not answer; waiting for it"
        display.show([*watch.lines, Line("away", text, "yellow")])
        pause(session.clock, _RETRY_INTERVAL_S)
        return
    display.show(watch.lines)
