"""Step-up and change of password: the user of a session proves it anew.

 0 min   sign-in with the password        auth_time 0
10 min   a step asks for a recent proof:  the password again, R0 --> R1, auth_time 10
         (the answer is lost; the retry with its key gets R1, auth_time 10)
30 min   a plain refresh, R1 --> R2       auth_time stays 10

The token is looked at first: a spent one is reuse, whatever the password.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.scenarios.api import PASSWORD, LocalApi
from tests.scenarios.world import CLIENT, ON_EVERY_STORE, VICTIM, key
from watchword.core.limits import (
    BROWSER_GRACE,
    BROWSER_HOLD_OFF,
    MINUTE,
    SECOND,
    THROTTLE_NAME_BURST,
)
from watchword.core.session import Session, SessionOptions, TokenSet
from watchword.errors import (
    InvalidCredentials,
    PasswordRejected,
    SessionRevoked,
    WatchwordError,
)
from watchword.ports.audit import EventType
from watchword.revocation.tracker import RevocationTracker
from watchword.sign_in.step_up import StepUp
from watchword.testing import ManualClock

NEW = "four other words for alice"
WRONG = "not the password of alice"


class Alice:
    """A user with several sessions, and what the server has of them."""

    def __init__(self, api: LocalApi) -> None:
        self.api = api
        self.engine: Any = api.engine
        self.clock = api.clock
        assert api.engine.self_service is not None
        self.step_ups: StepUp = api.engine.second_factors.step_up

    async def sign_in(self, **options: Any) -> TokenSet:
        asked = SessionOptions(**{"client_id": CLIENT, **options})
        tokens: TokenSet = await self.engine.sign_in.by_password(
            "alice", PASSWORD, asked, address=VICTIM
        )
        return tokens

    async def step_up(
        self, tokens: TokenSet, password: str = PASSWORD, retry_key: str | None = None
    ) -> TokenSet:
        return await self.step_ups.by_password(
            tokens.refresh_token, password, **_presented(tokens, retry_key)
        )

    async def change(
        self,
        tokens: TokenSet,
        current: str = PASSWORD,
        new: str = NEW,
        retry_key: str | None = None,
        *,
        keep: bool = True,
    ) -> TokenSet | None:
        return await self.step_ups.change_password(
            tokens.refresh_token,
            current,
            new,
            keep_session=keep,
            **_presented(tokens, retry_key),
        )

    async def refresh(self, tokens: TokenSet) -> TokenSet:
        refreshed: TokenSet = await self.engine.sessions.refresh(
            tokens.refresh_token, **_presented(tokens, None)
        )
        return refreshed

    async def row(self, tokens: TokenSet) -> Session:
        row: Session = await self.engine.sessions.get(tokens.session.id)
        return row

    async def knows(self, password: str) -> bool:
        """Whether this is her password."""
        try:
            await self.engine.sign_in.check_password("alice", password)
        except InvalidCredentials:
            return False
        return True

    async def events(self, kind: EventType) -> list[Any]:
        found = await self.engine.stores.audit.read(0, 1000)
        return [event for _, event in found if event.type is kind]

    def auth_time(self, tokens: TokenSet) -> int:
        """What her access token says (ms)."""
        claims = self.engine.checker.verify(tokens.access_token)
        return int(claims.auth_time * 1000)


def _presented(tokens: TokenSet, retry_key: str | None) -> Any:
    return {
        "client_id": tokens.session.client_id,
        "retry_key": retry_key,
        "address": VICTIM,
        "cookie": tokens.session.cookie,
    }


async def code_of(call: Awaitable[Any]) -> str:
    """`ok`, or the code of the refusal."""
    try:
        await call
    except WatchwordError as error:
        return error.code
    return "ok"


@pytest.fixture
def alice(api: LocalApi) -> Alice:
    return Alice(api)


@ON_EVERY_STORE
async def test_a_step_up_is_in_every_token_from_then_on(alice: Alice) -> None:
    """The session's start stays; a retry whose answer was lost finds its rotation."""
    first = await alice.sign_in()
    begun = alice.clock.now
    alice.clock.advance(10 * MINUTE)
    risen = await alice.step_up(first, PASSWORD, key())
    assert alice.auth_time(risen) == begun + 10 * MINUTE
    again = await alice.step_up(first, PASSWORD, key())
    assert again.refresh_token == risen.refresh_token
    alice.clock.advance(20 * MINUTE)
    later = await alice.refresh(again)
    assert alice.auth_time(later) == begun + 10 * MINUTE
    row = await alice.row(later)
    assert (row.generation, row.authenticated_at) == (2, begun)
    assert (row.amr, row.acr) == (("pwd",), "aal1")
    (event,) = await alice.events(EventType.STEP_UP)
    assert event.session_id == row.id
    assert event.detail == {"by": "user", "amr": "pwd", "acr": "aal1"}


@ON_EVERY_STORE
async def test_a_wrong_password_spends_nothing(alice: Alice) -> None:
    """It counts as an attempt to sign in, and the token goes on."""
    tokens = await alice.sign_in()
    alice.clock.advance(MINUTE)
    for _ in range(THROTTLE_NAME_BURST):
        assert await code_of(alice.step_up(tokens, WRONG)) == "invalid_credentials"
    assert await code_of(alice.step_up(tokens)) == "throttled"
    assert await code_of(alice.change(tokens)) == "throttled"
    assert len(await alice.events(EventType.SIGN_IN_FAILED)) > 0
    assert (await alice.row(tokens)) == tokens.session
    assert (await alice.refresh(tokens)).session.generation == 1


@pytest.mark.parametrize("password", [PASSWORD, WRONG], ids=["right", "wrong"])
@pytest.mark.parametrize("call", [Alice.step_up, Alice.change], ids=["proof", "change"])
async def test_a_stolen_token_that_was_spent_learns_no_password(
    alice: Alice, call: Callable[[Alice, TokenSet, str], Awaitable[Any]], password: str
) -> None:
    """It is reuse, as at a refresh: the session ends, and nothing was an attempt."""
    tokens = await alice.sign_in()
    alice.clock.advance(MINUTE)
    await alice.refresh(await alice.refresh(tokens))
    assert await code_of(call(alice, tokens, password)) == "refresh_reused"
    assert (await alice.row(tokens)).revoked_reason == "reuse"
    assert await code_of(call(alice, tokens, password)) == "session_revoked"
    assert await alice.events(EventType.SIGN_IN_FAILED) == []
    assert await alice.knows(PASSWORD)


async def test_a_token_of_another_client_proves_nothing_here(alice: Alice) -> None:
    """And what is no token at all is answered as at a refresh."""
    await alice.engine.clients.add("mobile", confidential=False)
    tokens = await alice.sign_in(client_id="mobile")
    for presented in (_presented(tokens, None), {"client_id": CLIENT}):
        proving = alice.step_ups.by_password(
            tokens.refresh_token, PASSWORD, **presented
        )
        assert await code_of(proving) == "refresh_invalid"
    assert (await alice.row(tokens)) == tokens.session


async def test_a_look_at_an_older_row_spends_nothing(
    alice: Alice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read may lack the latest commits; the batch that would refuse sees them."""
    tokens = await alice.sign_in()
    store = alice.engine.stores.sessions
    load, older = store.load, [[None]]

    async def late(ids: Any) -> Any:
        return older.pop() if older else await load(ids)

    monkeypatch.setattr(store, "load", late)
    assert await code_of(alice.step_up(tokens)) == "store_unavailable"
    assert (await alice.row(tokens)) == tokens.session
    assert (await alice.step_up(tokens)).session.generation == 1


@ON_EVERY_STORE
@pytest.mark.parametrize("pause", [BROWSER_HOLD_OFF - 1, BROWSER_GRACE - 1])
async def test_tabs_of_one_browser_do_not_lose_a_proof(
    alice: Alice, pause: int
) -> None:
    """Another tab has just rotated the cookie: a step-up rotates it all the same.

    And so it does where this tab still has the cookie before that.
    """
    first = await alice.sign_in(cookie=True)
    alice.clock.advance(MINUTE)
    second = await alice.refresh(first)
    alice.clock.advance(pause)
    held_off = pause > BROWSER_GRACE
    risen = await alice.step_up(second if held_off else first)
    assert risen.refresh_token != second.refresh_token
    assert alice.auth_time(risen) == alice.clock.now // SECOND * SECOND
    row = await alice.row(risen)
    assert (row.generation, row.auth_time) == (2, alice.clock.now)
    again = await alice.refresh(second)
    assert again.refresh_token == risen.refresh_token
    alice.clock.advance(MINUTE)
    assert (await alice.refresh(risen)).session.auth_time == row.auth_time


@ON_EVERY_STORE
@pytest.mark.parametrize("late", [0, 1])
async def test_a_third_tab_may_have_sent_the_cookie_from_before_both(
    alice: Alice, late: int
) -> None:
    """It is answered as long as it would have been, had there been no step-up."""
    first = await alice.sign_in(cookie=True)
    alice.clock.advance(MINUTE)
    second = await alice.refresh(first)
    alice.clock.advance(SECOND)
    risen = await alice.step_up(second)
    alice.clock.advance(BROWSER_GRACE - SECOND - 1 + late)
    if late:
        assert await code_of(alice.refresh(first)) == "refresh_reused"
    else:
        assert (await alice.refresh(first)).refresh_token == risen.refresh_token


async def disables(alice: Alice, _: Session) -> None:
    await alice.engine.accounts.disable(await alice.api.id_of("alice"))


async def resets(alice: Alice, _: Session) -> None:
    await alice.engine.accounts.set_password(await alice.api.id_of("alice"), NEW)


async def resets_and_keeps(alice: Alice, session: Session) -> None:
    """Another request of the same session changes the password."""
    await alice.engine.accounts.set_password(
        session.account_id, NEW, keep_session=session.id
    )


@ON_EVERY_STORE
@pytest.mark.parametrize("change", [disables, resets, resets_and_keeps])
@pytest.mark.parametrize("call", [Alice.step_up, Alice.change], ids=["proof", "change"])
async def test_an_account_that_changes_meanwhile_renews_no_session(
    alice: Alice,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[[Alice, TokenSet], Awaitable[Any]],
    change: Callable[[Alice, Session], Awaitable[None]],
) -> None:
    """The old password was right when it was checked; what came after it stands."""
    tokens = await alice.sign_in()
    alice.clock.advance(MINUTE)
    check = alice.step_ups.check

    async def checked(*given: Any, **named: Any) -> Any:
        proved = await check(*given, **named)
        await change(alice, tokens.session)
        return proved

    monkeypatch.setattr(alice.step_ups, "check", checked)
    assert await code_of(call(alice, tokens)) == "invalid_credentials"
    row = await alice.row(tokens)
    assert (row.generation, row.auth_time) == (0, tokens.session.auth_time)
    assert await alice.knows(NEW) == (change is not disables)


@ON_EVERY_STORE
async def test_a_changed_password_ends_the_other_sessions(alice: Alice) -> None:
    """At once here, in the feed for other servers; this session rotates and goes on."""
    mine, other = await alice.sign_in(), await alice.sign_in()
    alice.clock.advance(10 * MINUTE)
    elsewhere = RevocationTracker(
        sessions=alice.engine.stores.sessions,
        clock=alice.clock,
        monotonic=ManualClock(0),
    )
    await elsewhere.follow()
    changed = await alice.change(mine)
    assert changed is not None
    assert alice.auth_time(changed) == alice.clock.now // SECOND * SECOND
    await elsewhere.follow()
    for tracker in (alice.engine.revocations, elsewhere):
        assert tracker.has_ended(other.session.sid)
        assert not tracker.has_ended(mine.session.sid)
    assert await code_of(alice.refresh(other)) == "session_revoked"
    assert (await alice.refresh(changed)).session.generation == 2
    assert (await alice.knows(PASSWORD), await alice.knows(NEW)) == (False, True)
    (event,) = await alice.events(EventType.PASSWORD_CHANGED)
    assert (event.address, event.detail["by"]) == (VICTIM, "user")


async def test_a_changed_password_may_end_every_session(alice: Alice) -> None:
    tokens = await alice.sign_in()
    assert await alice.change(tokens, keep=False) is None
    assert await code_of(alice.refresh(tokens)) == "session_revoked"
    assert await alice.knows(NEW)


async def test_a_password_that_may_not_be_set_changes_nothing(alice: Alice) -> None:
    tokens, other = await alice.sign_in(), await alice.sign_in()
    with pytest.raises(PasswordRejected):
        await alice.change(tokens, new="short")
    for kept in (tokens, other):
        assert (await alice.refresh(kept)).session.generation == 1
    assert await alice.knows(PASSWORD)


@ON_EVERY_STORE
@pytest.mark.parametrize("verb", ["end_all", "refresh"])
async def test_a_change_that_was_cut_off_is_finished_by_its_retry(
    alice: Alice, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """The server died before the other sessions ended, or before this one rotated."""
    mine, other = await alice.sign_in(), await alice.sign_in()
    alice.clock.advance(MINUTE)

    real = getattr(alice.engine.sessions, verb)
    # The others end before the password is written, and once more after it.
    before = iter([True] if verb == "end_all" else [])

    async def dies(*given: Any, **named: Any) -> Any:
        if next(before, False):
            return await real(*given, **named)
        raise SystemError

    with monkeypatch.context() as dying:
        dying.setattr(alice.engine.sessions, verb, dies)
        with pytest.raises(SystemError):
            await alice.change(mine, PASSWORD, NEW, key())
    assert await code_of(alice.change(mine)) == "invalid_credentials"
    changed = await alice.change(mine, PASSWORD, NEW, key())
    assert changed is not None
    assert changed.session.generation == 1
    assert (await alice.row(other)).revoked_reason == "password changed"


@ON_EVERY_STORE
async def test_a_change_whose_answer_was_lost_is_answered_by_its_retry(
    alice: Alice,
) -> None:
    """With the same tokens; a session that began since then, by the new one, stays."""
    tokens = await alice.sign_in()
    alice.clock.advance(MINUTE)
    changed = await alice.change(tokens, PASSWORD, NEW, key())
    since = await alice.engine.sign_in.by_password(
        "alice", NEW, SessionOptions(client_id=CLIENT)
    )
    again = await alice.change(tokens, PASSWORD, NEW, key())
    assert changed is not None
    assert again is not None
    assert again.refresh_token == changed.refresh_token
    assert (await alice.row(since)).revoked_at is None
    assert len(await alice.events(EventType.PASSWORD_CHANGED)) == 1
    wrong = alice.change(tokens, PASSWORD, WRONG, key())
    assert await code_of(wrong) == "invalid_credentials"


async def test_pages_change_the_password_under_a_session_of_their_own(
    alice: Alice,
) -> None:
    """The proof that comes back is one that a session can go on with."""
    kept, other = await alice.sign_in(), await alice.sign_in()
    proved = await alice.step_ups.replace_password(
        kept.session.account_id,
        PASSWORD,
        NEW,
        keep_session=kept.session.id,
        address=VICTIM,
    )
    await alice.engine.accounts.look_again(proved)
    assert (await alice.refresh(kept)).session.generation == 1
    with pytest.raises(SessionRevoked):
        await alice.refresh(other)
