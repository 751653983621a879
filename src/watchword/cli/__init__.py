"""The `watchword` command. One file per noun.

`running.py` is what the commands share, and `output.py` how they print. Modules of the
engine are imported inside the commands, so that `watchword --help` is quick.
"""

from __future__ import annotations

import click

from watchword import __version__
from watchword.cli.audit import audit
from watchword.cli.clients import clients
from watchword.cli.keys import keys
from watchword.cli.serve import serve
from watchword.cli.sessions import sessions
from watchword.cli.sign_in import login, logout, token
from watchword.cli.tokens import inspect
from watchword.cli.tools import check, migrate, openapi
from watchword.cli.users import user


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="watchword")
def main() -> None:
    """Sessions for your API: sign in, refresh, log out everywhere."""


for command in (
    *(serve, user, sessions, clients, keys),
    *(migrate, check, openapi, audit, inspect),
    *(login, token, logout),
):
    main.add_command(command)
