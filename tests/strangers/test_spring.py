"""Spring Security's oauth2Login, which wants an issuer and a client, no more."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.strangers.site import BACK, Site
from tests.tools import tool
from tests.walking import Walker

pytestmark = pytest.mark.needs("java", "mvn")

HERE: Final = Path(__file__).parent / "spring"
SECONDS: Final = 300  # the first run fetches the libraries
SHORT: Final = "-XX:TieredStopAtLevel=1"  # no program here runs for long


def test_its_user_signs_in_by_browser(site: Site, tmp_path: Path) -> None:
    """Discovery, PKCE, its hashed nonce, the ID token's signature, and userinfo."""
    listed = tmp_path / "classpath"
    maven = [tool("mvn"), "-B", "-q", "-f", str(HERE / "pom.xml")]
    maven += ["dependency:build-classpath", f"-Dmdep.outputFile={listed}"]
    environment = os.environ | {"MAVEN_OPTS": SHORT}
    subprocess.run(
        maven, check=True, timeout=SECONDS, capture_output=True, env=environment
    )
    portal = site.portal
    command = [tool("java"), SHORT, "-cp", listed.read_text()]
    command += [str(HERE / "SignIn.java"), site.issuer, portal.id]
    command += [str(portal.secret), BACK]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        landed = Walker(site.issuer).walk(process.stdout.readline().strip())
        said, _ = process.communicate(f"{landed}\n", timeout=SECONDS)
    assert said == "ok admin true true\n"
