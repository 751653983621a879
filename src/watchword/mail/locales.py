"""The languages of mails: those with a folder of templates.

Apart from `composing`, so that a server that has sent no mail has not loaded what
composes them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

OWN: Final = Path(__file__).parent / "templates"


def folders_of(templates: Path | None) -> list[Path]:
    """The folders of mail templates, the one that wins first."""
    return [OWN] if templates is None else [templates / "mail", OWN]


def locales_of(templates: Path | None) -> list[str]:
    """The languages of these templates, in order."""
    found = (one.glob("*/*.txt") for one in folders_of(templates))
    return sorted({text.parent.name for texts in found for text in texts})
