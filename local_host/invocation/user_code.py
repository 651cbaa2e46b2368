"""What user code throws, as text: type and message, and the stack from the app's own code on.

Anything may be thrown, also exceptions whose own text cannot be had; what is returned here is
bounded and never raises.
"""

import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

TEXT_MAX: Final = 32 * 1024
STACK_MAX: Final = 16 * 1024
_HOST: Final = Path(__file__).resolve().parents[1]


def described(problem: BaseException) -> str:
    """Return `<Type>: <message>`, as Azure reports it."""
    try:
        message = str(problem)
    except BaseException:  # noqa: BLE001  user code again: its __str__
        message = "its text cannot be had: __str__ failed"
    return _bounded(f"{type(problem).__name__}: {message}", TEXT_MAX)


def stack_of(problem: BaseException) -> str:
    """Return the stack of *problem*, with file and line, from the app's own code on."""
    try:
        lines = traceback.format_exception(
            type(problem), problem, behind_the_host(problem.__traceback__)
        )
    except BaseException:  # noqa: BLE001  user code again: its notes or causes
        return described(problem)
    return _bounded("".join(lines).rstrip(), STACK_MAX)


def behind_the_host(trace: TracebackType | None) -> TracebackType | None:
    """Return *trace* without the host's own frames at its beginning."""
    while trace is not None and trace.tb_next is not None and _is_the_hosts(trace):
        trace = trace.tb_next
    return trace


def _is_the_hosts(trace: TracebackType) -> bool:
    return Path(trace.tb_frame.f_code.co_filename).is_relative_to(_HOST)


def _bounded(text: str, most: int) -> str:
    """Return *text*, its middle left out where it is longer than *most*."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"
