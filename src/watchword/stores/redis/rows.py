"""Values: how sessions, feed entries and events are stored.

A session starts with its version in eight bytes, big-endian; a script looks at nothing
else. Its fields follow, without the id, as a MessagePack array. Fields that a later
program adds at the end must have defaults, and an earlier program ignores them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from watchword.core.session import Ended, Session
from watchword.errors import StoreUnavailable
from watchword.ports.audit import Event

_Fields: Final = msgspec.defstruct(
    "_Fields",
    [
        (field.name, field.type)
        if field.default is msgspec.NODEFAULT
        else (field.name, field.type, field.default)
        for field in msgspec.structs.fields(Session)[1:]
    ],
    array_like=True,
)
_encode: Final = msgspec.msgpack.Encoder().encode
_fields_of: Final = msgspec.msgpack.Decoder(_Fields).decode
_event_of: Final = msgspec.msgpack.Decoder(Event).decode
_astuple: Final = msgspec.structs.astuple


def version_of(session: Session) -> bytes:
    """The eight bytes with which the value of that session begins."""
    return session.version.to_bytes(8)


def value_of(session: Session) -> bytes:
    """A session as it is stored."""
    return session.version.to_bytes(8) + _encode(_astuple(session)[1:])


def session_of(session_id: bytes, value: bytes) -> Session:
    """The session that `value_of` wrote. Raises StoreUnavailable for anything else."""
    try:
        session = Session(session_id, *_astuple(_fields_of(value[8:])))
    except msgspec.MsgspecError as error:
        raise StoreUnavailable from error
    if not session.auth_time:  # written by a version that did not have it
        return msgspec.structs.replace(session, auth_time=session.authenticated_at)
    return session


def entry_at_rest(entry: Ended) -> bytes:
    """A feed entry as it is stored."""
    return entry.session_id + entry.at.to_bytes(8) + entry.until.to_bytes(8)


def entry_of(value: bytes) -> Ended:
    """The feed entry that `entry_at_rest` wrote."""
    at, until = value[-16:-8], value[-8:]
    return Ended(value[:-16], int.from_bytes(at), int.from_bytes(until))


def event_at_rest(event: Event) -> bytes:
    """An event as it is stored."""
    return _encode(event)


def event_of(value: bytes) -> Event:
    """The event that `event_at_rest` wrote.

    Raises StoreUnavailable for an event of a later version of this program. That
    version will move it to the audit log.
    """
    try:
        return _event_of(value)
    except msgspec.MsgspecError as error:
        raise StoreUnavailable from error
