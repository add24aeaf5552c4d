"""Who works on a row: this process, told apart from every other one, dead or alive.

A row that is being sent belongs to a process. When that process is gone, nobody will hear the
answer, and the row's outcome is unknown. On the same machine we look whether the process exists;
elsewhere only its lease tells, which it renews while it works.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import psutil
from sqlalchemy import Connection, Select, and_, insert, select, update

from . import schema

LEASE_SECONDS = 60.0
RENEW_SECONDS = 15.0


@dataclass(frozen=True)
class Owner:
    """A process that owns rows.

    Parameters
    ----------
    id : str
        A random name, new for each process and after each fork.
    host, boot, namespace : str
        Machine, its present boot, and the PID namespace.
    pid : int
    started : str
        When the process began, so that a reused PID is not taken for it.
    """

    id: str
    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def current(cls) -> Owner:
        """Describe this process, under a new name."""
        pid = os.getpid()
        return cls(
            id=secrets.token_hex(8),
            host=_host(),
            boot=_boot(),
            namespace=_namespace(),
            pid=pid,
            started=started_at(pid) or "",
        )

    def is_dead(self, lease_until: float, now: float) -> bool:
        """Tell whether nobody works under this name any more.

        Parameters
        ----------
        lease_until, now : float
            Seconds since 1970 by the database's clock.
        """
        if self.host == _host() and self.namespace == _namespace():
            return self.boot != _boot() or started_at(self.pid) != self.started
        return lease_until < now


def started_at(pid: int) -> str | None:
    """Return a mark of when a process began, or None when there is none.

    On Linux it is counted in ticks since boot, which a change of the clock cannot move.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        if stat.parent.parent.joinpath("stat").exists():
            words = stat.read_text().rpartition(")")[2].split()
            return None if words[0] in "ZX" else words[19]
        return f"{psutil.Process(pid).create_time():.2f}"
    except (OSError, IndexError, psutil.Error):
        return None


@cache
def _host() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            return f"{Path(path).read_text().strip()}/{platform.node()}"
        except OSError:
            continue
    return f"{uuid.getnode():x}/{platform.node()}"


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(round(psutil.boot_time() / 60))


@cache
def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


class Lease:
    """What this process says of itself in the log, and what it can tell of the others.

    Parameters
    ----------
    clock : callable
        ``clock(connection)`` returns seconds since 1970 by the database's clock.
    """

    def __init__(self, clock: Callable[[Connection], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._owner: Owner | None = None

    def owner(self) -> Owner:
        """Return this process under the name it has here; a fork gets its own."""
        with self._lock:
            if self._owner is None or self._owner.pid != os.getpid():
                self._owner = Owner.current()
            return self._owner

    def names_of_this_process(self) -> Select[tuple[str]]:
        """Return the query for every name of this process: each open log has one of its own."""
        same = [name for name in vars(self.owner()) if name != "id"]
        table = schema.owners
        where = and_(*(table.c[name] == getattr(self.owner(), name) for name in same))
        return select(table.c.id).where(where)

    def hold(self, connection: Connection) -> str:
        """Write the lease, unless it is fresh, and return the name of this process."""
        owner, now = self.owner(), self._clock(connection)
        here = schema.owners.c.id == owner.id
        until = connection.scalar(select(schema.owners.c.lease_until).where(here))
        lease = {"lease_until": now + LEASE_SECONDS}
        if until is None:
            connection.execute(insert(schema.owners).values(**vars(owner), **lease))
        elif until < now + LEASE_SECONDS - RENEW_SECONDS:
            connection.execute(update(schema.owners).where(here).values(lease))
        return owner.id

    def dead(self, connection: Connection) -> list[str]:
        """Return the names of processes that are gone."""
        now = self._clock(connection)
        names = []
        for found in connection.execute(select(schema.owners)).mappings():
            owner = Owner(**{field.name: found[field.name] for field in fields(Owner)})
            if owner.is_dead(found["lease_until"], now):
                names.append(owner.id)
        return names

    def forget(self, connection: Connection, names: list[str]) -> None:
        """Remove processes whose rows are settled."""
        connection.execute(schema.owners.delete().where(schema.owners.c.id.in_(names)))
