"""What a machine computes with: `devices()` lists it for people and programs."""
from __future__ import annotations

from exprgraph import backend
from exprgraph.named import NamedTuple

_GIB = 1 << 30
SHOWN = 100
"""The most letters of a verdict that are shown where it is not asked for."""


class DeviceInfo(NamedTuple):
    """A device of this machine.

    spec: what `device=` takes to mean just this one, like "0:1".  kind: "gpu", "cpu" or "oclgrind".  memory: bytes.  fp64: whether it
    computes with float64; fp16: whether in float16 too (it is stored everywhere, and computed with in float32).  driver: platform and
    version.  verdict: "passed", "failed: ..." or "not tested".
    """
    spec: str
    name: str
    kind: str
    memory: int
    fp64: bool
    fp16: bool
    driver: str
    verdict: str

    def __repr__(self) -> str:
        floats = "".join(f", {word}" for word, has in (("fp64", self.fp64), ("fp16", self.fp16)) if has)
        return (f"<device {self.spec!r}: {self.name}, {self.kind}, {self.memory / _GIB:.1f} GiB{floats}, {self.driver}, "
                f"self-test: {brief(self.verdict)}>")


def brief(verdict: str) -> str:
    """The beginning of a verdict, which may hold what a compiler said, on one line."""
    text = " ".join(verdict.split())
    return text if len(text) <= SHOWN else text[:SHOWN - 4] + " ..."


def devices() -> tuple[DeviceInfo, ...]:
    """The devices, best first; empty where there is none, and `python -m exprgraph doctor` says why.

    DeviceError in a process that was forked after OpenCL was used.
    """
    found: tuple[DeviceInfo, ...] = backend.resolve("runtime.inventory:listed")()
    return found
