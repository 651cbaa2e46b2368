"""Watches a tenant's binding until it is enforced, or taken away."""

import sys
from typing import Any, Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.host_process import pause
from cli.options import Invocation
from cli.progress_display import Line, open_display
from cli.remedy_lookup import remedy_for
from cli.tenant_bindings import BINDINGS, Binding, show_line

_POLL_INTERVAL_S: Final = 0.5
_ON_ITS_WAY: Final = {"Bound": "Enforced", "Moving": "Enforced", "Unbinding": "Unbound"}
_ASKED_FOR: Final = ("SuspendedByCaller", "UnboundByCaller", "MovedByCaller")
"""Reasons that callers gave; every other one says what went wrong."""
_TAKEN_BACK: Final = "MoveTakenBack"
_BY_CALLER: Final = "MoveTakenBackByCaller"


def is_on_its_way(binding: Binding) -> bool:
    """Return whether its isolation is still being made, or taken away."""
    return binding["status"] in _ON_ITS_WAY


def shown_status(binding: Binding) -> str:
    """Return its status, of one that is moved with the step."""
    status, phase = binding["status"], binding.get("phase")
    return f"{status} ({phase})" if phase else str(status)


def wait_for_binding(invocation: Invocation, begun: Binding, timeout_s: float) -> Binding:
    """Show *begun* until it is not on its way any more, and return it.

    Raises:
        Failure: it ended otherwise, *timeout_s* has passed, or Ctrl-C; what was begun continues.
    """
    identity, begins = begun["bindingId"], begun["status"]
    clock = invocation.session.clock
    until_s = clock.monotonic_s() + timeout_s
    again = f"watch it: `{show_line(begun)}`"
    stream = sys.stdout if invocation.is_table else sys.stderr
    try:
        with open_display(clock, stream) as display:
            binding: Binding | None = begun
            while binding is None or binding["status"] == begins:
                display.show([_line(binding)])
                if binding is not None:
                    _require_no_failure(binding)
                if clock.monotonic_s() > until_s:
                    raise Failure(
                        f"{identity} is not {_ON_ITS_WAY[begins]} within {timeout_s:.0f} s; it"
                        " continues",
                        ExitCode.STILL_RUNNING,
                        remedy=again,
                    )
                pause(clock, _POLL_INTERVAL_S)
                binding = _read(invocation, begun)
            display.show([_line(binding)])
    except KeyboardInterrupt as interrupt:
        raise Failure(
            f"stopped watching {identity}; it continues", ExitCode.INTERRUPTED, remedy=again
        ) from interrupt
    if binding["status"] != _ON_ITS_WAY[begins]:
        why = (binding["reason"] or {}).get("message")
        raise Failure(
            f"{identity} became {binding['status']}, not {_ON_ITS_WAY[begins]}"
            + (f": {why}" if why else ""),
            ExitCode.ENDED_OTHERWISE,
            remedy=f"see why: `{show_line(begun)}`",
        )
    if begins == "Moving":
        _require_no_failure(binding)  # one that was taken back is Enforced, too
    return binding


def _read(invocation: Invocation, begun: Binding) -> Binding | None:
    """Return the binding; None while the host does not answer."""
    try:
        path, whose = f"{BINDINGS}/{begun['bindingId']}", {"tenantId": begun["tenantId"]}
        binding: Binding = invocation.client.get(path, whose).body
    except Failure as failure:
        if failure.exit_code is ExitCode.UNAVAILABLE:
            return None
        raise
    return binding


def _require_no_failure(binding: Binding) -> None:
    reason = binding["reason"] or {}
    if reason.get("code") in (None, *_ASKED_FOR):
        return
    code, message = str(reason["code"]), str(reason["message"])
    remedy = "mend what the message names, then type the command again"
    if code == _BY_CALLER:
        remedy = "nothing to mend: somebody took it back; type the command again to move it"
    if "exceeded quota" in message:
        remedy = remedy_for(code, message, ExitCode.ENDED_OTHERWISE)
    raise Failure(
        f"{binding['bindingId']} stays {binding['status']}: {message}",
        ExitCode.ENDED_OTHERWISE,
        code=code,
        remedy=remedy,
    )


def _line(binding: Any) -> Line:
    if binding is None:
        return Line("away", "the host does not answer; waiting for it", "yellow", is_final=False)
    status = binding["status"]
    if status in _ON_ITS_WAY:
        shown = shown_status(binding)
        return Line("state", f"… {shown}, until it is {_ON_ITS_WAY[status]}", is_final=False)
    if (binding["reason"] or {}).get("code") in (_TAKEN_BACK, _BY_CALLER):
        return Line("state", f"✗ {status} as before: the move was taken back", "red")
    return Line("state", f"✓ {status}", "green")
