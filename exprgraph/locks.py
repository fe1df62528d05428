"""Locks for users' threads: a forked child finds them free, and several are taken and given back without a gap for an interrupt."""
from __future__ import annotations

import os
from _thread import RLock, get_ident
from collections.abc import Callable, Sequence
from itertools import compress
from typing import TypeVar
from weakref import ref

from exprgraph.errors import DeviceError, at, here

Lock = RLock
Found = TypeVar("Found")
_made: set[ref[Lock]] = set()


def lock() -> Lock:
    """A lock that its thread may take again."""
    made = Lock()
    _made.add(ref(made, _made.discard))
    return made


def _renew() -> None:
    """In a forked child: the threads that hold locks are not there to give them back."""
    for one in [known() for known in list(_made)]:
        if one is not None:
            one._at_fork_reinit()  # type: ignore[attr-defined]


class Loading:
    """Surrounds the loading of modules that are needed late.  What a thread was loading at a fork the child would wait for, for ever: there
    it is a DeviceError."""

    def __init__(self) -> None:
        self.inside: list[int] = []
        self.torn = False

    def __enter__(self) -> None:
        if self.torn:
            raise DeviceError(f"this process was forked while a thread was loading parts of exprgraph, which Python cannot load any more: "
                              f"fork before the first compile, or start processes by spawn{at(here())}")
        self.inside.append(get_ident())

    def __exit__(self, *error: object) -> None:
        self.inside.remove(get_ident())

    def fork(self) -> None:
        """In the child: note whether a thread that is not there was loading."""
        self.torn = self.torn or any(one != get_ident() for one in self.inside)
        self.inside = [one for one in self.inside if one == get_ident()]


LOADING = Loading()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
    os.register_at_fork(after_in_child=LOADING.fork)


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
