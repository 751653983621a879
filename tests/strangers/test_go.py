"""coreos/go-oidc and x/oauth2, beneath Grafana, oauth2-proxy and much else."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.strangers.site import BACK, Site
from tests.tools import tool
from tests.walking import Walker

pytestmark = pytest.mark.needs("go")

HERE: Final = Path(__file__).parent / "go"
SECONDS: Final = 300  # the first build fetches modules and compiles the library


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of this folder, built; go.sum says what may be fetched for it."""
    built = tmp_path_factory.mktemp("go") / "stranger"
    command = [tool("go"), "build", "-mod=readonly", "-buildvcs=false"]
    command += ["-o", str(built), "."]
    subprocess.run(command, cwd=HERE, check=True, timeout=SECONDS)
    return built


def answers(program: Path, issuer: str, audience: str, *tokens: str) -> list[str]:
    done = subprocess.run(
        [program, "verify", issuer, audience],
        input="\n".join(tokens),
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    return done.stdout.splitlines()


def test_it_verifies_a_default_token_from_the_issuer_alone(
    site: Site, program: Path
) -> None:
    """And no token that was altered, or is for another audience."""
    tokens = site.login()
    token = tokens["accessToken"]
    head, payload, signature = token.split(".")
    forged = f"{head}.{payload}.{signature[::-1]}"
    good, bad = answers(program, site.issuer, "api", token, forged)
    assert good.startswith("ok ")
    assert bad.startswith("refused ")
    (other,) = answers(program, site.issuer, "another", token)
    assert "audience" in other


def test_its_user_signs_in_by_browser(site: Site, program: Path) -> None:
    """PKCE, nonce, `at_hash`, userinfo, and a refresh that it makes by itself."""
    portal = site.portal
    command = [str(program), "sign-in", site.issuer, portal.id]
    command += [str(portal.secret), BACK]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        landed = Walker(site.issuer).walk(process.stdout.readline().strip())
        said, _ = process.communicate(f"{landed}\n", timeout=SECONDS)
    assert said == "ok admin true\n"
