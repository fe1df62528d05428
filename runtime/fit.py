"""Fits: a plan with the numbers of one call before anything is built for it: its steps, and where what they use lies."""
from __future__ import annotations

from codegen.plan import Buffer, Note, Step
from exprgraph.named import NamedTuple
from runtime.memory import Block, View


class Fit(NamedTuple):
    """A plan with the numbers of one call.

    buffers, constants, flags and notes: those of the plan. found: the numbers by the text of their Dim. steps: those of the variants that
    the sizes pick, in order. uses: the buffers that each step uses, and at the end those of the outputs. rooms: the bytes of each buffer
    that is no leaf and no constant. offsets and space: where the intermediates lie in one block, and its bytes. wanted: the bytes that
    the call takes beside its arguments. outputs: a view for each.
    """
    buffers: dict[str, Buffer]
    constants: dict[str, Block]
    flags: str
    found: dict[str, int]
    steps: tuple[Step, ...]
    uses: tuple[tuple[str, ...], ...]
    rooms: dict[str, int]
    offsets: dict[str, int]
    space: int
    wanted: int
    outputs: tuple[View, ...]
    notes: tuple[Note, ...]

    @property
    def temporaries(self) -> dict[str, int]:
        """The bytes of the intermediates."""
        return {n: r for n, r in self.rooms.items() if self.buffers[n].role == "temp"}
