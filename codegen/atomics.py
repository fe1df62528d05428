"""Atomics as text: the instruction where the device has one, else compare-and-swap on the bits.

Native additions of floats leave the order of additions as open as compare-and-swap does; NVIDIA's treat subnormal float32 as zeros.
"""
from __future__ import annotations

from codegen.expressions import Expressions, Names, Uses
from codegen.kernel import Atomic, Expr
from codegen.spelling import C_TYPES
from exprgraph.named import NamedTuple

INTEGER = {"sum": "add", "min": "min", "max": "max"}
PTX = {"float32": ("f32", "f"), "float64": ("f64", "d")}
SHORT = {"float32": "fp32", "float64": "fp64"}


class Cas(NamedTuple):
    """An Atomic, expanded: `fresh` is the new value in terms of the variable `old`."""
    stmt: Atomic
    old: Expr
    fresh: Expr


class Native(NamedTuple):
    """A statement that does the whole of it, and the condition of the preprocessor under which the compiler has it, "" for always."""
    line: str
    guard: str = ""


def _integer(stmt: Atomic, cell: str, value: str) -> Native | None:
    """32-bit integers by the builtins of OpenCL 1.2; 64-bit sums by those that come with 64-bit compare-and-swap."""
    dtype = stmt.value.dtype
    if dtype in ("int32", "uint32") and stmt.combine in INTEGER:
        return Native(f"atomic_{INTEGER[stmt.combine]}({cell}, {value});")
    if dtype in ("int64", "uint64") and stmt.combine == "sum":
        return Native(f"atom_add({cell}, {value});")
    return None


def _float_sum(stmt: Atomic, place: str, value: str, how: str) -> Native | None:
    """Additions of floats to global memory in the way that a dialect names."""
    dtype = stmt.value.dtype
    if stmt.combine != "sum" or dtype not in PTX or not how:
        return None
    if how == "ptx":
        kind, register = PTX[dtype]
        return Native(f'asm volatile("red.global.add.{kind} [%0], %1;" :: "l"(&{place}), "{register}"({value}) : "memory");')
    cell = f"(volatile __global atomic_{C_TYPES[dtype]} *)&{place}"
    return Native(f"atomic_fetch_add_explicit({cell}, {value}, memory_order_relaxed, memory_scope_device);",
                  f"defined(__opencl_c_ext_{SHORT[dtype]}_global_atomic_add) && defined(__opencl_c_atomic_scope_device)")


class Atomics(Expressions):
    """The printer's part for atomics; float_adds: how a dialect adds floats."""
    float_adds = ""

    def emit_atomic(self, cas: Cas, names: Names, uses: Uses) -> None:
        """The builtin where there is one, else compare-and-swap on the bits."""
        stmt, dtype = cas.stmt, cas.stmt.value.dtype
        if dtype not in C_TYPES or not dtype.endswith(("32", "64")):
            raise ValueError(f"kernel {self.kernel.name}: no atomic {stmt.combine} on {dtype}; atomics need 32 or 64 bits")
        at, value = self.texts((stmt.at, stmt.value), names, uses, named=True)
        inside, place = stmt.buffer in self.allocs, f"{stmt.buffer}[{at}]"
        space = "__local" if inside else "__global"
        cell = f"(volatile {space} {C_TYPES[dtype]} *)&{place}"
        native = _integer(stmt, cell, value) or (None if inside else _float_sum(stmt, place, value, self.float_adds))
        if native is None:
            self.emit_swap(cas, space, place, names)
        else:
            self.emit_native(native, cas, space, place, names)
        self.forget(names, {stmt.buffer})

    def emit_native(self, native: Native, cas: Cas, space: str, place: str, names: Names) -> None:
        """The one statement, with the other form beside it where only the compiler knows whether it has that."""
        if not native.guard:
            return self.emit(native.line)
        self.emit(f"#if {native.guard}")
        self.emit(native.line)
        self.emit("#else")
        self.emit_swap(cas, space, place, names)
        self.emit("#endif")

    def emit_swap(self, cas: Cas, space: str, place: str, names: Names) -> None:
        """The loop that tries until nobody came between reading and writing."""
        wide, real = cas.old.dtype.endswith("64"), C_TYPES[cas.old.dtype]
        word, name = ("ulong", "atom_cmpxchg") if wide else ("uint", "atomic_cmpxchg")
        cell, found, seen = map(self.unique, ("cell", "found", "seen"))
        self.emit("{")
        self.depth += 1
        self.emit(f"volatile {space} {word} *{cell} = (volatile {space} {word} *)&{place};")
        self.emit(f"{word} {found} = *{cell}, {seen};")
        self.emit("do {")
        self.depth += 1
        self.emit(f"{seen} = {found};")
        self.emit(f"const {real} {cas.old.value} = as_{real}({seen});")
        fresh, = self.texts((cas.fresh,), dict(names), self.count((cas.fresh,)))
        self.emit(f"{found} = {name}({cell}, {seen}, as_{word}(({real})({fresh})));")
        self.depth -= 1
        self.emit(f"}} while ({found} != {seen});")
        self.depth -= 1
        self.emit("}")
