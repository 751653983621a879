"""The stored hashes that can be checked: argon2, bcrypt, scrypt, PBKDF2.

Each is read in the spellings of PHC, Django, Werkzeug and passlib.

A stored string is parsed once into one of the types below. Its cost is bounded there,
so that an expensive hash in an import cannot stall the pool. With a string that does
not parse, no password is accepted. Only ``hasher`` makes new hashes, all argon2id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import argon2
import bcrypt
from argon2.exceptions import VerifyMismatchError

from watchword.errors import InvalidCredentials

if TYPE_CHECKING:
    from collections.abc import Callable
    from re import Match, Pattern

    _Format = tuple[Pattern[str], Callable[[Match[str]], "StoredHash | None"]]

# What one verification may cost: at these bounds about 4 s of one core of 2026. Common
# settings lie far below: Django 5.2 uses 10^6 iterations, RFC 9106 three passes over 64
# MiB.
PBKDF2_ITERATIONS_MAX: Final = 10_000_000
BCRYPT_COST_MIN: Final = 4  # what the algorithm itself allows
BCRYPT_COST_MAX: Final = 16
MEMORY_KIB_MAX: Final = 256 * 1024
# Memory times passes (argon2) or times lanes (scrypt runs them one after the other).
WORK_KIB_MAX: Final = 1024 * 1024
LANES_MAX: Final = 16
# A tag that is shorter was truncated, and other passwords may match it.
TAG_BYTES_MIN: Final = 16
# libargon2 refuses shorter salts (ARGON2_MIN_SALT_LENGTH).
ARGON2_SALT_BYTES_MIN: Final = 8
BCRYPT_INPUT_MAX: Final = 72
UNUSABLE: Final = "!"
"""Stored for an account without a password, as in Django: it is no password's hash."""


class StoredHash(Protocol):
    """A parsed hash; ``check`` raises InvalidCredentials unless ``secret`` made it."""

    def check(self, secret: bytes) -> None: ...


@dataclass(frozen=True)
class Argon2:
    phc: str

    def check(self, secret: bytes) -> None:
        try:
            # The variant and the parameters come from the string, not from this object.
            argon2.PasswordHasher().verify(self.phc, secret)
        except VerifyMismatchError:
            raise InvalidCredentials from None


@dataclass(frozen=True)
class Bcrypt:
    encoded: str
    prehash: Callable[[bytes], bytes] | None = None

    def check(self, secret: bytes) -> None:
        if self.prehash is not None:
            secret = self.prehash(secret)
        # The system that made the hash ignored everything after 72 bytes, while bcrypt
        # 5 raises. The rehash that follows uses the whole password.
        secret = secret[:BCRYPT_INPUT_MAX]
        if not bcrypt.checkpw(secret, self.encoded.encode()):
            raise InvalidCredentials


@dataclass(frozen=True)
class Pbkdf2:
    digest: str
    iterations: int
    salt: bytes
    tag: bytes

    def check(self, secret: bytes) -> None:
        found = hashlib.pbkdf2_hmac(
            self.digest, secret, self.salt, self.iterations, len(self.tag)
        )
        _same(found, self.tag)


@dataclass(frozen=True)
class Scrypt:
    n: int
    r: int
    p: int
    salt: bytes
    tag: bytes

    def check(self, secret: bytes) -> None:
        found = hashlib.scrypt(
            secret,
            salt=self.salt,
            n=self.n,
            r=self.r,
            p=self.p,
            # What OpenSSL needs for these parameters; its default of 32 MiB is too
            # small.
            maxmem=128 * self.r * (self.n + self.p + 2),
            dklen=len(self.tag),
        )
        _same(found, self.tag)


def parse(stored: str) -> StoredHash | None:
    """The parsed hash; None for one that is unknown, damaged or too costly."""
    for pattern, read in _FORMATS:
        if found := pattern.fullmatch(stored):
            return read(found)
    return None


def recognised(stored: str) -> bool:
    """Whether an account with this hash could sign in after an import."""
    return parse(stored) is not None


def is_unusable(stored: str) -> bool:
    """Whether the account has no password, as Django writes it: "!" and random text."""
    return stored.startswith(UNUSABLE)


def _same(found: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(found, expected):
        raise InvalidCredentials


def _decoded(text: str) -> bytes | None:
    """The bytes of Base64 text, padded or not; None if not spelled canonically."""
    bare = text.rstrip("=")
    try:
        raw = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return None
    return raw if base64.b64encode(raw).decode().rstrip("=") == bare else None


def _argon2(found: Match[str]) -> Argon2 | None:
    memory, passes, lanes = (int(found[name]) for name in ("m", "t", "p"))
    salt, tag = _decoded(found["salt"]), _decoded(found["tag"])
    fits = (
        1 <= lanes <= LANES_MAX
        and 8 * lanes <= memory <= MEMORY_KIB_MAX
        and 1 <= passes <= WORK_KIB_MAX // memory
        and salt is not None
        and len(salt) >= ARGON2_SALT_BYTES_MIN
        and tag is not None
        and len(tag) >= TAG_BYTES_MIN
    )
    return Argon2(found["phc"]) if fits else None


def _bcrypt(found: Match[str]) -> Bcrypt | None:
    prehash = _hexadecimal if found["django"] == "bcrypt_sha256$" else None
    return _bcrypt_of(found, found["hash"], prehash)


def _bcrypt_passlib(found: Match[str]) -> Bcrypt | None:
    """Passlib's bcrypt_sha256: SHA-256 in its first version, HMAC from version 2 on."""
    salt = found["salt"]
    encoded = f"${found['kind']}${int(found['cost']):02}${salt}{found['tag']}"
    prehash = partial(_keyed, salt.encode()) if found["version"] else _plain
    return _bcrypt_of(found, encoded, prehash)


def _bcrypt_of(
    found: Match[str], encoded: str, prehash: Callable[[bytes], bytes] | None
) -> Bcrypt | None:
    fits = BCRYPT_COST_MIN <= int(found["cost"]) <= BCRYPT_COST_MAX
    return Bcrypt(encoded, prehash) if fits else None


def _hexadecimal(secret: bytes) -> bytes:
    return hashlib.sha256(secret).hexdigest().encode()


def _plain(secret: bytes) -> bytes:
    return base64.b64encode(hashlib.sha256(secret).digest())


def _keyed(salt: bytes, secret: bytes) -> bytes:
    return base64.b64encode(hmac.digest(salt, secret, "sha256"))


def _pbkdf2_django(found: Match[str]) -> Pbkdf2 | None:
    return _pbkdf2(found, found["salt"].encode(), _decoded(found["tag"]))


def _pbkdf2_werkzeug(found: Match[str]) -> Pbkdf2 | None:
    return _pbkdf2(found, found["salt"].encode(), bytes.fromhex(found["tag"]))


def _pbkdf2_passlib(found: Match[str]) -> Pbkdf2 | None:
    # Passlib's Base64 has a dot in place of the plus.
    salt, tag = (_decoded(found[name].replace(".", "+")) for name in ("salt", "tag"))
    return None if salt is None else _pbkdf2(found, salt, tag)


def _pbkdf2(found: Match[str], salt: bytes, tag: bytes | None) -> Pbkdf2 | None:
    digest = found["digest"] or "sha1"  # passlib names no digest where it is SHA-1
    iterations = int(found["iterations"])
    fits = (
        tag is not None
        and len(tag) == hashlib.new(digest).digest_size
        and 1 <= iterations <= PBKDF2_ITERATIONS_MAX
    )
    return Pbkdf2(digest, iterations, salt, tag) if fits and tag is not None else None


def _scrypt_django(found: Match[str]) -> Scrypt | None:
    tag = _decoded(found["tag"])
    return _scrypt(found, int(found["n"]), found["salt"].encode(), tag)


def _scrypt_passlib(found: Match[str]) -> Scrypt | None:
    salt, tag = _decoded(found["salt"]), _decoded(found["tag"])
    return None if salt is None else _scrypt(found, 1 << int(found["ln"]), salt, tag)


def _scrypt_werkzeug(found: Match[str]) -> Scrypt | None:
    tag = bytes.fromhex(found["tag"])
    return _scrypt(found, int(found["n"]), found["salt"].encode(), tag)


def _scrypt(found: Match[str], n: int, salt: bytes, tag: bytes | None) -> Scrypt | None:
    r, p = int(found["r"]), int(found["p"])
    memory = n * r // 8  # KiB: 128 bytes for each of n * r
    fits = (
        n > 1
        and n & (n - 1) == 0
        and n.bit_length() <= 16 * r  # RFC 7914 §2: n < 2^(128 * r / 8)
        and 1 <= p <= LANES_MAX
        and r >= 1
        and memory <= MEMORY_KIB_MAX
        and memory * p <= WORK_KIB_MAX
    )
    return Scrypt(n, r, p, salt, tag) if fits and tag is not None else None


# All repetitions are bounded, so no input makes a huge integer or a slow match.
_FORMATS: Final[tuple[_Format, ...]] = (
    (
        # Django writes "argon2" before the PHC string.
        re.compile(
            r"(?:argon2)?(?P<phc>\$argon2(?:id|i|d)\$(?:v=(?:16|19)\$)?"
            r"m=(?P<m>[1-9][0-9]{0,6}),t=(?P<t>[1-9][0-9]{0,6}),p=(?P<p>[1-9][0-9]?)"
            r"\$(?P<salt>[A-Za-z0-9+/]{1,128})\$(?P<tag>[A-Za-z0-9+/]{1,128}))"
        ),
        _argon2,
    ),
    (
        # Django writes the name of its hasher before bcrypt's own "$". The last
        # character of the salt carries only two bits, so it is one of four; the bcrypt
        # library refuses any other.
        re.compile(
            r"(?P<django>bcrypt\$|bcrypt_sha256\$)?"
            r"(?P<hash>\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu]"
            r"[./A-Za-z0-9]{31})"
        ),
        _bcrypt,
    ),
    (
        re.compile(
            r"\$bcrypt-sha256\$(?P<version>v=2,t=)?(?P<kind>2[aby]),(?(version)r=)"
            r"(?P<cost>[1-9][0-9]?)\$(?P<salt>[./A-Za-z0-9]{21}[.Oeu])"
            r"\$(?P<tag>[./A-Za-z0-9]{31})"
        ),
        _bcrypt_passlib,
    ),
    (
        re.compile(
            r"pbkdf2_(?P<digest>sha1|sha256)\$(?P<iterations>[1-9][0-9]{0,8})"
            r"\$(?P<salt>[!-#%-~]{1,128})\$(?P<tag>[A-Za-z0-9+/]{27,43}=)"
        ),
        _pbkdf2_django,
    ),
    (
        re.compile(
            r"pbkdf2:(?P<digest>sha1|sha256|sha512):(?P<iterations>[1-9][0-9]{0,8})"
            r"\$(?P<salt>[!-#%-~]{1,128})\$(?P<tag>(?:[0-9a-f]{2}){20,64})"
        ),
        _pbkdf2_werkzeug,
    ),
    (
        re.compile(
            r"\$pbkdf2(?:-(?P<digest>sha256|sha512))?\$(?P<iterations>[1-9][0-9]{0,8})"
            r"\$(?P<salt>[A-Za-z0-9./]{1,128})\$(?P<tag>[A-Za-z0-9./]{27,86})"
        ),
        _pbkdf2_passlib,
    ),
    (
        re.compile(
            r"scrypt:(?P<n>[1-9][0-9]{0,8}):(?P<r>[1-9][0-9]{0,3}):(?P<p>[1-9][0-9]?)"
            r"\$(?P<salt>[!-#%-~]{1,128})\$(?P<tag>[0-9a-f]{128})"
        ),
        _scrypt_werkzeug,
    ),
    (
        re.compile(
            r"scrypt\$(?P<n>[1-9][0-9]{0,8})\$(?P<salt>[!-#%-~]{1,128})"
            r"\$(?P<r>[1-9][0-9]{0,3})\$(?P<p>[1-9][0-9]?)"
            r"\$(?P<tag>[A-Za-z0-9+/]{86}==)"
        ),
        _scrypt_django,
    ),
    (
        re.compile(
            r"\$scrypt\$ln=(?P<ln>[1-9][0-9]?),r=(?P<r>[1-9][0-9]{0,3}),"
            r"p=(?P<p>[1-9][0-9]?)"
            r"\$(?P<salt>[A-Za-z0-9+/]{1,128})\$(?P<tag>[A-Za-z0-9+/]{43})"
        ),
        _scrypt_passlib,
    ),
)
