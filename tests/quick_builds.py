"""Shorter builds for tests: many programs are compiled without optimisation on PoCL, five times as fast.

Where the gpu schedule made them PoCL stands for another device, and what is tested is what we write, not what PoCL's optimiser makes of it.
Of what the cpu schedule makes, an eighth is built as users build it, chosen by the text alone, so that every run does the same; of long
programs, which some tests make of all that they look at, a part in 32.  All of it is where tests are about the last bits of numbers.  With
EXPRGRAPH_TEST_OPTIMISED=1 nothing is changed: a longer run, once in a while.
"""
from __future__ import annotations

import dataclasses
import os
import zlib
from typing import Any

SETTING = "EXPRGRAPH_TEST_OPTIMISED"
OPTION = "-cl-opt-disable"
LONG = 40_000
"""Characters of a program that takes more than a second."""
EXACT = ("tests/test_rows.py", "tests/test_mathlib.py", "tests/test_together.py", "tests/test_reduce.py::test_a10",
         "tests/test_faults_a.py::test_A10", "tests/test_schedule_forms.py::test_a_long_sum")


def wrap() -> None:
    """From here on in this process."""
    if os.environ.get(SETTING):
        return
    from runtime import program  # not before the driver's variables are set
    compiled = program._compile

    def quickly(session: Any, text: str, *rest: Any) -> Any:
        if plain(text) and session.device.platform.startswith("Portable"):
            session = _Plain(session)
        return compiled(session, text, *rest)
    program._compile = quickly
    key = program._key
    program._key = lambda *code: (*key(*code), exact())  # what another test has built quickly is not taken where last bits count


def plain(text: str) -> bool:
    """Whether a program is built without optimisation where PoCL builds it."""
    return not os.environ.get(SETTING) and (for_groups(text) or not drawn(text))


def for_groups(text: str) -> bool:
    """Whether a program is made of kernels for groups of work-items."""
    return "reqd_work_group_size" in text


def drawn(text: str) -> bool:
    """Whether a program of the cpu schedule is among those that are optimised."""
    return zlib.crc32(text.encode()) % (8 if len(text) < LONG else 32) == 0 or exact()


def exact() -> bool:
    """Whether the test that runs is about the last bits of numbers."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").startswith(EXACT)


class _Plain:
    """A session whose device is told not to optimise."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.device = dataclasses.replace(session.device, options=(*session.device.options, OPTION))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
