"""What becomes of a test whose program is absent, in a pytest with our conftest.py."""

from __future__ import annotations

from typing import Final

import pytest

from tests.pages import ROOT

pytest_plugins = ["pytester"]

TESTS: Final = """
import pytest
from tests.tools import tool

@pytest.mark.needs("no-such-program")
def test_of_a_program():
    raise AssertionError

@pytest.mark.parametrize(
    "name", ["python3", pytest.param("no-row", marks=pytest.mark.needs("no-row"))]
)
def test_of_a_row(name):
    assert tool(name)
"""


@pytest.fixture
def ours(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder of tests under tests/conftest.py."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest((ROOT / "tests/conftest.py").read_text())
    return pytester


@pytest.mark.parametrize(
    ("in_ci", "options"), [("", ()), ("true", ("-pxdist", "-n1"))], ids=["alone", "CI"]
)
def test_test_without_its_program_is_named_and_not_collected(
    ours: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    in_ci: str,
    options: tuple[str, ...],
) -> None:
    """It is neither passed nor skipped, so that CI does not fail for it."""
    monkeypatch.setenv("CI", in_ci)
    ours.makepyfile(test_them=TESTS)
    done = ours.runpytest_subprocess("-pno:cacheprovider", *options)
    done.assert_outcomes(passed=1)
    assert done.ret == 0
    done.stdout.fnmatch_lines(
        [
            "not collected, for no-row is not here: test_them.py (1)",
            "not collected, for no-such-program is not here: test_them.py (1)",
        ]
    )


@pytest.mark.parametrize(("in_ci", "code"), [("", 0), ("true", 1)])
def test_skipped_test_fails_in_ci(
    ours: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, in_ci: str, code: int
) -> None:
    """A backend that should be there is not passed over in silence."""
    monkeypatch.setenv("CI", in_ci)
    ours.makepyfile("import pytest\n\ndef test_one():\n    pytest.skip('no store')")
    assert ours.runpytest_subprocess("-pno:cacheprovider").ret == code
