"""The calls of accounts that `Auth` makes, as their bodies."""

from __future__ import annotations

from watchword.client.factors import code_of
from watchword.client.session import Call


def login(username: str, password: str) -> Call:
    """A sign-in by a password."""
    return Call("login", {"username": username, "password": password})


def change_password(current: str, password: str) -> Call:
    """Another password."""
    return Call("password/change", {"currentPassword": current, "password": password})


def continue_login(method: str, code: str) -> Call:
    """The second half of a sign-in. Raises InvalidRequest for another method."""
    return Call("login/continue", code_of(method, code))


def step_up(proof: str, method: str, username: str | None) -> Call:
    """A new proof of the user. Raises InvalidRequest for another method."""
    if method == "password":
        body = {"method": method, "password": proof, "username": username}
        return Call("step-up", body)
    return Call("step-up", code_of(method, proof))
