"""The sign-in of `watchword login` by the pages of the server, in a browser."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchword.cli.output import tell, visible

if TYPE_CHECKING:
    from watchword.client import Auth

# A browser in the terminal would take it from the command.
_GRAPHICAL: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
_REMOTE: Final = "SSH_CONNECTION"

Show = Callable[[str], object]


def browser_here() -> Show | None:
    """What opens an address in a browser of the user; None where there is none."""
    if sys.platform == "darwin":
        return None if _REMOTE in os.environ else webbrowser.open
    if not any(os.environ.get(name) for name in _GRAPHICAL):
        return None
    try:
        return webbrowser.get().open
    except webbrowser.Error:
        return None


def sign_in_by_browser(
    url: str, file: Path, show: Show | None, *, as_json: bool
) -> None:
    """Have the user sign in there, and wait for it. Without `show` nothing is opened.

    Raises what `Auth.browser.login` raises.
    """
    from watchword.client import Auth

    auth = Auth(url, file=file)

    def shown(address: str) -> None:
        is_opened = show is not None and show(address)
        todo = "Go on in the browser. It shows nothing? Open" if is_opened else "Open"
        click.echo(f"{todo} this address on this machine:\n{address}", err=True)

    # What runs on this machine by itself goes on when the browser's user signs out.
    auth.browser.login(show=shown, scope=["offline_access"])
    name = _name_at(auth, url)
    tell(
        as_json,
        f"Signed in at {url} as {visible(name)}.",
        url=url,
        user=name,
        file=str(file),
    )


def _name_at(auth: Auth, url: str) -> str:
    """The name of the account, or its address."""
    import httpx2

    with httpx2.Client(auth=auth) as http:
        found = http.get(f"{url.rstrip('/')}/api/auth/account").json()
    return str(found.get("username") or found.get("email") or "")
