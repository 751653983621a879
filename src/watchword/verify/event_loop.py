"""What runs on asyncio alone says so elsewhere."""

from __future__ import annotations

import asyncio


def need_asyncio(name: str) -> None:
    """Raises RuntimeError, with what to do, where another event loop runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            f"{name} runs on asyncio: serve with it, or on another event loop (trio) "
            "use SyncVerifier in a thread"
        ) from None
