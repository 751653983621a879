"""`watchword serve` with group commit switched off: what each refresh costs alone.

Owns the change, which the product has no setting for: every refresh is a batch of one,
and as many are under way as clients ask. `python -m bench.unbatched serve …` runs the
command line in this process.
"""

from __future__ import annotations

from typing import Any, Final

from watchword import batching
from watchword.stores.sqlite.writer import Job, Writer

# As many as the load has connections.
UNDER_WAY: Final = 32


def switch_off() -> None:
    """Of this process: to be called before a server is made."""
    vars(batching).update(UNDER_WAY=UNDER_WAY, QUIET_TURNS=0)
    defaults = batching.Batcher.__init__.__kwdefaults__
    assert defaults is not None
    defaults["batch_max"] = 1
    together = Writer._commit  # noqa: SLF001 - it is what has to be undone

    def one_by_one(self: Writer, jobs: list[Job]) -> list[Any]:
        return [outcome for job in jobs for outcome in together(self, [job])]

    setattr(Writer, "_commit", one_by_one)  # noqa: B010 - mypy refuses an assignment


def main() -> None:
    switch_off()
    from watchword.cli import main as watchword  # noqa: PLC0415 - after the change

    watchword()


if __name__ == "__main__":
    main()
