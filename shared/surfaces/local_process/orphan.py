"""Runs its arguments as nobody's child. Run as a file, by path; standard library only.

For programs that ask the kernel to end them when their parent dies, as Envoy does
(`PR_SET_PDEATHSIG`, prctl(2)): they must outlive the host that started them. The first process
ends, and only when the second has been taken over by init does it become the program.
"""

import os
import sys


def main(*command: str) -> None:
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    while os.getppid() == parent:
        os.sched_yield()
    os.execv(command[0], command)  # noqa: S606  no shell is the point


if __name__ == "__main__":
    main(*sys.argv[1:])
