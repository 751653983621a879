"""Websockets: let in, refused, and ended by a logout, as over any server and client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.integrations import sockets
from tests.integrations.fakes import ISSUER, FakeIssuer
from tests.integrations.serving import Served, serving
from tests.integrations.stories import (
    BASE,
    NAME,
    PASSWORD,
    bearer,
    example,
    login,
)
from tests.patience import PATIENCE
from watchword.errors import StoreUnavailable, TokenInvalid
from watchword.integrations import asgi
from watchword.integrations import fastapi as for_fastapi
from watchword.integrations import litestar as for_litestar
from watchword.integrations import starlette as for_starlette
from watchword.integrations.websockets import Close, Sockets, headers_of
from watchword.tokens.challenges import refusal

FRAMEWORKS: Final = ("fastapi", "starlette", "litestar")
SIDES: Final[dict[str, Any]] = {
    "fastapi": (for_fastapi.ResourceServer, sockets.by_fastapi),
    "starlette": (for_starlette.ResourceServer, sockets.by_starlette),
    "litestar": (for_litestar.ResourceServer, sockets.by_litestar),
}
SUBJECT: Final = "00000000-0000-0000-0000-000000000007"


# An app that signs its users in, under uvicorn


@pytest.fixture(scope="module", params=FRAMEWORKS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    factory = f"tests.integrations.sockets:by_{request.param}"
    command = f"uvicorn --factory {factory} --port {{port}} --http h11"
    with serving(command, tmp_path_factory.mktemp("served")) as served:
        yield served


def opened(
    server: Served,
    path: str = "/ws",
    *,
    token: str | None = None,
    offer: list[str] | None = None,
) -> ClientConnection:
    headers = {} if token is None else bearer(token)
    offered = None if offer is None else [Subprotocol(one) for one in offer]
    return connect(
        f"ws://127.0.0.1:{server.port}{path}",
        additional_headers=headers,
        subprotocols=offered,
        open_timeout=PATIENCE,
    )


def refused(opening: Callable[[], ClientConnection]) -> tuple[int, str]:
    """The status and the code of the answer to a handshake."""
    with pytest.raises(InvalidStatus) as raised:
        opening()
    answer = raised.value.response
    assert answer.headers["content-type"] == "application/problem+json"
    challenged = "www-authenticate" in answer.headers
    assert challenged is (answer.status_code == 401)
    return answer.status_code, json.loads(answer.body or b"")["code"]


def test_a_good_token_is_let_in_as_a_header_or_as_a_subprotocol(server: Served) -> None:
    access = server.login().json()["accessToken"]
    with opened(server, token=access) as socket:
        assert socket.recv(PATIENCE) == SUBJECT
        assert socket.subprotocol is None
    with opened(server, offer=["bearer", access]) as socket:
        assert socket.recv(PATIENCE) == SUBJECT
        assert socket.subprotocol == "bearer"


def test_what_is_no_good_token_is_refused_before_the_socket_opens(
    server: Served,
) -> None:
    access = server.login().json()["accessToken"]
    cases: list[tuple[str, dict[str, Any], tuple[int, str]]] = [
        ("/ws", {}, (401, "token_missing")),
        (f"/ws?access_token={access}", {}, (401, "token_missing")),
        ("/ws", {"token": "no.jwt.atall"}, (401, "token_invalid")),
        ("/ws", {"offer": ["bearer", "no.jwt.atall"]}, (401, "token_invalid")),
        ("/ws", {"offer": ["bearer"]}, (400, "invalid_request")),
        ("/ws", {"offer": ["bearer", access, "bearer", "x"]}, (400, "invalid_request")),
        (
            "/ws",
            {"token": access, "offer": ["bearer", access]},
            (400, "invalid_request"),
        ),
        ("/clerks", {"token": access}, (403, "insufficient_role")),
        ("/clerks", {}, (401, "token_missing")),
    ]
    for path, given, told in cases:
        assert refused(partial(opened, server, path, **given)) == told


def test_a_logout_ends_an_open_socket(server: Served) -> None:
    """Within a second, and the other session's socket stays."""
    ended, other = server.login().json(), server.login().json()
    with (
        opened(server, token=ended["accessToken"]) as first,
        opened(server, token=other["accessToken"]) as second,
    ):
        for socket in (first, second):
            assert socket.recv(PATIENCE) == SUBJECT
        body = {"refreshToken": ended["refreshToken"]}
        assert server.post("/logout", body).code == "ok"
        with pytest.raises(ConnectionClosed) as raised:
            first.recv(PATIENCE)
        assert raised.value.rcvd is not None
        assert (raised.value.rcvd.code, raised.value.rcvd.reason) == (
            1008,
            "token_revoked",
        )
        second.send(other["accessToken"])
        assert second.recv(PATIENCE)
    assert refused(lambda: opened(server, token=ended["accessToken"])) == (
        401,
        "token_revoked",
    )


def test_a_fresh_token_of_the_same_session_goes_on(server: Served) -> None:
    first, other = server.login().json(), server.login().json()
    with opened(server, token=first["accessToken"]) as socket:
        socket.recv(PATIENCE)
        fresh = server.post("/refresh", {"refreshToken": first["refreshToken"]}).json()
        socket.send(fresh["accessToken"])
        assert int(socket.recv(PATIENCE)) > 0
        socket.send(other["accessToken"])  # of another session: it is not renewed
        with pytest.raises(ConnectionClosed) as raised:
            socket.recv(PATIENCE)
        assert raised.value.rcvd is not None
        assert raised.value.rcvd.reason == "token_invalid"


def test_the_example_chats_until_the_logout() -> None:
    program = example("fastapi_websocket")
    with TestClient(program.app) as client:
        assert client.portal is not None
        client.portal.call(program.auth.register, NAME, PASSWORD)
        tokens = login(client)
        access = bearer(tokens["accessToken"])
        with client.websocket_connect("/chat", headers=access) as socket:
            socket.send_json({"token": tokens["accessToken"]})
            socket.send_json({"say": "hello"})
            assert socket.receive_json()["said"] == "hello"
            client.post(f"{BASE}/logout", headers=access)
            with pytest.raises(WebSocketDisconnect) as raised:
                socket.receive_json()
        assert (raised.value.code, raised.value.reason) == (1008, "token_revoked")


# An API that only verifies


@pytest.fixture(params=FRAMEWORKS)
def client(
    request: pytest.FixtureRequest,
    elsewhere: FakeIssuer,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[TestClient]:
    monkeypatch.setattr(asgi, "LOOK_SECONDS", 0.01)
    kind, made = SIDES[request.param]
    auth = kind(ISSUER, address="https://api.example")
    with TestClient(made(auth)) as client:
        yield client


def denial(client: TestClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    with (
        pytest.raises(WebSocketDenialResponse) as raised,
        client.websocket_connect(path, headers=headers),
    ):
        pass
    return raised.value.status_code, raised.value.json()["code"]


def test_an_api_lets_in_and_refuses(client: TestClient, elsewhere: FakeIssuer) -> None:
    mint = elsewhere.mint
    clerk = bearer(mint.with_claims(roles=["clerk"]))
    with client.websocket_connect("/clerks", headers=clerk) as socket:
        assert socket.receive_text() == "clerk"
    expired = mint.with_claims(exp=mint.payload()["iat"], iat=mint.payload()["iat"] - 9)
    assert denial(client, "/clerks", bearer(mint.token())) == (403, "insufficient_role")
    assert denial(client, "/ws", bearer(expired)) == (401, "token_expired")
    elsewhere.is_cut_off = True
    assert denial(client, "/ws", clerk) == (503, "store_unavailable")


def test_an_open_socket_of_an_api_ends_with_its_session(
    client: TestClient, elsewhere: FakeIssuer
) -> None:
    with client.websocket_connect(
        "/ws", headers=bearer(elsewhere.mint.token())
    ) as socket:
        assert socket.receive_text() == "u"
        elsewhere.ended.add("s")
        with pytest.raises(WebSocketDisconnect) as raised:
            socket.receive_text()
        assert (raised.value.code, raised.value.reason) == (1008, "token_revoked")


def test_what_was_taken_from_a_user_is_not_renewed(
    client: TestClient, elsewhere: FakeIssuer
) -> None:
    """What the socket was opened for may have needed it."""
    more = {"roles": ["clerk", "boss"], "scope": "read write"}
    for less, code in (
        ({"roles": ["clerk"]}, "insufficient_role"),
        ({"scope": "read"}, "insufficient_scope"),
    ):
        first = bearer(elsewhere.mint.with_claims(**more))
        with client.websocket_connect("/ws", headers=first) as socket:
            socket.receive_text()
            socket.send_text(elsewhere.mint.with_claims(**more))
            assert int(socket.receive_text()) > 0
            socket.send_text(elsewhere.mint.with_claims(**more | less))
            with pytest.raises(WebSocketDisconnect) as raised:
                socket.receive_text()
        assert (raised.value.code, raised.value.reason) == (1008, code)


def test_a_bound_token_opens_a_socket_with_its_proof_alone(
    client: TestClient, elsewhere: FakeIssuer
) -> None:
    """A browser has no header for a proof: there it is refused."""
    token = elsewhere.mint.with_claims(cnf={"jkt": "k"})
    proved = {"Authorization": f"DPoP {token}", "DPoP": "proof"}
    with client.websocket_connect("/ws", headers=proved) as socket:
        assert socket.receive_text() == "u"
    assert elsewhere.proofs == [("proof", "GET", "https://api.example/ws")]
    assert denial(client, "/ws", bearer(token)) == (401, "token_invalid")
    offered = {"Sec-WebSocket-Protocol": f"bearer, {token}"}
    assert denial(client, "/ws", offered) == (401, "token_invalid")


def test_starlettes_own_decorator_knows_who_comes_by_a_socket(
    elsewhere: FakeIssuer,
) -> None:
    auth = for_starlette.ResourceServer(ISSUER)
    with TestClient(sockets.by_starlette(auth)) as client:
        good = bearer(elsewhere.mint.token())
        with client.websocket_connect("/theirs", headers=good) as socket:
            assert socket.receive_text() == "u"
        with (
            pytest.raises(WebSocketDisconnect) as raised,
            client.websocket_connect("/theirs"),
        ):
            pass
        assert raised.value.code == 1000  # as Starlette says it
    with pytest.raises(TypeError, match="no argument request or websocket"):
        auth.requires()(lambda: None)


def test_a_server_without_denials_closes_with_a_policy_violation() -> None:
    """And with 1013 where the fault is ours, for the client to try again."""
    for error, code in ((TokenInvalid(), 1008), (StoreUnavailable(), 1013)):
        sent = list[Any]()
        app = Sockets(Close(error), lambda _, error: refusal(error))

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        scope = {"type": "websocket", "headers": [], "subprotocols": []}
        asyncio.run(app(scope, send, send))  # type: ignore[arg-type]
        assert sent == [{"type": "websocket.close", "code": code, "reason": error.code}]


def test_a_socket_that_has_a_subprotocol_of_its_own_keeps_it() -> None:
    sent = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await send({"type": "websocket.accept", "subprotocol": "graphql-ws"})

    async def send(message: Any) -> None:
        sent.append(message)

    offered = ["graphql-ws", "bearer", "token"]
    scope = {"type": "websocket", "headers": [], "subprotocols": offered}
    whole = Sockets(app, lambda _, error: refusal(error))
    asyncio.run(whole(scope, send, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.accept", "subprotocol": "graphql-ws"}]


def test_a_server_may_leave_out_what_was_not_offered() -> None:
    """`subprotocols` is optional in the scope (ASGI, Websocket connection scope)."""
    sent = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert headers_of(scope) == []
        await send({"type": "websocket.accept"})
        await receive()

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.disconnect"}

    whole = Sockets(app, lambda _, error: refusal(error))
    asyncio.run(whole({"type": "websocket", "headers": []}, receive, send))
    assert sent == [{"type": "websocket.accept"}]
