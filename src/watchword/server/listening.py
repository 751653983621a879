"""The sockets that a server listens on: the same ones for any number of workers."""

from __future__ import annotations

import errno
import resource
import socket
import sys
from contextlib import ExitStack, suppress
from typing import Final

# The address, or its family, does not exist on this machine.
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listen(host: str, port: int) -> list[socket.socket]:
    """Bound sockets, one for each address of that name. Raises OSError.

    A socket for `::` also accepts IPv4 callers, whatever the system's default is.
    """
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound: list[socket.socket] = []
    absent: OSError | None = None
    with ExitStack() as opened:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                one = opened.enter_context(socket.socket(family, kind, protocol))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                one.bind(address)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                absent = error  # `localhost` may have an address that does not exist
            else:
                one.set_inheritable(True)
                bound.append(one)
        if not bound and absent is not None:
            raise absent
        opened.pop_all()
    return bound


def raise_file_limit() -> int:
    """Raise the limit of open files as far as the system allows. Returns the limit.

    The usual soft limit of 1024 is for programs that use `select`, which this one does
    not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS refuses `unlimited`
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
