"""Plans made by hand, and the arrays of every layout, for the tests of the runtime."""
import os

import numpy as np

from codegen.kernel import Builder, Kernel, Loop, Param, Store, dims_of
from codegen.plan import Buffer, Commit, HostCall, Launch, Note, Operand, Plan
from codegen.printed import printed, program_text
from exprgraph import pairs
from exprgraph.dims import Size, Stride, as_dim, constant, of_atom, product
from exprgraph.errors import Source
from exprgraph.node import INPUT, Condition, Graph, Node, Out, leaf
from exprgraph.program import Program
from exprgraph.requires import Requirement
from runtime import device
from runtime.executable import DeviceExecutable
from runtime.generator import Generator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINE = Source("user.py", 7)
B = Builder()


def size(node: Node, axis: int = 0):
    return of_atom(Size(node, axis))


def strides_of(node, layout):
    """Element strides of a leaf of a layout."""
    shape = node.outs[0].shape
    if layout == "C":
        return [product(shape[k + 1:]) for k in range(len(shape))]
    found = [of_atom(Stride(node, k)) for k in range(len(shape))]
    return found[:-1] + [constant(1)] if layout == "S" else found


def launch(name, params, body, buffers, grid, wide=False):
    kernel = Kernel(name, tuple(params), tuple(body), wide)
    return Launch(kernel, tuple(buffers), dims_of(kernel.body), tuple(map(as_dim, grid)), (1,) * len(grid))


def along(axis, var, stop, *body):
    return Loop("grid", var, B.index(0), B.index(stop), B.index(1), tuple(body), axis)


def doubling(node, layout, wide=False, scale=2.0):
    """out[i, j] = scale * in[i, j] for a matrix of any strides."""
    n, m = node.outs[0].shape
    s, t = strides_of(node, layout)
    dtype = node.outs[0].dtype
    i, j = B.var("i"), B.var("j")
    value = B.op("mul", dtype, B.load("x", dtype, B.add(B.mul(i, B.index(s)), B.mul(j, B.index(t)))), B.lit(scale, dtype))
    body = along(0, "i", n, along(1, "j", m, Store("y", B.add(B.mul(i, B.index(m)), j), value)))
    return launch("twice", [Param("x", dtype, "r", n * m), Param("y", dtype, "w", n * m)], [body], ["in0", "out0"], (n, m), wide)


def leaf_buffer(k, node):
    return Buffer(f"in{k}", "leaf", k, node.outs[0].dtype, product(node.outs[0].shape))


def output(k, dtype, *shape):
    """The buffer of an output and its operand."""
    shape = tuple(map(as_dim, shape))
    strides = tuple(product(shape[i + 1:]) for i in range(len(shape)))
    return Buffer(f"out{k}", "output", k, dtype, product(shape)), Operand(f"out{k}", constant(0), shape, strides)


def executable(leaves, generate, *, n_outputs=1, graph=None, requirements=(), where=None, text_of=program_text):
    found = where or device.choose()
    graph = graph or Graph(tuple(Out(n) for n in leaves), tuple(Out(n) for n in leaves))
    generator = Generator(lambda *a: printed(generate(*a), found.target.dialect), lambda g: tuple(requirements), pairs.pairs,
                          pairs.decide, text_of)
    return DeviceExecutable(Program(graph, tuple(leaves), n_outputs, {}), found, found.target, generator)


def twice(dtype="float32", made=None, where=None):
    """A function that doubles a matrix; `made` collects the keys of its plans."""
    x = leaf(INPUT, dtype, (None, None), "x")

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        if made is not None:
            made.append((outcomes, layouts, wide))
        out, result = output(0, dtype, size(x, 0), size(x, 1))
        note = Note("twice", ("mul",), (size(x, 0), size(x, 1)), (LINE,))
        return Plan((leaf_buffer(0, x), out), (doubling(x, layouts[0], wide), Commit()), (result,), (note,))
    return executable([x], generate, where=where)


def separate():
    """A device like the default one, but treated as one with memory of its own."""
    found = device.choose()
    return device.Device(**{**found.__dict__, "spec": "separate", "target": found.target._replace(host_shared=False)})


def misaligned():
    record = np.zeros((3, 4), np.dtype([("tag", "u1"), ("v", "<f4")]))
    record["v"] = np.arange(12).reshape(3, 4)
    return record["v"]


def memmapped(tmp_path):
    path = tmp_path / "data.bin"
    np.arange(12, dtype="f4").tofile(path)
    return np.memmap(path, "f4", "r", shape=(3, 4))


BASE = np.arange(120, dtype="f4").reshape(10, 12)
READ_ONLY = BASE.copy()
READ_ONLY.flags.writeable = False
class Subclass(np.ndarray):
    """An array that is not quite one."""


INPUTS = {
    "plain": BASE, "rows": BASE[::2], "columns": BASE[:, ::3], "block": BASE[2:7, 3:5], "transposed": BASE.T,
    "fortran": np.asfortranarray(BASE), "reversed rows": BASE[::-1], "reversed columns": BASE[:, ::-1],
    "stride 0": np.broadcast_to(BASE[:1], (5, 12)),
    "one value": np.broadcast_to(np.float32(3), (4, 6)), "big endian": BASE.astype(">f4"), "big endian reversed": BASE.astype(">f4")[::-1],
    "misaligned": misaligned(), "read only": READ_ONLY, "read only rows": READ_ONLY[1::3], "subclass": BASE.view(Subclass),
    "field": np.rec.fromarrays([BASE[:, :4], BASE[:, :4]], names="a,b")["a"], "one by one": BASE[4:5, 5:6], "one column": BASE[:, 5:6],
    "zero rows": BASE[:0], "zero columns": BASE[:, :0], "nothing": BASE[:0, :0], "one reversed": BASE[:1][::-1]}
_shared = []


def doubler(where):
    """One executable per kind of memory for the whole module, with all of its plans."""
    if not _shared:
        _shared.extend([twice(), twice(where=separate())])
    return _shared[where == "copied"]


def product_plan(where=None):
    """out = 2 * (x @ z), with NumPy's product into an intermediate between two kernels."""
    x, z = leaf(INPUT, "float32", (None, None)), leaf(INPUT, "float32", (None, None))
    n, k, m = size(x, 0), size(x, 1), size(z, 1)

    def generate(graph, leaves, outcomes, layouts, wide, target, name, options):
        out, result = output(0, "float32", n, m)
        i = B.var("i")
        doubled = B.op("mul", "float32", B.load("x", "float32", i), B.lit(2.0, "float32"))
        call = HostCall("matmul", (Operand("in0", constant(0), (n, k), tuple(strides_of(x, layouts[0]))),
                                   Operand("in1", constant(0), (k, m), tuple(strides_of(z, layouts[1])))),
                        Operand("t", constant(0), (n, m), (m, constant(1))))
        last = launch("twice_flat", [Param("x", "float32", "r", n * m), Param("y", "float32", "w", n * m)],
                      [along(0, "i", n * m, Store("y", i, doubled))], ["t", "out0"], (n * m,))
        buffers = (leaf_buffer(0, x), leaf_buffer(1, z), Buffer("t", "temp", 0, "float32", n * m), out)
        return Plan(buffers, (call, last, Commit()), (result,))
    message = "matmul: {left} columns against {right} rows"
    return executable([x, z], generate, requirements=[Requirement(Condition("eq", k, size(z, 0), message), LINE)], where=where)
