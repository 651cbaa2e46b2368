"""`runtimectl`, and `python -m cli`: Ctrl-C is answered from the first import on."""

import signal
import sys


def run() -> int:
    """Run the command line of this process; return its exit code."""
    came: list[int] = []

    def hold(number: int, _frame: object) -> None:
        came.append(number)

    # Raised in the midst of an import, it is printed with a traceback, and forgotten.
    answer = signal.signal(signal.SIGINT, hold)
    try:
        from cli.main import main  # noqa: PLC0415  it takes half a second
    finally:
        signal.signal(signal.SIGINT, answer)
    try:
        if not came:
            return main()
        print("error: interrupted; nothing was sent", file=sys.stderr)
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
    print("next:  type the command again", file=sys.stderr)
    return 130


if __name__ == "__main__":
    sys.exit(run())
