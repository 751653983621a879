"""What is checked before a start makes anything: its sockets, and the files it needs.

Only the operator can mend a fault in them, so each is a sentence that names the
setting.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from watchword.bootstrap.parts import breached_of, composer_of
from watchword.config import Settings
from watchword.errors import SettingsError
from watchword.server.listening import listen
from watchword.server.pages.rendering import check_templates

_ADMIN: Final = "WATCHWORD_ADMIN_LISTEN"


@contextlib.contextmanager
def bind(settings: Settings) -> Iterator[list[socket.socket]]:
    """The sockets that every process of this server accepts connections from.

    That of WATCHWORD_ADMIN_LISTEN comes last. They do not listen yet, so that a caller
    can connect only once the server answers. Raises SettingsError.
    """
    with contextlib.ExitStack() as closing:
        bound = _bound(closing, settings.host, settings.port, "--host", "--port")
        if settings.admin_listen is not None:
            bound += _bound(closing, *settings.admin_listen, _ADMIN, _ADMIN)
            (port, admin_port) = (bound[one].getsockname()[1] for one in (0, -1))
            # A request is known by the port that it came to.
            if port == admin_port:
                raise SettingsError([f"{_ADMIN} must have another port than {port}"])
        yield bound


def as_bound(settings: Settings, sockets: Sequence[socket.socket]) -> Settings:
    """The settings with the ports of these sockets, which `bind` has made."""
    update: dict[str, object] = {"port": sockets[0].getsockname()[1]}
    if settings.admin_listen is not None:
        port = sockets[-1].getsockname()[1]
        update["admin_listen"] = settings.admin_listen._replace(port=port)
    return settings.model_copy(update=update)


def _bound(
    closing: contextlib.ExitStack, host: str, port: int, of_host: str, of_port: str
) -> list[socket.socket]:
    """Sockets of one listener. `of_host` and `of_port` are the names of its settings.

    Raises SettingsError.
    """
    try:
        bound = [closing.enter_context(one) for one in listen(host, port)]
    except (OSError, UnicodeError) as error:
        raise SettingsError([_why(error, host, port, of_host, of_port)]) from None
    # With port 0 the system has chosen another port for each address: only one address
    # is used.
    return bound[:1] if port == 0 else bound


def _why(
    error: OSError | UnicodeError, host: str, port: int, of_host: str, of_port: str
) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"{of_host} {host} is no address or name known here"
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use by another program, or by another "
            f"`watchword serve`: stop that one, or give another {of_port}"
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"port {port} is not for this user: give a {of_port} from 1024 on, or the "
            "right to listen on lower ones (CAP_NET_BIND_SERVICE)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{of_host} {host} is no address of this machine"
    return f"cannot listen on port {port} of {host}: {error.strerror}"


def file_faults(settings: Settings) -> Iterator[str]:
    """What is wrong with the files that settings name, a sentence each."""
    yield from _tls_faults(settings)
    checks: list[Callable[[], object]] = [partial(breached_of, settings)]
    if settings.templates is not None:  # ours are right
        checks.append(lambda: composer_of(settings).check())
        checks.append(partial(check_templates, settings.templates))
    for check in checks:
        try:
            check()
        except SettingsError as error:
            yield from error.faults


def _tls_faults(settings: Settings) -> Iterator[str]:
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
        # Without a password OpenSSL would ask for one on the terminal.
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
    """Whether the key is encrypted, by PKCS #8 (RFC 7468 §11) or OpenSSL's old way."""
    try:
        return b"ENCRYPTED" in key.read_bytes()
    except OSError:
        return False
