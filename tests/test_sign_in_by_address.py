"""Sign-in by a mail address, and the tries that a name and an address have together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.scenarios.api import PASSWORD, LocalApi, code_of, local_api, settings_for
from watchword.core.limits import THROTTLE_NAME_BURST, THROTTLE_NAME_INTERVAL
from watchword.mail.addresses import read_address
from watchword.ports.audit import Trail
from watchword.testing import ManualClock


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def api(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[LocalApi]:
    async with local_api(
        settings_for(tmp_path, request.param), ManualClock()
    ) as opened:
        await give_address(opened, "alice", "Alice@Bücher.example")
        yield opened


async def give_address(api: LocalApi, name: str, address: str, **fields: Any) -> None:
    accounts = api.engine.stores.accounts
    before = await accounts.by_name(name)
    assert before is not None
    read = read_address(address)
    given = {"email": read.email, "email_key": read.key, "email_confirmed_at": 1}
    after = msgspec.structs.replace(
        before, version=before.version + 1, **given | fields
    )
    assert await accounts.swap(before, after, Trail())


async def outcome(
    api: LocalApi, name: str, password: str = "wrong", at: str = "192.0.2.1"
) -> str:
    return code_of(await api.at(at).try_login(name, password))


@pytest.mark.parametrize(
    "text",
    [
        "alice",
        "alice@bücher.example",
        " ALICE@XN--BCHER-KVA.example ",
        "alice@BÜCHER.example",
    ],
)
async def test_an_account_signs_in_by_its_name_and_by_its_address(
    api: LocalApi, text: str
) -> None:
    """In any spelling of either."""
    assert await outcome(api, text, PASSWORD) == "ok"
    assert await outcome(api, text) == "invalid_credentials"


@pytest.mark.parametrize("missing", ["email_confirmed_at", "email_key"])
async def test_an_address_that_is_not_confirmed_does_not_sign_in(
    api: LocalApi, missing: str
) -> None:
    await api.engine.accounts.register("bob", PASSWORD)
    await give_address(api, "bob", "bob@example.org", **{missing: None})
    assert await outcome(api, "bob@example.org", PASSWORD) == "invalid_credentials"
    assert await outcome(api, "bob", PASSWORD) == "ok"


@pytest.mark.parametrize("name", ["bob", "bob@strasse.example"])
async def test_a_letter_that_folds_does_not_make_another_domain(
    api: LocalApi, name: str
) -> None:
    """`ß` becomes `ss` in names: strasse.example is another's domain.

    That other one does not keep the owner of the address out either.
    """
    await api.engine.accounts.register(name, PASSWORD)
    await give_address(api, name, "bob@strasse.example")
    assert await outcome(api, "bob@straße.example", PASSWORD) == "invalid_credentials"
    other = "another horse battery staple 42"
    await api.engine.accounts.register("bo", other)
    await give_address(api, "bo", "bob@straße.example")
    assert await outcome(api, "bob@straße.example", other) == "ok"
    assert await outcome(api, "bob@strasse.example", PASSWORD) == "ok"


async def test_name_and_address_share_the_tries_of_an_account(api: LocalApi) -> None:
    spellings = ("alice", "alice@bücher.example", "alice@xn--bcher-kva.example")
    for number in range(THROTTLE_NAME_BURST):
        text = spellings[number % 3]
        at = f"198.51.100.{number}"
        assert await outcome(api, text, at=at) == "invalid_credentials"
    for text in spellings:
        assert await outcome(api, text, PASSWORD) == "throttled"
    api.clock.advance(THROTTLE_NAME_INTERVAL)
    assert await outcome(api, spellings[1]) == "invalid_credentials"
    assert await outcome(api, spellings[0], PASSWORD) == "throttled"


async def test_a_success_by_either_gives_back_all_tries_of_the_account(
    api: LocalApi,
) -> None:
    for _ in range(2):
        for number in range(THROTTLE_NAME_BURST - 1):
            at = f"198.51.100.{number}"
            assert await outcome(api, "alice", at=at) == "invalid_credentials"
        assert await outcome(api, "alice", PASSWORD) == "ok"


async def test_a_text_that_names_no_account_is_throttled_as_one_that_does(
    api: LocalApi,
) -> None:
    """Whichever spelling of an address is tried, and in whichever order."""

    async def answers(*spellings: str) -> list[str]:
        return [
            await outcome(
                api, spellings[number % len(spellings)], at=f"10.0.0.{number}"
            )
            for number in range(THROTTLE_NAME_BURST + 3)
        ]

    known = await answers("alice@bücher.example", "Alice@xn--bcher-kva.example")
    unknown = await answers("other@bücher.example", "Other@xn--bcher-kva.example")
    assert known == unknown
    assert known.count("throttled") == 3
    assert await answers("alice") == ["throttled"] * (THROTTLE_NAME_BURST + 3)


@pytest.mark.parametrize("shape", ["{}", "{}@bücher.example"])
async def test_the_store_is_asked_the_same_for_a_known_text_and_an_unknown_one(
    api: LocalApi, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    asked: list[str] = []

    def watched(port: Any, verb: str) -> None:
        real = getattr(port, verb)

        async def call(*given: Any, **named: Any) -> Any:
            size = len(given[0]) if verb == "take" else ""
            asked.append(f"{verb} {size}")
            return await real(*given, **named)

        monkeypatch.setattr(port, verb, call)

    stores = api.engine.stores
    for port, verb in (
        (stores.accounts, "by_name"),
        (stores.accounts, "by_email"),
        (stores.accounts, "by_id"),
        (stores.throttle, "take"),
        (stores.throttle, "give_back"),
        (stores.audit, "record"),
    ):
        watched(port, verb)
    seen = []
    for name in ("alice", "other"):
        assert await outcome(api, shape.format(name)) == "invalid_credentials"
        seen.append(list(asked))
        asked.clear()
    assert seen[0] == seen[1] != []
