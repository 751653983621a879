"""What an authenticator made or signed is checked to the last flag.

A table has what is forged. `fido2`, the library of an authenticator's maker, is asked
about every row too: where it says otherwise, the row says why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from fido2 import cbor
from fido2.server import Fido2Server
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.authenticator import (
    RS256,
    SYNCED,
    USED,
    Authenticator,
    Flags,
    cose_of,
    raw,
    signed,
    text,
)
from tests.passkeys import ANN, BEN, ORIGIN, PARTY, Body, open_desk
from watchword.errors import SecondFactorInvalid
from watchword.factors import webauthn


class Row(NamedTuple):
    """One answer of an authenticator, and what becomes of it.

    `forge` makes it. `fido2` says why that library says otherwise, if it does.
    """

    forge: Callable[[Authenticator, Body], Body]
    is_good: bool = False
    fido2: str = ""


OTHER: Final = Authenticator()
"""The passkey of another user."""

UNSEEN: Final = "does not look at it"
UNASKED: Final = "takes every algorithm, and reads the key when it is used"
LENIENT: Final = "reads other spellings of base64url"
SHORT: Final = "reads bytes that end too early as shorter ones"
IGNORED: Final = "ignores every attestation"


def creating(**forged: Any) -> Callable[[Authenticator, Body], Body]:
    return lambda device, asked: device.create(asked, **forged)


def getting(**forged: Any) -> Callable[[Authenticator, Body], Body]:
    return lambda device, asked: device.get(asked, **forged)


def client(of: Callable[..., Any], **members: Any) -> Any:
    return of(client=members)


def changed(
    make: Callable[[Authenticator, Body], Body], **members: Any
) -> Callable[[Authenticator, Body], Body]:
    """Members of the credential itself; None leaves one out."""

    def forge(device: Authenticator, asked: Body) -> Body:
        body = make(device, asked) | members
        return {key: value for key, value in body.items() if value is not None}

    return forge


def response(
    make: Callable[[Authenticator, Body], Body], key: str, change: Callable[[Any], Any]
) -> Callable[[Authenticator, Body], Body]:
    """One field of the response, after all has been signed."""

    def forge(device: Authenticator, asked: Body) -> Body:
        body = make(device, asked)
        return body | {
            "response": body["response"] | {key: change(body["response"][key])}
        }

    return forge


def with_key(make: Callable[[Authenticator], bytes]) -> Any:
    """Another public key than the device's."""
    return lambda device, asked: device.create(
        asked, attested=device.attested(make(device))
    )


def cose(device: Authenticator, **changes: Any) -> bytes:
    """The device's key with other members: `alg`, `crv`, `x` and so on."""
    key: Any = cbor.decode(cose_of(device.key, device.alg))
    names = {"kty": 1, "alg": 3, "crv": -1, "x": -2, "y": -3}
    return cbor.encode(
        dict(key) | {names[name]: value for name, value in changes.items()}
    )


def rsa_key(bits: int) -> bytes:
    return cose_of(rsa.generate_private_key(65537, bits), RS256)


def p384(device: Authenticator) -> bytes:
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    x, y = numbers.x.to_bytes(48), numbers.y.to_bytes(48)
    return cose(device, crv=2, x=x, y=y)


def ed448_key(_: Authenticator) -> bytes:
    key = ed448.Ed448PrivateKey.generate().public_key()
    return cbor.encode({1: 1, 3: -8, -1: 7, -2: key.public_bytes_raw()})


def self_attested(device: Authenticator, asked: Body, **more: Any) -> Body:
    """A `packed` attestation by the passkey's own key (WebAuthn §8.2)."""
    plain = device.create(asked)["response"]
    hashed = hashlib.sha256(raw(plain["clientDataJSON"])).digest()
    signature = signed(device.key, raw(plain["authenticatorData"]) + hashed)
    statement = {"alg": device.alg, "sig": signature, **more}
    return device.create(asked, fmt="packed", statement=statement)


def shortened(spelled: str) -> str:
    return text(raw(spelled)[:-3])


def extended(device: Authenticator, asked: Body, tail: bytes) -> Body:
    """Attested data that extensions follow."""
    flags = device.flags | Flags.ATTESTED | Flags.EXTENDED
    return device.create(asked, flags=flags, attested=device.attested() + tail)


def cbor_array(item: bytes) -> bytes:
    return b"\x98\xc8" + item * 200


def named(size: int) -> Callable[[Authenticator, Body], Body]:
    def forge(device: Authenticator, asked: Body) -> Body:
        device.id = bytes(size)
        return device.create(asked)

    return forge


MEGABYTE: Final = "A" * 1_048_576
DEEP: Final = b"\x81" * 2000 + b"\x00"
WIDE: Final = b"\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"

# 2 to the power of 16 million: the parser of the library computes it.
HEAVY: Final = b"\xc5\x82\x1a\x00\xff\xff\xff\x01"

WRONG_TYPES: Final = {
    "a number": 7,
    "a list": ["x"],
    "null": None,
    "an object": {"a": 1},
    "true": True,
    "1 MB": MEGABYTE,
    "padded": "AAA=",
    "other letters": "a+/b",
    "line end": "AAAA\n",
    "no ASCII": "é" * 4,
    "surrogate": "\ud800",
}

REGISTRATIONS: Final = {
    "as it should be": Row(creating(), is_good=True),
    "a page of another port": Row(client(creating, origin="http://localhost:9000")),
    "a page of another site": Row(client(creating, origin="https://evil.example")),
    "an origin that is a list": Row(client(creating, origin=[ORIGIN])),
    "of an origin without a port": Row(client(creating, origin="http://localhost")),
    "for another domain": Row(creating(rp_id="evil.example")),
    "the user is not verified": Row(creating(flags=Flags.PRESENT | Flags.ATTESTED)),
    "the user is absent": Row(creating(flags=Flags.VERIFIED | Flags.ATTESTED)),
    "in a frame": Row(client(creating, crossOrigin=True), fido2=UNSEEN),
    "in a frame of": Row(
        client(creating, topOrigin="https://evil.example"), fido2=UNSEEN
    ),
    "in a frame of itself": Row(client(creating, topOrigin=ORIGIN), fido2=UNSEEN),
    "not said whether in a frame": Row(client(creating, crossOrigin=...), is_good=True),
    "a frame that is a word": Row(client(creating, crossOrigin="no"), fido2=UNSEEN),
    "with more in the client data": Row(
        client(creating, other={"a": [1]}), is_good=True
    ),
    "signed for signing in": Row(client(creating, kind="webauthn.get")),
    "for another challenge": Row(client(creating, challenge=text(bytes(32)))),
    "without a challenge": Row(client(creating, challenge=...)),
    "backed up, and never to be": Row(
        creating(flags=USED | Flags.ATTESTED | Flags.BACKED_UP), fido2=UNSEEN
    ),
    "without a key": Row(creating(flags=SYNCED, attested=b"")),
    "a key that is not announced": Row(creating(flags=SYNCED)),
    "with extensions": Row(
        lambda device, asked: extended(device, asked, cbor.encode({"credProtect": 3})),
        is_good=True,
    ),
    "with broken extensions": Row(
        lambda device, asked: extended(device, asked, b"\xa1\x63cr")
    ),
    "with more than extensions": Row(
        lambda device, asked: extended(device, asked, cbor.encode({"a": 1}) + b"more")
    ),
    "nested a thousand deep": Row(lambda device, asked: extended(device, asked, DEEP)),
    "an array of ages": Row(lambda device, asked: extended(device, asked, WIDE)),
    "numbers that take a minute": Row(
        lambda device, asked: extended(device, asked, cbor_array(HEAVY))
    ),
    "a date": Row(
        lambda device, asked: extended(device, asked, b"\xa1\x61a\xc1\x00"),
    ),
    "of no certain length": Row(
        lambda device, asked: extended(device, asked, b"\xbf\x61a\x00\xff")
    ),
    "another algorithm": Row(
        with_key(lambda device: cose(device, alg=-35)), fido2=UNASKED
    ),
    "an algorithm nobody knows": Row(
        with_key(lambda device: cose(device, alg=-4711)), fido2=UNASKED
    ),
    "an algorithm that is text": Row(
        with_key(lambda device: cose(device, alg="ES256")), fido2=UNASKED
    ),
    "another curve": Row(with_key(p384), fido2=UNASKED),
    "a point on no curve": Row(
        with_key(lambda device: cose(device, x=bytes(32))), fido2=UNASKED
    ),
    "the kind of another key": Row(
        with_key(lambda device: cose(device, kty=3)), fido2=UNASKED
    ),
    "RSA of 1024 bits": Row(with_key(lambda _: rsa_key(1024)), fido2=UNASKED),
    "a key of Ed448": Row(with_key(ed448_key), fido2=UNASKED),
    "a key that is a list": Row(with_key(lambda _: cbor.encode([1, 2]))),
    "a key that is cut off": Row(
        with_key(lambda device: cose(device)[:-3]), fido2=SHORT
    ),
    "attested by itself": Row(self_attested, is_good=True),
    "attested by itself, wrongly": Row(
        lambda device, asked: self_attested(device, asked, sig=b"x" * 70), fido2=IGNORED
    ),
    "attested with a certificate": Row(
        lambda device, asked: self_attested(device, asked, x5c=[b"0"]), fido2=IGNORED
    ),
    "attested in another format": Row(
        creating(fmt="android-safetynet", statement={"ver": "1", "response": b"x"}),
        fido2=IGNORED,
    ),
    "no attestation, and a statement": Row(
        creating(statement={"sig": b"x"}), fido2=IGNORED
    ),
    "a format that is a number": Row(creating(fmt=7), fido2=IGNORED),
    "the CBOR is cut off": Row(
        response(creating(), "attestationObject", shortened), fido2=SHORT
    ),
    "another id than it has": Row(
        changed(creating(), id=text(b"x" * 32), rawId=text(b"x" * 32)), fido2=UNSEEN
    ),
    "two ids": Row(changed(creating(), rawId=text(b"x" * 32))),
    "an id of 1023 bytes": Row(named(1023), is_good=True),
    "an id of 1024 bytes": Row(named(1024), fido2=UNSEEN),
    "without an id": Row(named(0), fido2=UNSEEN),
    "another type": Row(changed(creating(), type="password"), fido2=UNSEEN),
    "without a type": Row(changed(creating(), type=None), fido2="takes it as given"),
    "without a response": Row(changed(creating(), response=None)),
    "a response that is text": Row(changed(creating(), response="x")),
    "transports that are text": Row(creating(transports="usb"), fido2=LENIENT),
    "a transport of tomorrow": Row(
        creating(transports=["usb", "pigeon"]), is_good=True
    ),
    "without transports": Row(creating(transports=[]), is_good=True),
}

ASSERTIONS: Final = {
    "as it should be": Row(getting(), is_good=True),
    "a page of another port": Row(client(getting, origin="http://localhost:9000")),
    "a page of another site": Row(client(getting, origin="https://evil.example")),
    "an origin that is a list": Row(client(getting, origin=[ORIGIN])),
    "for another domain": Row(getting(rp_id="evil.example")),
    "the user is not verified": Row(getting(flags=SYNCED & ~Flags.VERIFIED)),
    "the user is absent": Row(getting(flags=SYNCED & ~Flags.PRESENT)),
    "in a frame": Row(client(getting, crossOrigin=True), fido2=UNSEEN),
    "in a frame of": Row(
        client(getting, topOrigin="https://evil.example"), fido2=UNSEEN
    ),
    "a top origin that is null": Row(client(getting, topOrigin=None), fido2=UNSEEN),
    "not said whether in a frame": Row(client(getting, crossOrigin=...), is_good=True),
    "signed for registering": Row(client(getting, kind="webauthn.create")),
    "for another challenge": Row(client(getting, challenge=text(bytes(32)))),
    "a passkey that is bound now": Row(getting(flags=USED), fido2=UNSEEN),
    "not backed up for now": Row(
        getting(flags=SYNCED & ~Flags.BACKED_UP), is_good=True
    ),
    "backed up, and never to be": Row(
        getting(flags=USED | Flags.BACKED_UP), fido2=UNSEEN
    ),
    "the key announced again": Row(getting(flags=SYNCED | Flags.ATTESTED)),
    "extensions that are not there": Row(getting(flags=SYNCED | Flags.EXTENDED)),
    "extensions that take a minute": Row(
        getting(flags=SYNCED | Flags.EXTENDED, extensions=cbor_array(HEAVY))
    ),
    "with extensions": Row(
        getting(flags=SYNCED | Flags.EXTENDED, extensions=cbor.encode({"a": True})),
        is_good=True,
    ),
    "signed by another key": Row(
        lambda device, asked: Authenticator(id=device.id, handle=device.handle).get(
            asked
        )
    ),
    "a signature that is cut off": Row(response(getting(), "signature", shortened)),
    "without a signature": Row(getting(signature="")),
    "data that is cut off": Row(response(getting(), "authenticatorData", shortened)),
    "data with more behind it": Row(
        response(getting(), "authenticatorData", lambda data: text(raw(data) + b"x"))
    ),
    "other client data": Row(
        response(
            getting(),
            "clientDataJSON",
            lambda data: text(raw(data).replace(b"{", b"{ ", 1)),
        )
    ),
    "client data of UTF-16": Row(
        response(
            getting(),
            "clientDataJSON",
            lambda data: text(raw(data).decode().encode("utf-16")),
        )
    ),
    "client data that is a list": Row(getting(clientDataJSON=text(b"[1]"))),
    "the handle of another user": Row(
        lambda device, asked: device.get(asked, userHandle=text(OTHER.handle)),
        fido2=UNSEEN,
    ),
    "a handle that no user has": Row(getting(userHandle=text(bytes(32))), fido2=UNSEEN),
    "an empty handle": Row(getting(userHandle=""), fido2=UNSEEN),
    "without a handle": Row(getting(userHandle=None), fido2=UNSEEN),
    "a passkey that nobody has": Row(
        changed(getting(), id=text(b"x" * 32), rawId=text(b"x" * 32))
    ),
    "the passkey of another user": Row(
        changed(getting(), id=text(OTHER.id), rawId=text(OTHER.id))
    ),
    "two ids": Row(changed(getting(), rawId=text(b"x" * 32))),
    "another type": Row(changed(getting(), type="password"), fido2=UNSEEN),
    "without a response": Row(changed(getting(), response=None)),
    "nothing at all": Row(lambda _device, _asked: {}),
}


_FIDO2_READS: Final = {
    ("id", "null"): "does without",
    **{
        ("userHandle", name): UNSEEN
        for name in ("a number", "true", "1 MB", "padded", "other letters", "line end")
    },
}


def _typed(make: Any, fields: tuple[str, ...]) -> dict[str, Row]:
    """Every field with values that are none of its kind."""

    def wrong(field: str, name: str, value: Any) -> Row:
        if field in {"id", "rawId"}:
            forge = changed(make(), **{field: value})
        else:
            forge = response(make(), field, lambda _: value)
        return Row(forge, fido2=_FIDO2_READS.get((field, name), ""))

    return {
        f"{field} is {name}": wrong(field, name, value)
        for field in fields
        for name, value in WRONG_TYPES.items()
        # A handle may be absent where the user is known; here it is not (above).
        if not (field == "userHandle" and value is None)
    }


REGISTRATIONS.update(
    _typed(creating, ("id", "rawId", "clientDataJSON", "attestationObject"))
)
ASSERTIONS.update(
    _typed(
        getting,
        (
            "id",
            "rawId",
            "clientDataJSON",
            "authenticatorData",
            "signature",
            "userHandle",
        ),
    )
)

FIDO2: Final = Fido2Server(
    PublicKeyCredentialRpEntity(name=PARTY.name, id=PARTY.id),
    verify_origin=lambda origin: origin in PARTY.origins,
)


def _state(asked: Body) -> Body:
    return {"challenge": asked["challenge"], "user_verification": "required"}


def _fido2_registers(asked: Body, body: Body) -> bool:
    try:
        FIDO2.register_complete(_state(asked), body)
    except Exception:  # noqa: BLE001 - it raises whatever it meets
        return False
    return True


def _fido2_signs_in(known: AttestedCredentialData, asked: Body, body: Body) -> bool:
    try:
        FIDO2.authenticate_complete(_state(asked), [known], body)
    except Exception:  # noqa: BLE001 - as above
        return False
    return True


def _refused(call: Callable[[], object]) -> bool:
    """Whether it is SecondFactorInvalid; whatever else is raised fails the test."""
    try:
        call()
    except SecondFactorInvalid:
        return True
    return False


def _differs(row: Row, *, ours: bool, theirs: bool) -> bool:
    return ours is not row.is_good or (ours is theirs) is bool(row.fido2)


async def test_of_what_is_registered_only_what_holds_is_accepted() -> None:
    desk = await open_desk()
    await desk.register(OTHER, BEN)
    wrong = []
    for name, row in REGISTRATIONS.items():
        options = await desk.creation()
        body = row.forge(Authenticator(), options.public_key)
        try:
            await desk.add(options, body)
            ours = True
        except SecondFactorInvalid:
            ours = False
        theirs = _fido2_registers(options.public_key, body)
        if _differs(row, ours=ours, theirs=theirs):
            wrong.append((name, ours, theirs))
    assert not wrong, "\n".join(map(str, wrong))


async def test_of_what_is_signed_only_what_holds_is_accepted() -> None:
    desk = await open_desk()
    await desk.register(OTHER, BEN)
    device = Authenticator()
    await desk.register(device)
    known = AttestedCredentialData(device.attested())
    wrong = []
    for name, row in ASSERTIONS.items():
        options = await desk.passkeys.options_to_prove()
        body = row.forge(device, options.public_key)
        try:
            proved, _ = await desk.passkeys.prove(options.challenge, body)
            ours = proved.account_id == ANN
        except SecondFactorInvalid:
            ours = False
        theirs = _fido2_signs_in(known, options.public_key, body)
        if _differs(row, ours=ours, theirs=theirs):
            wrong.append((name, ours, theirs))
    assert not wrong, "\n".join(map(str, wrong))


# What comes at random

DEVICE: Final = Authenticator(synced=False)
CHALLENGE: Final = webauthn.challenge_of("ww_wc_x")
CREATION: Final = webauthn.creation_options(
    PARTY, challenge=CHALLENGE, handle=bytes(32), name="ann", exclude=[]
)
REQUEST: Final = webauthn.request_options(PARTY, challenge=CHALLENGE, allow=[])
MADE: Final = DEVICE.create(CREATION)
SIGNED: Final = DEVICE.get(REQUEST)
PUBLIC_KEY: Final = cose_of(DEVICE.key, DEVICE.alg)

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("Ae_=é", max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "rawId",
                    "type",
                    "response",
                    *MADE["response"],
                    *SIGNED["response"],
                ]
            ),
            inner,
        )
    ),
    max_leaves=6,
)


def _check(body: Body) -> webauthn.NewPasskey:
    return webauthn.check_new(body, CHALLENGE, PARTY)


def _check_answer(body: Body) -> int:
    answer = webauthn.read_answer(body)
    return webauthn.check_answer(
        answer, CHALLENGE, PARTY, public_key=PUBLIC_KEY, is_synced=False
    )


# On a busy machine to make a body may take long; what is told of it does not matter.
UNHURRIED: Final = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@UNHURRIED
@given(st.dictionaries(st.sampled_from(sorted(MADE)), _json))
def test_no_body_is_more_than_refused(body: Body) -> None:
    assert _refused(lambda: _check(body))
    assert _refused(lambda: _check_answer(body))


@UNHURRIED
@given(
    field=st.sampled_from(
        ["clientDataJSON", "attestationObject", "authenticatorData", "signature"]
    ),
    place=st.floats(0, 1, exclude_max=True),
    instead=st.binary(max_size=9),
    size=st.integers(0, 9),
)
def test_no_bytes_are_more_than_refused(
    field: str, place: float, instead: bytes, size: int
) -> None:
    """Where they are accepted, nothing that counts was changed."""

    def changes(body: Body) -> Body:
        spelled = body["response"].get(field)
        if spelled is None:
            return body
        before = raw(spelled)
        at = int(place * len(before))
        after = before[:at] + instead + before[at + size :]
        return body | {"response": body["response"] | {field: text(after)}}

    body = changes(SIGNED)
    is_signed_anew = body["response"] != SIGNED["response"]
    assert _refused(lambda: _check_answer(body)) is is_signed_anew
    _refused(lambda: _check(changes(MADE)))
