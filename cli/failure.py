"""The failure of a command: its message, its remedy and its exit code."""

from collections.abc import Sequence
from dataclasses import dataclass

from cli.exit_codes import ExitCode
from cli.remedies import remedy_for


@dataclass(frozen=True)
class Detail:
    """One error in the request; `target` is a JSON pointer into its body."""

    target: str
    message: str
    expected: str = ""
    received: str = ""

    @property
    def text(self) -> str:
        text = f"{self.target or 'body'}: {self.message}"
        if self.expected:
            text += f"; expected {self.expected}"
        if self.received:
            text += f", got {self.received}"
        return text


class Failure(Exception):
    """Ends a command. Without *remedy* it gets the remedy of its *code*."""

    def __init__(
        self,
        message: str,
        exit_code: ExitCode,
        *,
        code: str = "",
        remedy: str = "",
        details: Sequence[Detail] = (),
        trace_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.code = code
        self.details = tuple(details)
        self.trace_id = trace_id
        self.remedy = remedy or remedy_for(code, message, exit_code)

    def lines(self) -> list[str]:
        """Return the lines for standard error, the most important first."""
        headline = f"error: {self.message}"
        lines = [headline if not self.code else f"{headline} [{self.code}]"]
        lines += [f"  - {detail.text}" for detail in self.details]
        lines.append(f"next:  {self.remedy}")
        if self.trace_id and self.exit_code is ExitCode.DEFECT:
            lines.append(f"trace: {self.trace_id}")
        return lines
