"""What surrounds the process: variables that a platform makes, and small files.

Kubernetes puts the address of every service into the environment of every container,
under the service's own name. Docker does so for every link. The variables of a service
called `watchword-db` therefore begin as our settings do.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

_PREFIX: Final = r"WATCHWORD_(\w+_)?"
_PROTOCOLS: Final = "tcp|udp|sctp"
# Kubernetes: "Discovering services", environment variables. Docker: "Legacy container
# links", environment variables. `PORT` itself is ours where it is a number.
_PLATFORM: Final = re.compile(
    rf"{_PREFIX}SERVICE_HOST=.*"
    rf"|{_PREFIX}SERVICE_PORT(_\w+)?=\d*"
    rf"|{_PREFIX}PORT=({_PROTOCOLS})://.*"
    rf"|{_PREFIX}PORT_\d+_({_PROTOCOLS})(_(PROTO|PORT|ADDR)(_START|_END)?|_START|_END)?"
    rf"=.*"
    rf"|{_PREFIX}NAME=/.*"
    rf"|{_PREFIX}ENV_\w+=.*",
    re.DOTALL | re.IGNORECASE,
)


class Given(NamedTuple):
    """A value, the name of its setting as the operator wrote it, and where it stood."""

    value: Any
    name: str
    source: str


def is_from_platform(name: str, value: str) -> bool:
    """Whether Kubernetes or Docker made that variable.

    It is then neither a setting nor a mistyped one.
    """
    return _PLATFORM.fullmatch(f"{name}={value}") is not None


def read_text(path: Path) -> str:
    """A small file in UTF-8, without the byte order mark that some editors put there.

    Raises OSError; ValueError for what is not UTF-8.
    """
    return path.read_text("utf-8-sig")


def read_config(path: Path, faults: list[str], named_by: str | None) -> dict[str, Any]:
    """The values of a TOML file, with a fault for a file that cannot be read.

    A file that is not there has no values. It is a fault only if a variable names the
    file: `named_by` is the name of that variable.
    """
    try:
        return tomllib.loads(read_text(path))
    except FileNotFoundError:
        if named_by:
            faults.append(f"{named_by}: there is no file {path}")
    except OSError as reason:
        faults.append(f"{path} cannot be read: {reason.strerror}")
    # The text of this error may repeat a line of the file, and so a secret.
    except ValueError:
        faults.append(f"{path} is not a TOML file in UTF-8")
    return {}


def unreadable(name: str, reason: Exception) -> str:
    """The fault of a setting with a file that cannot be read.

    It does not repeat the path: the secret itself may have been put there by mistake.
    """
    why = f" ({reason.strerror})" if isinstance(reason, OSError) else ""
    return f"{name}: the file cannot be read{why}"


def stripped(value: Any, strip: Callable[[str], str]) -> Any:  # noqa: ANN401 - TOML's
    """The value, or list of values, with each text stripped. A path becomes text."""
    if isinstance(value, list | tuple):
        return [stripped(one, strip) for one in value]
    return strip(str(value)) if isinstance(value, str | Path) else value
