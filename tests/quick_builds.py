"""Shorter builds for tests: what the gpu schedule makes is compiled without optimisation on PoCL, five times as fast.

There PoCL stands for another device, and what is tested is what we write, not what PoCL's optimiser makes of it.  What the cpu schedule
makes is built as everywhere.  With EXPRGRAPH_TEST_OPTIMISED=1 nothing is changed: a longer run, once in a while.
"""
from __future__ import annotations

import dataclasses
import os
from typing import Any

SETTING = "EXPRGRAPH_TEST_OPTIMISED"
OPTION = "-cl-opt-disable"


def wrap() -> None:
    """From here on in this process."""
    if os.environ.get(SETTING):
        return
    from runtime import program  # not before the driver's variables are set
    compiled = program._compile

    def quickly(session: Any, text: str, *rest: Any) -> Any:
        if for_groups(text) and session.device.platform.startswith("Portable"):
            session = _Plain(session)
        return compiled(session, text, *rest)
    program._compile = quickly


def for_groups(text: str) -> bool:
    """Whether a program is made of kernels for groups of work-items."""
    return "reqd_work_group_size" in text


class _Plain:
    """A session whose device is told not to optimise."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.device = dataclasses.replace(session.device, options=(*session.device.options, OPTION))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
