"""The issuer's keys, as far as they are known here, and when to ask for them again.

No I/O, no clock. The set is fetched again before its age (Cache-Control) is over. While
the issuer cannot be reached, the known keys stay good. A key id that is not in the set
is a reason to ask the issuer, but not often, because any caller can invent one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from watchword.core import limits
from watchword.errors import StoreUnavailable, TokenInvalid
from watchword.tokens import jose, jwk
from watchword.verify import bounds

_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age=\"?(\d{1,9})", re.ASCII)
# The part of the age after which the set is fetched again, drawn at random between
# these two: before the age is over, and not by all verifiers at once.
_EARLIEST: Final = 0.6
_LATEST: Final = 0.9


class NotYet(StoreUnavailable):
    """Keys, or revocations, have not been read yet: asking the issuer may help."""


class UnknownKey(TokenInvalid):
    """A token of a key that is not in the set: asking the issuer may help."""


class KeySet:
    """The keys that were read last, and when. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._keys: dict[str, jose.PublicKey] = {}
        self._age = limits.JWKS_MAX_AGE
        self._asked_at: int | None = None
        self.read_at: int | None = None
        self.error: str | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def key_of(self, kid: str) -> jose.PublicKey:
        """The key of that id. Raises UnknownKey, or NotYet before the first read."""
        key = self._keys.get(kid)
        if key is None:
            raise UnknownKey if self.read_at is not None else NotYet(self.error)
        return key

    def may_ask(self, now: int) -> bool:
        """Whether the issuer was asked long enough ago to be asked again."""
        return self._asked_at is None or now - self._asked_at >= bounds.JWKS_ASK

    def asked(self, now: int) -> None:
        """Note that the issuer is being asked now."""
        self._asked_at = now

    def read(self, keys: dict[str, jose.PublicKey], age: int, now: int) -> None:
        """Take over the published keys.

        `age` is for how many milliseconds they are fresh, as `age_of` returns it. `now`
        is when they were asked for.
        """
        self._keys, self._age, self.read_at, self.error = keys, age, now, None

    def failed(self, error: str) -> None:
        """Note that asking the issuer failed. The known keys stay."""
        self.error = error

    def rest(self, draw: float) -> int:
        """How many milliseconds to wait after a good read.

        `draw` is a random number from 0 to 1.
        """
        return int(self._age * (_EARLIEST + (_LATEST - _EARLIEST) * draw))


def age_of(cache_control: str, age: str = "") -> int:
    """For how many milliseconds an answer is fresh (RFC 9111 §4.2).

    The arguments are the headers `Cache-Control` and `Age`. The result lies between
    JWKS_AGE_MIN and JWKS_AGE_MAX.
    """
    found = _MAX_AGE.search(cache_control.lower())
    if found is None:
        return limits.JWKS_MAX_AGE
    spent = int(age) if re.fullmatch(r"\d{1,9}", age, re.ASCII) else 0
    life = (int(found[1]) - spent) * limits.SECOND
    return max(bounds.JWKS_AGE_MIN, min(life, bounds.JWKS_AGE_MAX))


def read_keys(raw: bytes) -> dict[str, jose.PublicKey]:
    """The keys of a JWK Set (RFC 7517 §5) that may sign tokens, by id.

    Keys for another use, and weak ones, are left out. A set with a private or symmetric
    key, or with the same id twice, is refused as a whole: an issuer that publishes such
    a set cannot be trusted with the rest. Raises Malformed, also where no key is left.
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
