"""The `watchword` command. Each command, or group of commands, is a file.

`common.py` is what the commands share, `output.py` is how they print, and `progress.py`
how they show that they go on. Modules of the engine are imported inside the commands,
so that `watchword --help` is quick.
"""

from __future__ import annotations

import click

from watchword import __version__
from watchword.cli.audit import audit
from watchword.cli.check import check
from watchword.cli.clients import clients
from watchword.cli.factors import OF_USERS
from watchword.cli.inspect import inspect
from watchword.cli.invite import invite
from watchword.cli.keys import keys
from watchword.cli.mail import mail
from watchword.cli.migrate import migrate
from watchword.cli.openapi import openapi
from watchword.cli.serve import serve
from watchword.cli.sessions import sessions
from watchword.cli.sign_in import login, logout, token
from watchword.cli.users import user
from watchword.cli.webhooks import webhooks


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="watchword")
def main() -> None:
    """Sessions for your API: sign in, refresh, log out everywhere."""


for command in (
    *(serve, user, invite, sessions, clients, keys, mail, webhooks),
    *(migrate, check, openapi, audit, inspect),
    *(login, token, logout),
):
    main.add_command(command)
for command in OF_USERS:
    user.add_command(command)
