"""The `watchword` command, before anything that an extra brings is imported."""

from __future__ import annotations

import sys

from watchword.extras import needs

# The commands that talk to a server as any client does. All other commands need what
# the server itself needs.
_OF_CLIENT = frozenset({"login", "token", "logout"})


def main() -> None:
    """Run the command. Exits with 2 if the command's extra is not installed."""
    name = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    extra = "client" if name in _OF_CLIENT else "server"
    try:
        with needs(f"'watchword[{extra}]'"):
            from watchword.cli import main as command  # noqa: PLC0415 - see above

            command(prog_name="watchword")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("watchword"):
            raise
        print(f"watchword: {missing}", file=sys.stderr)  # noqa: T201 - click may lack
        sys.exit(2)


if __name__ == "__main__":
    main()
