"""Recipes: what a native call is like, as the words that `codegen.switchboard` reads."""
from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from codegen import jobs
from codegen import switchboard as board
from exprgraph.named import NamedTuple
from runtime.memory import Array, aligned, data_of

OUTCOMES = DONE, REFUSED, ASLEEP, BUSY, FAULT = [type(name, (), {})() for name in ("done", "refused", "asleep", "busy", "fault")]
GATE = np.zeros(1, np.int32)
"""Not zero where no native call may be made."""
MOST = 2**63 - 1
LINE = 8
"""Words of a cache line."""


class Job(NamedTuple):
    """A launch in a recipe.

    code: the address of the function.  grid: work-items by axis.  cost: picoseconds of work if it can be shared, else 0.  arguments: for
    each pointer of the kernel the number of an argument of the call, the address itself, or an offset in the workspace, the other two
    None.  integers: what the kernel is given after its pointers.
    """
    code: int
    grid: tuple[int, ...]
    cost: int
    arguments: tuple[tuple[int | None, int | None, int | None], ...]
    integers: tuple[int, ...]

    def words(self) -> list[int]:
        """The record, whole cache lines; pointers that each call sets are zero."""
        found = [0] * jobs.ARGUMENTS + [known or 0 for _, known, _ in self.arguments] + list(self.integers)
        found[jobs.CODE], found[jobs.TOTAL] = self.code, math.prod(self.grid)
        found[jobs.WIDTH:jobs.TOTAL] = (*self.grid, 1)[:2]
        return found + [0] * (-len(found) % LINE)


class Space(NamedTuple):
    """The workspace of a call: the address of the three words that tell where it is, the bytes that are needed, and whether it is the
    caller of this recipe who uses it."""
    address: int = 0
    room: int = 0
    held: bool = False


def lines(words: int) -> Array:
    """So many words, zero, from the begin of a cache line."""
    found = aligned(8 * words).view(np.int64)
    found.fill(0)
    return found


def forever(value: object) -> None:
    """Keep an object that native code points to until the process ends, whatever order things are torn down in."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


for _kept in (*OUTCOMES, GATE):
    forever(_kept)
ANYTHING = (board.ANY, 0, 0, 0, 0, 0, 0, 0, 0)
"""An argument that is an array and not looked at."""


def leaf(dtype: np.dtype[Any], shape: tuple[int, ...], strides: tuple[int, ...] | None = None, value: int | None = None) -> tuple[int, ...]:
    """The words of an argument; strides: in bytes, None in C order.  Without axes it may be a scalar too, or where it is not an integer,
    a float of Python's."""
    kind = board.COMPACT if strides is None else board.STRIDED
    exact = 0 if value is None else int.from_bytes(np.asarray(value, dtype).tobytes(), "little", signed=True)
    floats = not shape and dtype.char in "fd"
    return (kind, id(dtype), id(dtype.type), -dtype.itemsize if floats else dtype.itemsize, int(value is not None), exact, 0, 0,
            len(shape), *shape, *(strides or shape))


def recipe(leaves: Sequence[Sequence[int]], launches: Sequence[Job] = (), box: tuple[int, int] = (0, 0), space: Space | None = None,
           faults: int = 0, long: bool = False) -> Array:
    """The recipe of a call, which holds the records of its jobs; box: the address of that of the helpers and how many they are;
    faults: the address of the words that kernels report them in; long: whether other threads of Python go on meanwhile."""
    words, at = [0] * board.RECIPE["LEAVES"], list[int]()
    for one in leaves:
        at.append(len(words) + board.LEAF["POINTER"])
        words += one
    first, own = len(words), space or Space()
    size = sum(board.LAUNCH["SET"] + 2 * _pointers(job) for job in launches)
    start = -(-(first + size) // LINE) * LINE
    records = [job.words() for job in launches]
    found = lines(start + sum(map(len, records)))
    given = {"COUNT": len(leaves), "GATE": data_of(GATE), "BOX": box[0], "HELPERS": box[1], "SPACE": own.address, "ROOM": own.room,
             "HELD": int(own.held), "FAULTS": faults, "ARRAY": id(np.ndarray), "FLOAT": id(float), "LAUNCHES": len(launches),
             "FIRST": first, "COSTLY": max((j.cost for j in launches), default=0)}
    if long:
        given |= {"LETS_GO": _code("PyEval_SaveThread"), "COMES_BACK": _code("PyEval_RestoreThread")}
    for name, value in given.items():
        words[board.RECIPE[name]] = value
    words[board.RECIPE["RESULTS"]:board.RECIPE["RESULTS"] + len(OUTCOMES)] = map(id, OUTCOMES)
    for job, record in zip(launches, records):
        words += [data_of(found) + 8 * start, job.cost, _pointers(job)]
        for k, (number, known, offset) in enumerate(job.arguments):
            if known is None:
                words += [jobs.ARGUMENTS + k, at[number] if number is not None else -1 - (offset or 0)]
        found[start:start + len(record)] = list(map(_word, record))
        start += len(record)
    found[:len(words)] = list(map(_word, words))
    return found


def _word(number: int) -> int:
    """A number as a word holds it; what is larger is of a call that no memory suffices for, which is refused before it runs."""
    return max(min(number, MOST), -MOST)


def _code(name: str) -> int:
    """The address of a function of CPython's."""
    return ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0


def _pointers(job: Job) -> int:
    """How many of the job's pointers each call sets."""
    return sum(known is None for _, known, _ in job.arguments)
