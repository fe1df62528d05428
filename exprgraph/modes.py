"""Modes by Theano's names: how a function is compiled and how its calls are watched."""
from __future__ import annotations

from typing import Any, NamedTuple


class Mode(NamedTuple):
    """How a function is compiled: `compile(mode=...)`, `config.mode`.

    optimizer: "full" (also "fast_run"), or "none" (also "fast_compile"): few passes over the graph, so that the answer is there
    sooner.  watch: how calls are watched, None for not at all; the modes below set it.
    """
    optimizer: str = "full"
    watch: Any = None


MODES = {"FAST_RUN": Mode("full"), "FAST_COMPILE": Mode("none")}
"""The modes that have a name."""
