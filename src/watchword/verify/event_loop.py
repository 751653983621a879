"""A clear error for code that needs asyncio and is run on another event loop."""

from __future__ import annotations

import asyncio


def need_asyncio(name: str) -> None:
    """Raises RuntimeError, with advice, where another event loop than asyncio runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"{name} runs on asyncio: serve with it, or on another event loop (trio) "
            "use SyncVerifier in a thread"
        ) from None
