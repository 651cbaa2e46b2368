"""Watches a tenant's binding until it is enforced, or taken away."""

from typing import Final

from cli.exit_codes import ExitCode
from cli.failure import Failure
from cli.options import Invocation
from cli.progress_display import Line
from cli.remedy_lookup import remedy_for
from cli.tenant_bindings import BINDINGS, Binding, show_line
from cli.watch_resource import watch_resource

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
    path, whose = f"{BINDINGS}/{identity}", {"tenantId": begun["tenantId"]}

    def is_over(binding: Binding) -> bool:
        if binding["status"] != begins:
            return True
        _require_no_failure(binding)
        return False

    binding: Binding = watch_resource(
        invocation,
        lambda: invocation.client.get(path, whose).body,
        lambda binding: [_line(binding)],
        is_over,
        subject=identity,
        not_yet=f"is not {_ON_ITS_WAY[begins]}",
        again=show_line(begun),
        timeout_s=timeout_s,
    )
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


def _line(binding: Binding) -> Line:
    status = binding["status"]
    if status in _ON_ITS_WAY:
        shown = shown_status(binding)
        return Line("state", f"… {shown}, until it is {_ON_ITS_WAY[status]}", is_final=False)
    if (binding["reason"] or {}).get("code") in (_TAKEN_BACK, _BY_CALLER):
        return Line("state", f"✗ {status} as before: the move was taken back", "red")
    return Line("state", f"✓ {status}", "green")
