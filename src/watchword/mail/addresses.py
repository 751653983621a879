"""Mail addresses: which ones are taken, and when two of them are the same.

Only what every mail server can deliver is taken: ASCII before the `@`, and a domain
that IDNA can turn into ASCII. So two addresses that look alike, such as with the letter
`K` and the sign for Kelvin, are one address or are refused.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec

from watchword.core import limits
from watchword.errors import EmailInvalid
from watchword.extras import needs

with needs("watchword[accounts]"):
    import idna

# RFC 5321 §4.1.2, without quoted strings: no mailbox in use needs one.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*", re.ASCII)
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}", re.ASCII)
# Invisible characters, and those without a meaning. Variation selectors are marks (Mn)
# and are found because IDNA drops them.
_REFUSED: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
_SHOWN: Final = "\N{BULLET}\N{BULLET}\N{BULLET}"


class EmailAddress(msgspec.Struct, frozen=True):
    """A mail address: `email` is what mail goes to, `key` what an account is found by.

    In `email` the part before the `@` is as it was written; in `key` it is lower case.
    """

    email: str
    key: str


def read_address(text: str, *, local: bool = False) -> EmailAddress:
    """The address that this text is.

    `local` also takes a domain without a dot, for a server on loopback. Raises
    EmailInvalid.
    """
    # The length is checked first: IDNA takes long for a long text.
    if len(text.encode("utf-8", "replace")) > limits.MAIL_ADDRESS_MAX:
        raise EmailInvalid
    before, at, after = text.partition("@")
    if (
        not at
        or len(before) > limits.MAIL_LOCAL_PART_MAX
        or not _LOCAL_PART.fullmatch(before)
    ):
        raise EmailInvalid
    domain = _ascii_domain(after)
    # A number at the end is part of an IP address (RFC 3696 §2).
    if domain.rpartition(".")[2].isdigit() or not (local or "." in domain):
        raise EmailInvalid
    email = f"{before}@{domain}"
    if len(email) > limits.MAIL_ADDRESS_MAX:
        raise EmailInvalid
    return EmailAddress(email, f"{before.lower()}@{domain}")


def _ascii_domain(text: str) -> str:
    """The domain in A-labels (UTS 46, RFC 5891). Raises EmailInvalid."""
    try:
        if any(map(_is_invisible, text)):
            raise EmailInvalid
        domain = idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise EmailInvalid from None
    if not _DOMAIN.fullmatch(domain):
        raise EmailInvalid
    return domain


def _is_invisible(char: str) -> bool:
    if char.isascii():
        return not char.isprintable()
    if unicodedata.category(char) in _REFUSED:
        return True
    return not idna.uts46_remap(char, std3_rules=False)


def folded(key: str) -> str:
    """The key without dots and plus tag before the `@`: spellings of one mailbox.

    Throttles count by it. Accounts do not: not every mail server ignores a dot.
    """
    before, _, domain = key.partition("@")
    plain = before.partition("+")[0].replace(".", "")
    return f"{plain or before}@{domain}"


def masked(email: str) -> str:
    """The address as a page or mail shows it to strangers: `m•••@example.org`."""
    before, _, domain = email.partition("@")
    return f"{before[:1]}{_SHOWN}@{domain}"
