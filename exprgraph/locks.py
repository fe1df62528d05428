"""Locks for users' threads: a forked child finds them free, and several are taken and given back without a gap for an interrupt."""
from __future__ import annotations

import os
from _thread import RLock
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, TypeVar
from weakref import WeakSet

Lock = RLock
Found = TypeVar("Found")
_made: WeakSet[Any] = WeakSet()


def lock() -> Lock:
    """A lock that its thread may take again."""
    made = Lock()
    _made.add(made)
    return made


def _renew() -> None:
    """In a forked child: the threads that hold locks are not there to give them back."""
    for one in list(_made):
        one._at_fork_reinit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def held(locks: Sequence[Lock], act: Callable[[], Found]) -> Found:
    """What `act` gives while all locks are held, which are taken in order.

    Each lock is noted in the very step of the interpreter that takes it, and all are given back in one, so that an interrupt leaves none.
    """
    taken: list[bool] = []
    free: list[None] = []
    giving_back = map(Lock.release, compress(locks, taken))  # reads what was taken when it runs
    try:
        taken.extend(map(Lock.acquire, locks))
        return act()
    finally:
        free.extend(giving_back)


def owned(one: Lock) -> bool:
    """Whether this thread holds a lock."""
    return bool(one._is_owned())  # type: ignore[attr-defined]
