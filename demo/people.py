"""The accounts of a harbour: their names, roles, factors and devices."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from watchword.accounts.names import normalise_name
from watchword.core.limits import DAY, HOUR, MINUTE
from watchword.core.session import time_ordered_id
from watchword.passwords import UNUSABLE
from watchword.ports.accounts import Account
from watchword.ports.credentials import Credential, CredentialKind

ACCOUNTS: Final = 10_000
NEW: Final = 900
"""So many of them are of the last week."""

_FIRST: Final = (
    "ada anders amina beatriz bojan carmen cem chidi clara dagny dmitri elif emeka "
    "enzo esra fatima freja gabriel gro hanna hiroshi ida ilse imani ines jakub "
    "johanna jonas kaito kamala katarzyna khalid lars leila li lina lucia maeve malik "
    "marta matti mei mira nadia naveen nils noor olga omar paolo petra priya quentin "
    "rafael ravi rosa sanne selma sigrid soline sofia stefan tariq tomas ulla uma vera "
    "viktor wanjiru wei xenia yara yusuf zeynep zofia"
).split()
_LAST: Final = (
    "abara almeida andersson aydin baker bergstrom blinov bos costa dahl demir dubois "
    "eklund farouk ferrari fischer garcia greco haddad halvorsen hansen horvat ibrahim "
    "ito ivanova jansen johansen kaya keller khan kowalska kumar larsen laurent "
    "lindqvist maier martin mendes moreau mwangi nakamura nielsen novak nowak okafor "
    "olsen osei pereira petrov ricci rossi santos sato schmidt silva singh sorensen "
    "suzuki tanaka tremblay usman varga virtanen wagner weber wiesenhuetter wolf "
    "yamada yilmaz zhang"
).split()
_SPECIAL: Final = (
    "maximiliane.wiesenhuetter-von-hohenfels",
    "Ἀλίκη",
    "李伟",
    "o'brien_and-sons",
    "service-berth-lights",
)
DEVICES: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/142",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_1) AppleWebKit/605 Safari",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/142.0 Mobile",
    "TideTables/4.2 CFNetwork",
    "watchword-cli/0.6 Python/3.13",
)


class Person(NamedTuple):
    """An account, what it proves itself by, and where it is."""

    account: Account
    factors: tuple[Credential, ...]
    device: str
    address: str

    @property
    def is_strong(self) -> bool:
        """Whether it signs in by two factors."""
        return bool(self.factors)


def people(draw: random.Random, now: int) -> list[Person]:
    """All accounts but the first, in order of their age, the oldest first."""
    old = sorted(
        now - 7 * DAY - int(draw.random() ** 2 * 900 * DAY)
        for _ in range(ACCOUNTS - NEW)
    )
    new = sorted(now - HOUR - int(draw.random() * 7 * DAY) for _ in range(NEW))
    names = _names(draw)
    return [_person(draw, names[k], at) for k, at in enumerate([*old, *new])]


def _names(draw: random.Random) -> list[str]:
    found = dict.fromkeys(map(normalise_name, _SPECIAL))
    while len(found) < ACCOUNTS:
        name = f"{draw.choice(_FIRST)}.{draw.choice(_LAST)}"
        while name in found:
            name = f"{draw.choice(_FIRST)}.{draw.choice(_LAST)}{draw.randrange(2, 99)}"
        found[name] = None
    names = list(found)
    draw.shuffle(names)
    return names


def _person(draw: random.Random, name: str, at: int) -> Person:
    account_id = time_ordered_id(at, draw.randbytes(10))
    has_address = name.isascii() and "'" not in name and not name.startswith("service")
    address = f"{name}@harbour.example" if has_address else None
    account = Account(
        id=account_id,
        name=name,
        password_hash=UNUSABLE,
        roles=_roles(draw, name),
        created_at=at,
        version=draw.randrange(1, 9),
        disabled=draw.random() < 0.02,
        email=address,
        email_key=address,
        email_confirmed_at=at if address else None,
        locale=draw.choice(("en", "en", "de")),
    )
    return Person(
        account=account,
        factors=_factors(draw, account, at),
        device=draw.choice(DEVICES),
        address=network(draw),
    )


def _roles(draw: random.Random, name: str) -> tuple[str, ...]:
    if name.startswith("service"):
        return ("machine",)
    if name in {"soline.moreau", "wei.zhang"}:
        return ("admin", "harbour-pilot")
    return ("harbour-pilot",) if draw.random() < 0.2 else ()


def _factors(draw: random.Random, account: Account, at: int) -> tuple[Credential, ...]:
    if draw.random() > 0.71:
        return ()
    later = at + int(draw.random() * 5 * MINUTE)
    return (
        Credential(
            id=draw.randbytes(16),
            account_id=account.id,
            kind=CredentialKind.TOTP,
            created_at=later,
            label=draw.choice(("", "", "Phone", "Work phone")),
            used_at=later,
        ),
        *(
            Credential(
                id=draw.randbytes(16),
                account_id=account.id,
                kind=CredentialKind.RECOVERY_CODE,
                created_at=later,
                key=draw.randbytes(32),
            )
            for _ in range(draw.randrange(1, 6) if draw.random() < 0.5 else 0)
        ),
    )


def network(draw: random.Random) -> str:
    """An address of the documentation's networks (RFC 5737, RFC 3849)."""
    if draw.random() < 0.15:
        return f"2001:db8:{draw.randrange(65536):x}::{draw.randrange(1, 256):x}"
    begin = draw.choice(("192.0.2", "198.51.100", "203.0.113"))
    return f"{begin}.{draw.randrange(1, 255)}"
