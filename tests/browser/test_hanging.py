"""A real Chromium whose lock or storage does not answer for a while."""

from __future__ import annotations

import pytest

from tests.browser.conftest import SECURE, Tab, Visitor
from tests.patience import until
from watchword.core.limits import ACCESS_TTL

PATIENCE = 15_000
"""Of watchword.js, in milliseconds of the page's own clock."""

# What hangs, until `window.release` is called.
HOLDS_LOCK = """
(name) => new Promise((held) => {
  navigator.locks.request(name, () => new Promise((release) => {
    window.release = release;
    held();
  }));
})
"""
HANGS_STORAGE = """
() => {
  const open = indexedDB.open;
  IDBFactory.prototype.open = () => ({});
  window.release = () => { IDBFactory.prototype.open = open; };
}
"""
CALL = """
(url) => {
  window.outcome = null;
  auth.fetch(url).then(({ status }) => { outcome = status; }, (error) => {
    outcome = [error.code, error.temporary];
  });
}
"""


def outcome(tab: Tab) -> object:
    """What became of the call, once its patience is over on the page's clock."""
    tab.page.evaluate(CALL, SECURE)

    def is_over() -> bool:
        tab.page.clock.run_for(PATIENCE)
        return tab.page.evaluate("outcome") is not None

    until(is_over)
    return tab.page.evaluate("outcome")


@pytest.mark.parametrize("hangs", ["lock", "storage"])
def test_a_call_is_given_up_for_now_and_the_next_one_works(
    visitor: Visitor, hangs: str
) -> None:
    """Nobody is signed out by a tab that is frozen with the lock, or by IndexedDB."""
    tab = visitor.open()
    tab.page.clock.install()
    tab.load()
    tab.login()
    visitor.site.clock.advance(ACCESS_TTL)
    holder = visitor.open() if hangs == "lock" else tab
    if hangs == "lock":
        name = f"watchword cookie {visitor.site.origin}/"
        holder.page.evaluate(HOLDS_LOCK, name)
    else:
        holder.page.evaluate(HANGS_STORAGE)
    assert outcome(tab) == ["unanswered", True]
    assert (tab.signed_in, visitor.site.line.count()) == (True, 0)
    holder.page.evaluate("release()")
    assert tab.call() == 200
    assert (tab.events, visitor.generation()) == (["refreshed", "refreshed"], 1)
