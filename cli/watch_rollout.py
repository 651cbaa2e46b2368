"""Follows a deployment to its end, with the traffic of old and new while it runs."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cli.client import HostAway
from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.output import Format
from cli.progress_display import Line, Screen, open_screen
from cli.rollout_report import ENDED, Deployment, rollout_lines
from cli.session import Session
from cli.traffic import ModuleTraffic, read_traffic
from shared.surfaces.traffic import RevisionTraffic

ROOT: Final = "/v1/runtime/deployments"
LOOK_EVERY_S: Final = 0.5
_AWAY_EVERY_S: Final = 0.2


class Watch:
    """One deployment as it goes: `look` asks, `lines` is what was seen last."""

    def __init__(self, session: Session, deployment_id: str) -> None:
        self._session = session
        self._id = deployment_id
        self._etag: str | None = None
        self._step: tuple[Any, ...] = ()
        self._at_step: dict[str, ModuleTraffic] = {}
        self.deployment: Deployment = {}
        self.traffic: Mapping[str, tuple[int, Mapping[int, RevisionTraffic]]] = {}

    @property
    def has_ended(self) -> bool:
        return self.deployment.get("status") in ENDED

    @property
    def lines(self) -> list[Line]:
        return rollout_lines(self.deployment, self.traffic) if self.deployment else []

    def look(self) -> None:
        """Ask once for the deployment and, while it runs, for its traffic. Raises as a client."""
        reply = self._session.client.get(f"{ROOT}/{self._id}", etag=self._etag)
        if not reply.is_unchanged:
            self.deployment, self._etag = reply.body, reply.etag
        if not self.has_ended:
            self._look_at_traffic()

    def _look_at_traffic(self) -> None:
        try:
            answer = self._session.client.get(f"{ROOT}/{self._id}/traffic").body
        except Failure as unseen:
            if isinstance(unseen, HostAway):
                raise
            # Nothing of it serves yet, or its counters cannot be read just now.
            self.traffic = {}
            return
        seen = {one.module: one for one in read_traffic(answer)}
        begun = [each for each in self.deployment["steps"] if each["startedAt"] is not None]
        step = tuple(each["index"] for each in begun)
        if step != self._step:
            self._step, self._at_step = step, seen
        self.traffic = {
            module: (now.candidate, now.since(self._at_step.get(module)))
            for module, now in seen.items()
        }


def follow_rollout(
    session: Session,
    deployment_id: str,
    *,
    timeout_s: float,
    form: Format = Format.TABLE,
    until: Callable[[Watch], bool] = lambda watch: watch.has_ended,
) -> Watch:
    """Return what was seen when *until* holds, by default when it has ended; show it until then.

    A host that does not answer is waited for: the rollout goes on when it is back.

    Raises:
        Failure: it has not ended within *timeout_s*, or Ctrl-C; it goes on in both cases.
    """
    watch = Watch(session, deployment_id)
    deadline_s = session.clock.monotonic_s() + timeout_s
    stream = sys.stdout if form is Format.TABLE else sys.stderr
    try:
        with open_screen(session.clock, stream) as screen:
            while True:
                _look(watch, screen, session)
                if watch.has_ended or until(watch):
                    return watch
                if session.clock.monotonic_s() > deadline_s:
                    raise Failure(
                        f"{deployment_id} has not ended within {timeout_s:.0f} s; it goes on",
                        ExitCode.STILL_RUNNING,
                        fix=f"watch it: `runtimectl deployment {deployment_id} --wait`",
                    )
                pause(session.clock, LOOK_EVERY_S)
    except KeyboardInterrupt as stopped:
        raise Failure(
            f"stopped watching {deployment_id}; it goes on",
            ExitCode.INTERRUPTED,
            fix=f"watch it: `runtimectl deployment {deployment_id} --wait`, "
            f"or stop it: `runtimectl cancel {deployment_id}`",
        ) from stopped


def require_completed(deployment: Deployment) -> None:
    """Raise the failure that a rollout ended with, unless it completed."""
    if deployment["status"] == "Completed":
        return
    reason = deployment.get("reason") or {}
    identity = deployment["deploymentId"]
    raise Failure(
        f"{identity} ended as {deployment['status']}: {reason.get('message') or 'nobody said why'}",
        ExitCode.ENDED_OTHERWISE,
        code=reason.get("code", ""),
        fix=f"see its evidence: `runtimectl deployment {identity}`; deploy a version that passes",
    )


def _look(watch: Watch, screen: Screen, session: Session) -> None:
    try:
        watch.look()
    except Failure as unseen:
        if unseen.exit_code is not ExitCode.UNAVAILABLE:
            raise
        away = Line("away", "the host does not answer; traffic goes on, waiting for it", "yellow")
        screen.show([*watch.lines, away])
        pause(session.clock, _AWAY_EVERY_S)
        return
    screen.show(watch.lines)


def latest(
    deployments: Sequence[Deployment], module: str | None, *statuses: str
) -> Deployment | None:
    """Return the newest of *deployments* that is in one of *statuses* and has *module*."""
    for each in deployments:
        modules = [component["moduleId"] for component in each["components"]]
        if each["status"] in statuses and (module is None or module in modules):
            return each
    return None
