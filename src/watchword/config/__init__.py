"""Settings: what an operator may choose, read once and passed in.

Owns the names (`--port`, `WATCHWORD_PORT`, `port` in the file), their defaults, and
every refusal to start that does not need an open store. Durations are whole seconds.
Nothing is read at import, and no fault repeats a secret.

    values       the kinds of values, each with its check
    settings     the settings: kind, default and description
    loading      flags, environment and files, merged and checked
    environment  variables that a platform makes, and small files
    effective    what is in effect, to be shown
"""

from __future__ import annotations

from watchword.extras import needs

with needs("watchword[server]"):
    from watchword.config.loading import FILE_VARIABLE, load_settings
    from watchword.config.settings import ENV_PREFIX, Settings

__all__ = ["ENV_PREFIX", "FILE_VARIABLE", "Settings", "load_settings"]
