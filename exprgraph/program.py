"""Program and the Backend protocol: what `compile` hands to a backend and what it gets back."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from exprgraph.named import NamedTuple
from exprgraph.node import Graph, Node

if TYPE_CHECKING:
    from exprgraph.footprint import Footprint, Given

Watch = Callable[[str, Graph, Graph], None]


class Program(NamedTuple):
    """A graph to build.

    graph: after the GRAPH half of the pipeline; its outputs are the function's outputs and then the new values of shared variables.
    leaves: INPUT and SHARED nodes in the order in which a call brings their values.  n_outputs: how many outputs go to the user; the
    rest may stay on the device.  options: device, schedule, optimizer, chosen and rules (what its mode includes
    and excludes), name, watch, mode (a Mode); where calls are watched also
    around (what goes around the nodes of the NumPy backend), profile (a Profile), trace and compared (what DebugMode records).  stays:
    which of the first outputs are device arrays.
    """
    graph: Graph
    leaves: tuple[Node, ...]
    n_outputs: int
    options: dict[str, Any]
    stays: tuple[bool, ...] = ()


def is_watched(options: Mapping[str, Any]) -> bool:
    """Whether calls of a program are to go step by step: in some modes, and for a profile."""
    mode = options.get("mode")
    return options.get("profile") is not None or (mode is not None and mode.watched)


class Executable(Protocol):
    """A built program: called with one value per leaf, it returns one value per output of the graph."""

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run on NumPy arrays or device arrays (right dtype and rank); outputs to the user are fresh NumPy arrays, those that stay
        device arrays where the backend has memory of its own."""

    def quick(self, *values: Any, checked: bool = False) -> list[Any] | None:
        """The outputs where the values are like those of the last call, else None; a backend may be without it.

        checked: dtypes and alignment are right.
        """

    def again(self, values: Sequence[Any], checked: bool) -> list[Any] | None:
        """The outputs where the values are like those of some of the last calls, else None; where there is `quick`."""

    def source(self) -> str:
        """The text of every kernel built so far, with the user's lines."""

    def why(self) -> str:
        """Why the plans are as they are."""

    def warm(self) -> None:
        """Build everything that any later call can need."""

    def free(self) -> None:
        """Give back the memory that is kept between calls."""

    def memory_of(self, given: Sequence[Given] | None, sizes: Mapping[str, int]) -> Footprint:
        """What a call takes of memory, in numbers where the arguments are `given`; sizes: those that a call computes, by name."""


class Outer:
    """An executable that does something before or after another one runs; for all but calls it is the other one."""

    def __init__(self, inner: Any) -> None:
        self.inner: Callable[[Sequence[Any]], list[Any]] = inner

    def __call__(self, values: Sequence[Any]) -> list[Any]:
        """Run."""
        return self.inner(values)

    def __getattr__(self, name: str) -> Any:
        if name in ("inner", "quick", "again") or name.startswith("__"):  # the short ways past this one
            raise AttributeError(name)
        return getattr(self.inner, name)
