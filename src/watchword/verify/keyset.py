"""The issuer's keys, as far as they are known: what to read, and when to ask again.

No I/O, no clock. The set is read anew before its age (Cache-Control) is over; where the
issuer is away, the known keys stay good. A key id that is not in it is a reason to ask,
but not often: anybody can send one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from watchword.core import limits
from watchword.errors import StoreUnavailable, TokenInvalid
from watchword.verify import jose, jwk

_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})", re.ASCII)
# Before the age is over, and not all verifiers at once.
_EARLIEST: Final = 0.6
_LATEST: Final = 0.9


class NotYet(StoreUnavailable):
    """Keys, or revocations, have not been read yet: asking the issuer may help."""


class UnknownKey(TokenInvalid):
    """A token of a key that is not in the set: asking the issuer may help."""


class KeySet:
    """Times are milliseconds of a monotonic clock."""

    def __init__(self) -> None:
        self._keys: dict[str, jose.PublicKey] = {}
        self._age = limits.JWKS_MAX_AGE
        self._asked_at: int | None = None
        self.read_at: int | None = None
        self.error: str | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def key_of(self, kid: str) -> jose.PublicKey:
        """The key of that id. Raises NotYet before there are any; UnknownKey."""
        key = self._keys.get(kid)
        if key is None:
            raise UnknownKey if self.read_at is not None else NotYet(self.error)
        return key

    def may_ask(self, now: int) -> bool:
        """Whether the last time is long enough ago."""
        return self._asked_at is None or now - self._asked_at >= limits.JWKS_ASK

    def asked(self, now: int) -> None:
        """The issuer is being asked."""
        self._asked_at = now

    def read(self, keys: dict[str, jose.PublicKey], age: int, now: int) -> None:
        """What was published, as of when it was asked for, and its `age_of`."""
        self._keys, self._age, self.read_at, self.error = keys, age, now, None

    def failed(self, error: str) -> None:
        """The issuer was asked in vain; what is known stays."""
        self.error = error

    def rest(self, draw: float) -> int:
        """How long to wait after a good read; `draw` is at random from 0 to 1."""
        return int(self._age * (_EARLIEST + (_LATEST - _EARLIEST) * draw))


def age_of(cache_control: str, age: str = "") -> int:
    """For how many milliseconds an answer is fresh (RFC 9111 §4.2), within reason."""
    found = _MAX_AGE.search(cache_control.lower())
    if found is None:
        return limits.JWKS_MAX_AGE
    spent = int(age) if re.fullmatch(r"\d{1,9}", age, re.ASCII) else 0
    life = (int(found[1]) - spent) * limits.SECOND
    return max(limits.JWKS_AGE_MIN, min(life, limits.JWKS_AGE_MAX))


def read_keys(raw: bytes) -> dict[str, jose.PublicKey]:
    """The keys of a JWK Set (RFC 7517 §5) that tokens may be signed with, by id.

    Keys for something else, and weak ones, are left out. A set with a private or a
    symmetric key, or with one id twice, is refused whole: whoever publishes that is not
    to be trusted with the rest. Raises Malformed, also where no key is left.
    """
    published = jose.read_object(raw).get("keys")
    if not isinstance(published, list):
        raise jose.Malformed("the key set has no keys")
    members = [one for one in published if isinstance(one, dict)]
    if any(
        one.get("kty") == "oct" or not jwk.PRIVATE.isdisjoint(one) for one in members
    ):
        raise jose.Malformed("the key set holds a private or symmetric key")
    ids = [one["kid"] for one in members if isinstance(one.get("kid"), str)]
    if len(set(ids)) != len(ids):
        raise jose.Malformed("the key set has one key id twice")
    found = {key.kid: key for key in map(_key, members) if key is not None}
    if not found:
        raise jose.Malformed("the key set has no key that can be used")
    return found


def _key(member: dict[str, Any]) -> jose.PublicKey | None:
    kid, alg = member.get("kid"), member.get("alg")
    if not isinstance(kid, str) or not 0 < len(kid) <= limits.KEY_ID_MAX:
        return None
    if not isinstance(alg, str) or alg not in jose.ALGORITHMS:
        return None
    operations = member.get("key_ops", ["verify"])
    if member.get("use", "sig") != "sig" or operations != ["verify"]:
        return None
    try:
        return jose.PublicKey(kid, alg, jwk.read_key(member, alg))
    except jose.Malformed:
        return None
