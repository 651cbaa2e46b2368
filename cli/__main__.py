"""`runtimectl`, and `python -m cli`: Ctrl-C is answered from the first import on."""

import sys


def run() -> int:
    """Run the command line of this process; return its exit code."""
    try:
        from cli.main import main  # noqa: PLC0415  it takes half a second

        return main()
    except KeyboardInterrupt:
        print("error: interrupted\nnext:  type the command again", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(run())
