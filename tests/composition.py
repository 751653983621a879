"""What compose.yaml composes, run without containers.

The same programs with the same commands and environments: the package out of a wheel,
PostgreSQL and Valkey from wheels, the proxy with its own configuration. Only names of
machines, folders and ports are replaced.
"""

from __future__ import annotations

import compileall
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import redis
import yaml

from tests.pages import ROOT, clean_environment
from tests.patience import PATIENCE
from tests.servers.postgresql import Postgresql, postgresql
from tests.servers.process import Process, free_port
from tests.servers.redis import programs

CONTAINERFILE: Final = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Final[dict[str, Any]] = COMPOSE["services"]
SERVERS: Final = ("server-1", "server-2")
PROXY: Final = Path(sys.executable).with_name("caddy")
# Says on standard error what a read-only file system would have refused, and has time
# pass where a test says so.
WATCHING: Final = """
import os, sys, time

true = time.time_ns
clock = os.environ["CLOCK_OFF_BY"]
time.time_ns = lambda: true() + int(open(clock).read()) * 1_000_000_000

def seen(event, arguments):
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        if not str(arguments[0]).startswith("/dev/"):
            print("WRITES", arguments[0], file=sys.stderr)

print("WATCHED", file=sys.stderr)
sys.addaudithook(seen)
"""


def instructions(name: str) -> list[str]:
    """The arguments of an instruction, of all places where the file has it."""
    return re.findall(rf"^ *{name} (.+)$", CONTAINERFILE, re.MULTILINE)


def image_environment() -> dict[str, str]:
    """What the last stage of the image sets."""
    return dict(pair.split("=", 1) for pair in instructions("ENV")[-1].split())


def command_of(service: dict[str, Any]) -> list[str]:
    """What a container of our image runs."""
    (front,), (usual,) = instructions("ENTRYPOINT"), instructions("CMD")[-1:]
    return [*json.loads(front), *service.get("command", json.loads(usual))]


def copied() -> list[str]:
    """What the image is built from, of this repository."""
    lines = [line.split() for line in instructions("COPY")]
    return [
        name
        for words in lines
        if not words[0].startswith("--from")
        for name in words[:-1]
        if not name.startswith("--")
    ]


def build_wheel(folder: Path) -> Path:
    """The wheel that the image installs, made of what is copied into it alone."""
    context = folder / "context"
    context.mkdir()
    for name in copied():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name)
        else:
            shutil.copy(ROOT / name, context / name)
    program = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    program += ["-d", str(folder)]
    subprocess.run(program, cwd=context, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


class Answer(NamedTuple):
    status: int
    body: dict[str, Any]


class Composition:
    """The services of compose.yaml, each as a process."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self._folder = folder
        self.secrets = self._draw_secrets()
        self._package = folder / "package"
        self._clock = folder / "clock"
        self._clock.write_text("0")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self._package)
        (self._package / "sitecustomize.py").write_text(WATCHING)
        compileall.compile_dir(self._package, quiet=1)  # as in the image
        self._ports = {name: free_port() for name in (*SERVERS, "proxy", "valkey")}
        self._database = postgresql()
        self._valkey = self._process("valkey", self._valkey_command(), self._pings)
        self.servers = {name: self._server(name) for name in SERVERS}
        self._proxy = self._process("proxy", self._proxy_command(), self._serves)
        self._trust: ssl.SSLContext | None = None

    def start(self) -> Composition:
        make_database(self._database, self.secrets)
        self._valkey.start()
        self.migrate()
        for server in self.servers.values():
            server.start()
        self._proxy.start()
        return self

    def migrate(self) -> None:
        """What the service of that name does, once."""
        service = SERVICES["migrate"]
        program = self._program(service)
        environment = self._environment(service)
        subprocess.run(program, env=environment, check=True, capture_output=True)

    def advance(self, seconds: int) -> None:
        """Time passes for all servers."""
        aside = self._clock.with_suffix(".new")
        aside.write_text(str(seconds + int(self._clock.read_text())))
        aside.replace(self._clock)  # never half of it

    def kill(self) -> None:
        for process in (self._proxy, *self.servers.values(), self._valkey):
            process.kill()

    @property
    def certificate(self) -> Path:
        """Of the proxy's own authority: what the page tells a reader to copy."""
        return self._folder / "data/caddy/pki/authorities/local/root.crt"

    @property
    def url(self) -> str:
        return f"https://localhost:{self._ports['proxy']}"

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request through the proxy, from an address that nobody trusts."""
        self._trust = self._trust or ssl.create_default_context(cafile=self.certificate)
        connection = http.client.HTTPSConnection(
            "localhost",
            self._ports["proxy"],
            timeout=PATIENCE,
            source_address=("127.0.0.2", 0),
            context=self._trust,
        )
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            given["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body and json.dumps(body), given)
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read() or b"{}"))
        finally:
            connection.close()

    def probe(self, server: str) -> int:
        """The exit code of its health check."""
        test = SERVICES[server]["healthcheck"]["test"]
        assert test[:3] == ["CMD", "probe", "8000"]
        program = [sys.executable, "-IS", str(ROOT / "deploy/probe.py")]
        program += [str(self._ports[server]), *test[3:]]
        return subprocess.run(program, check=False, capture_output=True).returncode

    def plainly(self, server: str, **headers: str) -> int:
        """The status of a request past the proxy, from another address than its."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._ports[server], source_address=("127.0.0.2", 0)
        )
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request("GET", "/docs", headers=given)
            return connection.getresponse().status
        finally:
            connection.close()

    def restart(self, server: str, number: signal.Signals) -> None:
        """End it and start it again; it is ready when this returns."""
        self.servers[server].stop(number)
        self.servers[server].start()

    def _draw_secrets(self) -> Path:
        """By the script, in a copy of its folder; names of machines made this one's."""
        (self._folder / "deploy").mkdir()
        script = self._folder / "deploy/secrets.sh"
        shutil.copy(ROOT / "deploy/secrets.sh", script)
        subprocess.run(["sh", script], check=True, capture_output=True)
        return script.with_name("secrets")

    def _program(self, service: dict[str, Any]) -> list[str]:
        _, *arguments = command_of(service)
        here = f"assert cli.__file__.startswith({str(self._package)!r})"
        run = f"from watchword import cli; {here}; cli.main()"
        return [sys.executable, "-c", run, *arguments]

    def _environment(self, service: dict[str, Any], **more: str) -> dict[str, str]:
        """The image's and the service's, and where the package was unpacked."""
        settings = self._folder / "watchword.toml"
        text = (self.secrets / settings.name).read_text()
        text = text.replace("@postgres:5432", f"@127.0.0.1:{self._database.port}")
        text = text.replace("@valkey:6379", f"@127.0.0.1:{self._ports['valkey']}")
        settings.write_text(text)
        given = image_environment() | service["environment"]
        del given["PATH"]
        for name, value in given.items():
            place = value.replace("/run/secrets/watchword.toml", str(settings))
            place = place.replace("/run/secrets", str(self.secrets))
            given[name] = place.replace("/data", str(self._folder / "no-data"))
        given["PYTHONPATH"] = str(self._package)
        given["CLOCK_OFF_BY"] = str(self._clock)
        return clean_environment(**given | more)

    def _server(self, name: str) -> Process:
        service, port = SERVICES[name], str(self._ports[name])
        environment = self._environment(
            service,
            WATCHWORD_PORT=port,
            WATCHWORD_BEHIND_PROXY="127.0.0.1",  # where the proxy is here
        )
        front = ["env", "-i", *(f"{k}={v}" for k, v in environment.items())]
        command = [*front, *self._program(service)]
        return self._process(name, command, lambda: self.probe(name) == 0)

    def _process(self, name: str, command: list[str], ready: Any) -> Process:
        return Process(command, self._folder / f"{name}.log", ready)

    def _valkey_command(self) -> list[str]:
        program, config, *options = SERVICES["valkey"]["command"]
        assert program == "valkey-server"
        place = config.replace("/run/secrets", str(self.secrets))
        where = ["--port", str(self._ports["valkey"]), "--bind", "127.0.0.1"]
        where += ["--dir", str(self._folder)]
        return [str(programs()["valkey-9"]), place, *options, *where]

    def _pings(self) -> bool:
        password = (self.secrets / "valkey.conf").read_text().split()[1]
        port = self._ports["valkey"]
        try:
            with redis.Redis(port=port, password=password) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _proxy_command(self) -> list[str]:
        text = (ROOT / "deploy/Caddyfile").read_text()
        for server in SERVERS:
            assert f"{server}:8000" in text
            text = text.replace(f"{server}:8000", f"127.0.0.1:{self._ports[server]}")
        text = text.replace("https_port 8443", f"https_port {self._ports['proxy']}")
        config = self._folder / "Caddyfile"
        config.write_text(text)
        where = f"XDG_DATA_HOME={self._folder}/data", f"HOME={self._folder}"
        run = [str(PROXY), "run", "--config", str(config), "--adapter", "caddyfile"]
        return ["env", *where, *run]

    def _serves(self) -> bool:
        try:
            return self.call("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            return False


def make_database(server: Postgresql, secrets: Path) -> None:
    """What PostgreSQL's image does with an empty volume."""
    script = (ROOT / "deploy/database.sh").read_text()
    environment = os.environ | {
        "PATH": f"{server.bin}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
    }
    subprocess.run(
        ["sh", "-c", script.replace("/run/secrets", str(secrets))],
        env=environment,
        check=True,
        capture_output=True,
    )
