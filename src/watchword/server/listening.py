"""What a start needs before it makes anything: its socket, and files for TLS that work.

Both are the operator's to mend, so each fault is a sentence that names the setting.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from watchword.config import Settings
from watchword.errors import SettingsError

BACKLOG: Final = 2048
_BOTH: Final = "::"


def bind(settings: Settings) -> socket.socket:
    """The socket that every process of this server accepts from, listening.

    It listens at once: of two servers that start together on one port, the second is
    refused here, and who connects meanwhile waits instead of being turned away. `::`
    is every address of both families. Raises SettingsError.
    """
    host, port = settings.host, settings.port
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SettingsError(
            [f"--host {host} is no address or name known here"]
        ) from None
    try:
        if host == _BOTH:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise SettingsError([_why(error, host, port)]) from None
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use by another program, or by another "
            "`watchword serve`: stop that one, or give another --port"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"port {port} is not for this user: give a --port from 1024 on, or the "
            "right to listen on lower ones (CAP_NET_BIND_SERVICE)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host {host} is no address of this machine"
    return f"cannot listen on port {port} of {host}: {error.strerror}"


def tls_faults(settings: Settings) -> Iterator[str]:
    """What is wrong with the certificate and its key, a sentence each."""
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None or key is None:
        return
    if _is_encrypted(key):
        yield (
            f"{key} is encrypted, and a server cannot be asked for a password: write "
            f"the key without one, by `openssl pkey -in {key}`"
        )
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # A password would be asked for on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:  # its text names neither file
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            yield f"{key} is not the key of the certificate in {certificate}"
        else:
            yield (
                f"{certificate} and {key} are not a certificate in PEM and its key, "
                "without a password"
            )


def _is_encrypted(key: Path) -> bool:
    """By PKCS #8 (RFC 7468 §11), or by the older header of OpenSSL."""
    try:
        return b"ENCRYPTED" in key.read_bytes()
    except OSError:
        return False
