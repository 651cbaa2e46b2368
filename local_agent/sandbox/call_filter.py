"""Refuses this process, and all that it will start, a few system calls, by a filter (seccomp(2)).

Landlock holds TCP sockets: those of MPTCP and SMC take the same ports past it, by `socket` or by a
ring of io_uring. Keys are counted per user, and the platform may be of the same one. A program that
is refused goes on as on a kernel without these, and as in a container, whose runtime refuses them.
"""

from __future__ import annotations

import errno
import os
import struct

from local_agent.sandbox import system_calls

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_KEYS = {"x86_64": (248, 249, 250), "aarch64": (217, 218, 219)}
"""add_key, request_key, keyctl."""
_IO_URING_SETUP = 425
_X32 = 0x40000000
"""From here on the numbers are those of another interface to the same processor."""
_INTERNET, _INTERNET_6, _SMC = 2, 10, 43
_OTHER_TCP = (256, 262)
"""IPPROTO_SMC, IPPROTO_MPTCP."""
# seccomp(2): where a call's number, architecture and arguments are; words of the low half.
_NUMBER, _ARCHITECTURE, _FAMILY, _PROTOCOL = 0, 4, 16, 32
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000


def is_available() -> bool:
    """Return whether this kernel takes a filter, and its machine is one that we know."""
    return os.uname().machine in _ARCHITECTURES and system_calls.takes_filter()


def restrict() -> None:
    """Refuse the calls from now on; no new privileges must be set."""
    system_calls.set_filter(_program(os.uname().machine))


def _program(machine: str) -> bytes:
    """Return the instructions, of 8 bytes each: the first rule that fits decides."""
    refused = [(_JUMP_AT_LEAST, _X32)]
    refused += [(_JUMP_EQUAL, number) for number in (*_KEYS[machine], _IO_URING_SETUP)]
    return b"".join(
        (
            _load(_ARCHITECTURE),
            _unless(_ARCHITECTURES[machine], errno.ENOSYS),
            _load(_NUMBER),
            *(_where(test, number, errno.ENOSYS) for test, number in refused),
            _instruction(_JUMP_EQUAL, _SOCKET[machine], 1, 0),
            _end(_ALLOW),
            _load(_FAMILY),
            _where(_JUMP_EQUAL, _SMC, errno.EAFNOSUPPORT),
            _instruction(_JUMP_EQUAL, _INTERNET, 2, 0),
            _instruction(_JUMP_EQUAL, _INTERNET_6, 1, 0),
            _end(_ALLOW),
            _load(_PROTOCOL),
            *(_where(_JUMP_EQUAL, each, errno.EPROTONOSUPPORT) for each in _OTHER_TCP),
            _end(_ALLOW),
        )
    )


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """*if_true* and *if_false* are how many instructions a test skips."""
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, offset)


def _end(action: int) -> bytes:
    return _instruction(_RETURN, action)


def _where(test: int, value: int, problem: int) -> bytes:
    """Refuse with *problem* where *test* of what was loaded holds."""
    return _instruction(test, value, 0, 1) + _end(_REFUSE | problem)


def _unless(value: int, problem: int) -> bytes:
    return _instruction(_JUMP_EQUAL, value, 1, 0) + _end(_REFUSE | problem)
