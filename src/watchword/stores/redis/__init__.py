"""Sessions in Redis or Valkey, single or Cluster. Other records stay in another store.

Sessions, the feed, the throttle and used keys are here. The store `records` keeps
everything else. Events are written here together with their sessions and then adopted
by `records`. No key has a time to live in Redis: the sweep deletes what has expired, by
the clock of its caller.
"""

from __future__ import annotations

import logging
import re
from typing import Final

import msgspec
from redis.exceptions import AuthenticationError, NoPermissionError

from watchword.clocks import Entropy
from watchword.errors import SettingsError, StoreUnavailable, WatchwordError
from watchword.ports import Stores
from watchword.reasons import reason_of
from watchword.stores.redis.address import Address, address_of
from watchword.stores.redis.audit import Outbox, RedisAuditLog
from watchword.stores.redis.backend import RedisBackend
from watchword.stores.redis.cluster import Cluster
from watchword.stores.redis.feed import Feed
from watchword.stores.redis.index import Index
from watchword.stores.redis.keys import Keys
from watchword.stores.redis.node import Barrier, ConnectionLost, Node
from watchword.stores.redis.once import RedisReplayCache
from watchword.stores.redis.session_rows import SessionRows
from watchword.stores.redis.sessions import RedisSessions
from watchword.stores.redis.single import Single
from watchword.stores.redis.stats import RedisStats
from watchword.stores.redis.throttle import RedisThrottle

_log = logging.getLogger("watchword.stores")

OLDEST: Final = (6, 2)
WAITS_FOR_DISK: Final = (7, 2)


async def open_stores(
    url: str, entropy: Entropy, records: Stores, wait: tuple[int, int]
) -> Stores:
    """The store at that URL for sessions, and `records` for everything else.

    Raises SettingsError for a URL or a server that cannot be used.
    """
    address = address_of(url)
    servers = Cluster(address) if address.cluster else Single(address)
    try:
        await servers.start()
        infos = [await _info(node) for node in servers.masters()]
        barrier = _barrier(infos, address, wait)
        servers.wait_for(barrier)
        keys = Keys(address.prefix)
        feed = Feed(servers, keys, entropy)
        await feed.incarnation()
    except BaseException as error:
        await servers.close()
        if isinstance(error, StoreUnavailable):
            raise _fault(error, address) from error
        raise
    rows = SessionRows(servers, keys, waits=barrier is not None)
    index = Index(servers, keys, rows)
    outbox = Outbox(servers, keys, records.audit)
    return msgspec.structs.replace(
        records,
        sessions=RedisSessions(rows, index, feed, records.credentials),
        throttle=RedisThrottle(servers, keys),
        once=RedisReplayCache(servers, keys),
        audit=RedisAuditLog(outbox, records.audit),
        stats=RedisStats(records.stats, index),
        backend=RedisBackend(
            servers,
            keys,
            index=index,
            feed=feed,
            outbox=outbox,
            records=records.backend,
        ),
    )


async def _info(node: Node) -> dict[str, str]:
    """What `INFO` says of a server, by name. Raises StoreUnavailable."""
    try:
        (text,) = await node.exchange([("INFO",)])
    except ConnectionLost as error:
        raise StoreUnavailable from error
    if isinstance(text, Exception):
        raise StoreUnavailable from text
    lines = (line.partition(":") for line in text.decode().splitlines())
    return {name: value for name, _, value in lines}


def _barrier(
    infos: list[dict[str, str]], address: Address, wait: tuple[int, int]
) -> Barrier | None:
    """What a revocation waits for on these servers, or None for nothing.

    Raises SettingsError where the servers cannot be used as they are configured.
    """
    local, replicas = wait
    oldest = min(_version(one) for one in infos)
    logged = all(one.get("aof_enabled") == "1" for one in infos)
    limited = [one for one in infos if one.get("maxmemory", "0") != "0"]
    faults = []
    if oldest < OLDEST:
        faults.append("the server is older than Redis 6.2")
    if not address.cluster and infos[0].get("cluster_enabled") == "1":
        faults.append("the server is part of a Cluster: write redis+cluster://")
    if any(one.get("maxmemory_policy") != "noeviction" for one in limited):
        faults.append(
            "the server would evict sessions: set maxmemory-policy noeviction"
        )
    if local and not logged:
        faults.append(
            "revocations shall wait for the disk, but the server has no append-only "
            "file: set appendonly yes, or WATCHWORD_SESSION_STORE_WAIT=0,1 to wait for "
            "a replica, or 0,0 to wait for nothing"
        )
    if faults:
        raise SettingsError([f"WATCHWORD_SESSION_STORE_URL: {f}" for f in faults])
    by_disk = logged and oldest >= WAITS_FOR_DISK
    if local and not by_disk:
        _log.warning(
            "revocations cannot wait for the disk: this server is older than 7.2. Wait "
            "for a replica: WATCHWORD_SESSION_STORE_WAIT=0,1"
        )
    if not replicas and not (local and by_disk):
        return None
    return Barrier(local, replicas, by_disk)


def _version(info: dict[str, str]) -> tuple[int, int]:
    """The version of Redis; Valkey gives the one that it is compatible with."""
    said = re.match(r"(\d+)\.(\d+)", info.get("redis_version", ""))
    return (0, 0) if said is None else (int(said[1]), int(said[2]))


def _fault(error: StoreUnavailable, address: Address) -> WatchwordError:
    """The error in words for the operator that starts a server: what to change."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    fault = None
    if isinstance(cause, AuthenticationError | NoPermissionError):
        fault = "the server refuses this user or password"
    elif "cluster support disabled" in str(cause):
        fault = "the server is part of no Cluster: write redis://"
    if fault is not None:
        return SettingsError([f"WATCHWORD_SESSION_STORE_URL: {fault}"])
    places = ", ".join(f"{host}:{port}" for host, port in address.hosts)
    why = reason_of(error)
    return StoreUnavailable(f"cannot open the session store at {places}: {why}")
