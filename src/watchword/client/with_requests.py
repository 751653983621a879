"""`RequestsAuth`: the session of an `Auth`, for the HTTP library requests."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx2
from requests import PreparedRequest, Response
from requests.auth import AuthBase
from urllib3.util import parse_url

from watchword.client.asking import AskStepUp
from watchword.client.auth import Auth
from watchword.client.auth_flow import (
    UNAUTHORIZED,
    AuthFlow,
    Reply,
    SendApiRequest,
)
from watchword.client.runners import run_step


class RequestsAuth(AuthBase):
    """Sends the access token of an `Auth` along, and refreshes it as `Auth` does."""

    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add the headers to a request; requests calls this for each of them."""
        # Parsed by the same function as the connection will use. Two parsers could read
        # two different hosts from one URL, and the token would go to the wrong one.
        url = parse_url(request.url or "")
        body = request.body
        flow = self._auth.flow_of(
            request.method or "",
            httpx2.URL(
                scheme=url.scheme, host=url.host, port=url.port, path=url.path or "/"
            ),
            repeatable=body is None or isinstance(body, bytes | str),
        )
        step = self._next(flow, None)
        if step is not None and step.headers:
            request.headers.update(step.headers)
            hooks = request.hooks.setdefault("response", [])
            hooks.append(partial(self._answered, flow, step))
        return request

    def _answered(
        self,
        flow: AuthFlow[None],
        step: SendApiRequest,
        response: Response,
        **how: Any,  # noqa: ANN401 - requests' own
    ) -> Response:
        """The answer, or the answer to the same request sent again with a new token."""
        request = response.request
        ours = request.headers.get("Authorization") == step.headers["Authorization"]
        if response.is_redirect or not ours:
            return response
        body = response.content if response.status_code == UNAUTHORIZED else b""
        reply = Reply.of(response.status_code, response.headers, body)
        following = self._next(flow, reply)
        if following is None:
            return response
        response.close()
        request.headers.update(following.headers)
        answer: Response = response.connection.send(request, **how)
        answer.history.append(response)
        return self._answered(flow, following, answer, **how)

    def _next(
        self,
        flow: AuthFlow[None],
        outcome: Any,  # noqa: ANN401 - a step's
    ) -> SendApiRequest | None:
        """The step with which to send the request next; None: the answer is final."""
        try:
            while True:
                step = flow.send(outcome)
                if isinstance(step, SendApiRequest):
                    return step
                if isinstance(step, AskStepUp):
                    self._auth.asking.call(step.needed)
                    outcome = None
                else:
                    outcome = run_step(step)
        except StopIteration:
            return None
        except BaseException:
            # A traceback may keep the generator alive, and with it the lock.
            flow.close()
            raise
