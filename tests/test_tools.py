"""What becomes of a test whose program is absent, in a pytest with our conftest.py."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.pages import ROOT
from tests.patience import until
from tests.servers import guard

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


LEAVES: Final = """
import os, signal, subprocess, sys
from pathlib import Path
from tests.servers import guard

PROGRAM = [sys.executable, "-c", "import time; time.sleep(600)"]

def test_one(request):
    started = [subprocess.Popen(PROGRAM), subprocess.Popen(PROGRAM, env={{}})]
    guard.note(started[1].pid)
    request.config.started = started  # so that nothing collects them
    Path("started").write_text(" ".join(str(one.pid) for one in started))
    {then}
"""


@pytest.mark.parametrize(
    ("then", "code", "named"),
    [("pass", 1, 2), ("os.kill(os.getpid(), signal.SIGKILL)", -9, 0)],
    ids=["ended", "killed"],
)
def test_what_a_test_has_started_does_not_outlive_the_run(
    ours: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    then: str,
    code: int,
    named: int,
) -> None:
    """With its environment or without; and a run that leaves it behind fails."""
    monkeypatch.delenv(guard.MARK)  # a run of its own
    with (ours.path / "conftest.py").open("a") as conftest:
        conftest.write("\nguard.ENDING = 0.1\n")
    ours.makepyfile(LEAVES.format(then=then))
    done = ours.runpytest_subprocess("-pno:cacheprovider", "-Wignore")
    assert done.ret == code
    assert str(done.stdout).count("a process outlived the tests") == named
    left = (ours.path / "started").read_text().split()
    until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in left))
