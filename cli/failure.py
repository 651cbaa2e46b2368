"""How a command fails: what was wrong, what to do next, and the exit code."""

from collections.abc import Sequence
from dataclasses import dataclass

from cli.exit_codes import ExitCode
from cli.remedies import fix_for


@dataclass(frozen=True)
class Detail:
    """One thing that was wrong with what was sent; `target` is a JSON pointer into it."""

    target: str
    message: str
    expected: str = ""
    received: str = ""

    @property
    def text(self) -> str:
        said = f"{self.target or 'body'}: {self.message}"
        if self.expected:
            said += f"; expected {self.expected}"
        if self.received:
            said += f", got {self.received}"
        return said


class Failure(Exception):
    """Ends a command. `fix` is a sentence; empty asks for the one of *code*."""

    def __init__(
        self,
        message: str,
        exit_code: ExitCode,
        *,
        code: str = "",
        fix: str = "",
        details: Sequence[Detail] = (),
        trace_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code
        self.details = tuple(details)
        self.trace_id = trace_id
        self.fix = fix or fix_for(code, message, exit_code)

    def lines(self) -> list[str]:
        """Return what a person is shown, most important first."""
        head = f"error: {self.message}"
        shown = [head if not self.code else f"{head} [{self.code}]"]
        shown += [f"  - {detail.text}" for detail in self.details]
        shown.append(f"next:  {self.fix}")
        if self.trace_id and self.exit_code is ExitCode.DEFECT:
            shown.append(f"trace: {self.trace_id}")
        return shown
