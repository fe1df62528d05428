"""Kernels with a fault in each, as trees and as a user's text: what watches kernels has to see it."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import exprgraph as eg
from codegen.interpret_checks import BarrierDivergence, KernelFault, OutOfBounds, Race, UninitialisedRead
from codegen.kernel import Alloc, Builder, Expr, Kernel, Loop, Param, Stmt, Store
from tests.hand_trees import GROUP, F, N, loop, tree_sum

COUNT = 8


class Planted(NamedTuple):
    """A kernel; words of Oclgrind's report; the error of the tree interpreter."""
    kernel: Callable[[], Kernel]
    words: str
    error: type[KernelFault]

    def memory(self) -> dict[str, np.ndarray[Any, Any]]:
        """Arrays of COUNT elements for its buffers, 3 for the results of a sum by groups."""
        return {p.name: np.zeros(3 if p.size.const == 3 else COUNT, p.dtype) for p in self.kernel().params}


def _items(b: Builder, *body: Stmt) -> tuple[Loop, ...]:
    return (loop(b, "grid", "i", N, *body),)


def _group(b: Builder, *body: Stmt) -> tuple[Loop, ...]:
    return (loop(b, "group", "g", 1, loop(b, "local", "l", GROUP, *body)),)


def _of(name: str, make: Callable[[Builder], tuple[Stmt, ...]]) -> Callable[[], Kernel]:
    return lambda: Kernel(name, (Param("x", F, "r", N), Param("y", F, "w", N)), make(Builder()))


def _ahead(b: Builder) -> Expr:
    return b.add(b.var("i"), b.index(1))


def _uninitialised(b: Builder) -> tuple[Stmt, ...]:
    cell = Alloc("tile", F, GROUP + 1, "local")
    return _group(b, cell, Store("tile", b.var("l"), b.lit(1, F)), Store("y", b.var("l"), b.load("tile", F, b.index(GROUP))))


TREES: dict[str, Planted] = {
    "race of all": Planted(_of("writes", lambda b: _items(b, Store("y", b.index(0), b.load("x", F, b.var("i"))))),
                           "Write-write data race at global memory", Race),
    "race in a group": Planted(lambda: tree_sum(barrier=False), "data race at local memory", KernelFault),
    "overrun": Planted(_of("overrun", lambda b: _items(b, Store("y", _ahead(b), b.lit(1, F)))), "Invalid write", OutOfBounds),
    "read beyond": Planted(_of("beyond", lambda b: _items(b, Store("y", b.var("i"), b.load("x", F, _ahead(b))))), "Invalid read",
                           OutOfBounds),
    "divergence": Planted(lambda: tree_sum(split=True), "divergence detected (barrier)", BarrierDivergence)}
UNWRITTEN: dict[str, Planted] = {
    "uninitialised tail": Planted(_of("tail", _uninitialised), "Uninitialized value", UninitialisedRead)}
TEXTS = {
    "own race": ("Write-write data race", eg.RawKernel("__kernel void own_race(__global const float *x, __global float *y) { "
                                                       "y[get_global_id(0)] = x[0]; y[0] = get_global_id(0); }",
                                                       outputs={"y": "x"}, check=False, numpy=lambda x: x)),
    "own overrun": ("Invalid write", eg.RawKernel("__kernel void own_overrun(__global const float *x, __global float *y) { "
                                                  "y[get_global_id(0)] = 0; y[get_global_size(0)] = x[0]; }",
                                                  outputs={"y": "x"}, check=False, numpy=lambda x: x))}
