"""Kernels on a GPU beside CuPy, PyTorch and JAX, on float32 that stays there: python -m benchmarks.gpu

EXPRGRAPH_DEVICE names another device than the first GPU.
Each engine runs in a process of its own and is skipped where it cannot be imported.  A time is that of a call whose results are there,
in a row of calls that are waited for once, the median of some rows; beside it stands what exprgraph's
kernels took by the driver's clock, and the share of the speed at which the device copies memory, counting each input and each result
once.  Results are compared with those of NumPy on smaller inputs first.
"""
from __future__ import annotations

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Call = Callable[[], Any]
Function = Callable[..., Any]
Table = dict[str, Function]
SETTING = "EXPRGRAPH_DEVICE"
COPY = 1 << 30
SMALLER = 64
TOLERANCE = 1e-3


class Row(NamedTuple):
    """What is timed: the shapes of its inputs ("i": integers below the rows of the first one), the elements that it reads and writes at
    least, and for products the operations."""
    name: str
    inputs: tuple[tuple[int, ...] | str, ...]
    moved: int
    operations: int = 0


M, B, R, D = 16_000_000, 100_000_000, 16384, 1024
TABLE, TAKEN, WIDTH = 50_000, 1 << 18, 64
ROWS = [
    *(Row(f"{name} {size}", ((n,), (n,))[:k], (k + 1) * n) for size, n in (("1.6e7", M), ("1e8", B))
      for name, k in (("x + y", 2), ("2x + 3xy - x*x", 2), ("exp*tanh + log", 1))),
    Row("sum 1.6e7", ((M,),), M), Row("sum 1e8", ((B,),), B), Row("sum((x-y)^2) 1.6e7", ((M,), (M,)), 2 * M),
    Row("sum((x-y)^2) 1e8", ((B,), (B,)), 2 * B), Row("sum of rows", ((R, D),), R * D), Row("sum of columns", ((R, D),), R * D),
    Row("softmax", ((R, D),), 2 * R * D), Row("layer norm", ((R, D), (D,), (D,)), 2 * R * D),
    Row("x.T + 2y", ((8192, 8192), (8192, 8192)), 3 * 8192**2), Row("cumsum 1.6e7", ((M,),), 2 * M), Row("argmax", ((R, D),), R * D),
    Row("take", ((TABLE, WIDTH), "i"), 2 * TAKEN * WIDTH), Row("scatter-add", ((TAKEN, WIDTH), "i"), TAKEN * WIDTH + TABLE * WIDTH),
    *(Row(f"matmul {n}", ((n, n), (n, n)), 3 * n * n, 2 * n**3) for n in (1024, 4096)),
    Row("logistic step", ((100_000, 784), (100_000,), (784,)), 100_000 * 784)]


def arrays(row: Row, smaller: int = 1) -> list[Array]:
    """The inputs; smaller: by how much the leading axis is cut."""
    rng, found = np.random.default_rng(0), list[Array]()
    for shape in row.inputs:
        if shape == "i":
            found.append(rng.integers(0, max(TABLE // smaller, 1), max(TAKEN // smaller, 1)))
        else:
            assert isinstance(shape, tuple)
            square = row.operations or len(shape) == 2 and shape[0] == shape[1]
            cut = tuple(max(n // smaller, 1) if k == 0 or square else n for k, n in enumerate(shape))
            cut = shape if shape in ((D,), (784,)) else cut
            found.append(rng.random(cut, dtype=np.float32) + np.float32(0.5))
    if row.name == "logistic step":
        found[0], found[2] = (found[0] - 1) * np.float32(0.1), found[2] * np.float32(0.01)
        found[1] = (found[1] > 1).astype("float32")
    return found


def common(m: Any) -> Table:
    """What can be written alike for NumPy and the like; m: the module."""
    return {
        "x + y": lambda x, y: x + y, "2x + 3xy - x*x": lambda x, y: 2 * x + 3 * x * y - x * x, "x.T + 2y": lambda x, y: x.T + 2 * y,
        "exp*tanh + log": lambda x: m.exp(x) * m.tanh(x) + m.log(x), "sum": lambda x: x.sum(),
        "sum((x-y)^2)": lambda x, y: ((x - y)**2).sum(), "sum of rows": lambda x: x.sum(axis=1), "sum of columns": lambda x: x.sum(axis=0),
        "softmax": _softmax(m), "layer norm": _layer_norm(m), "cumsum": lambda x: m.cumsum(x), "argmax": lambda x: x.argmax(axis=1),
        "take": lambda w, i: w[i], "matmul": lambda x, y: x @ y, "logistic step": _logistic(m)}


def _softmax(m: Any) -> Callable[[Any], Any]:
    def softmax(x: Any) -> Any:
        e = m.exp(x - x.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return softmax


def _layer_norm(m: Any) -> Callable[[Any, Any, Any], Any]:
    def layer_norm(x: Any, g: Any, b: Any) -> Any:
        c = x - x.mean(axis=1, keepdims=True)
        return c / m.sqrt((c * c).mean(axis=1, keepdims=True) + 1e-5) * g + b
    return layer_norm


def _logistic(m: Any) -> Callable[[Any, Any, Any], Any]:
    def step(x: Any, y: Any, w: Any) -> Any:
        p = 1 / (1 + m.exp(-(x @ w)))
        return w - 0.1 * (x.T @ (p - y)) / len(y)
    return step


def with_numpy() -> tuple[Table, None]:
    """What results are compared with."""
    def scatter(g: Array, i: Array) -> Array:
        out = np.zeros((TABLE, WIDTH), g.dtype)
        np.add.at(out, i, g)
        return out
    return {**common(np), "scatter-add": scatter}, None


class Engine(NamedTuple):
    """An engine: a function that takes NumPy arrays there, one that makes a call of a row with what it was given, one that waits, one that
    brings a result back, and for exprgraph one that tells how long the kernels of a call take, in seconds."""
    put: Callable[[Array], Any]
    make: Callable[[Row, list[Any]], Call]
    wait: Callable[[], Any]
    get: Callable[[Any], Array]
    kernels: Callable[[Call], float] | None = None


def _plain(table: Table, jit: Callable[[Function], Function] = lambda f: f) -> Callable[[Row, list[Any]], Call]:
    def make(row: Row, given: list[Any]) -> Call:
        f = jit(_entry(table, row))
        return lambda: f(*given)
    return make


def _entry(table: Table, row: Row) -> Callable[..., Any]:
    """The entry of a row, under its name without sizes where there is none under the whole."""
    return table[row.name] if row.name in table else table[row.name.rpartition(" ")[0]]


def exprgraph() -> Engine:
    """Everything in shared variables, whose new values stay on the device."""
    import exprgraph as eg
    from runtime import device
    from runtime.driver import cl
    found = device.choose(eg.config.device)
    opened, events, real = device.session(found), list[Any](), cl.enqueue_nd_range_kernel
    profiled = cl.CommandQueue(opened.context, found.handle, cl.command_queue_properties.PROFILING_ENABLE)

    def logistic(x: Any, y: Any, w: Any) -> Any:
        cost = eg.binary_crossentropy(eg.sigmoid(x @ w), y).mean()
        return w - 0.1 * eg.grad(cost, w)

    def scatter(g: Any, i: Any) -> Any:
        w = eg.zeros((TABLE, WIDTH))
        return eg.grad((w[i] * g).sum(), w)
    table = {**common(eg), "softmax": lambda x: eg.softmax(x, axis=1), "logistic step": logistic, "scatter-add": scatter}

    def make(row: Row, given: list[Any]) -> Call:
        value = _entry(table, row)(*given)
        out = eg.shared(np.zeros((1,) * value.ndim, value.dtype))
        step = eg.compile([], [], updates={out: value})

        def call() -> Any:
            step()
            return out
        return call

    def recorded(queue: Any, *arguments: Any) -> Any:
        events.append(real(profiled, *arguments))
        events[-1].wait()
        return events[-1]

    def kernels(call: Call) -> float:
        cl.enqueue_nd_range_kernel = recorded
        times = []
        try:
            for _ in range(12):
                events.clear()
                call()
                times.append(sum(e.profile.end - e.profile.start for e in events) * 1e-9)
        finally:
            cl.enqueue_nd_range_kernel = real
        return statistics.median(times[2:])
    return Engine(eg.shared, make, lambda: opened.queue.finish(), lambda s: s.get_value(), kernels)


def cupy() -> Engine:
    """Elementwise expressions and their sums fused where CuPy can."""
    cp = importlib.import_module("cupy")

    def scatter(g: Any, i: Any) -> Any:
        out = cp.zeros((TABLE, WIDTH), cp.float32)
        importlib.import_module("cupyx").scatter_add(out, i, g)
        return out
    table = {**common(cp), "scatter-add": scatter}
    for name in ("2x + 3xy - x*x", "exp*tanh + log", "x.T + 2y"):
        table[name] = cp.fuse()(table[name])
    distance = cp.ReductionKernel("T x, T y", "T z", "(x - y) * (x - y)", "a + b", "z = a", "0", "distance")
    table["sum((x-y)^2)"] = lambda x, y: distance(x, y)
    return Engine(cp.asarray, _plain(table), cp.cuda.Device().synchronize, cp.asnumpy)


def _torch(compiled: bool) -> Engine:
    torch = importlib.import_module("torch")
    torch.set_grad_enabled(False)
    nn = torch.nn.functional

    def scatter(g: Any, i: Any) -> Any:
        return torch.zeros((TABLE, WIDTH), device="cuda").index_add_(0, i, g)

    def logistic(x: Any, y: Any, w: Any) -> Any:
        return w - 0.1 * (x.T @ (torch.sigmoid(x @ w) - y)) / len(y)
    table = {**common(torch), "softmax": lambda x: nn.softmax(x, 1), "layer norm": lambda x, g, b: nn.layer_norm(x, x.shape[1:], g, b),
             "cumsum": lambda x: torch.cumsum(x, 0), "scatter-add": scatter, "logistic step": logistic, "sum of rows": lambda x: x.sum(1),
             "sum of columns": lambda x: x.sum(0), "argmax": lambda x: x.argmax(1)}
    return Engine(lambda a: torch.from_numpy(a).cuda(), _plain(table, torch.compile if compiled else lambda f: f), torch.cuda.synchronize,
                  lambda t: t.cpu().numpy())


def torch() -> Engine:
    """PyTorch, op by op, products in float32 proper."""
    return _torch(False)


def torch_compile() -> Engine:
    """The same through torch.compile."""
    return _torch(True)


def jax() -> Engine:
    """JAX, jitted, products in float32 proper as the others do them."""
    j = importlib.import_module("jax")
    j.config.update("jax_default_matmul_precision", "highest")
    np_ = j.numpy
    table = {**common(np_), "scatter-add": lambda g, i: np_.zeros((TABLE, WIDTH), "float32").at[i].add(g)}
    last: list[Any] = [None]

    def make(row: Row, given: list[Any]) -> Call:
        f = j.jit(_entry(table, row))

        def call() -> Any:
            last[0] = f(*given)
            return last[0]
        return call
    return Engine(j.device_put, make, lambda: j.block_until_ready(last[0]), np.asarray)


ENGINES: dict[str, Callable[[], Engine]] = {
    "exprgraph": exprgraph, "cupy": cupy, "torch": torch, "torch_compile": torch_compile, "jax": jax}


def timed(engine: Engine, call: Call, seconds: float) -> float:
    """The median time of a call, from rows of calls that are waited for together."""
    call()
    engine.wait()
    start = time.perf_counter()
    call()
    engine.wait()
    once = time.perf_counter() - start
    count, found, begin = max(1, min(200, int(0.02 / max(once, 1e-6)))), list[float](), time.perf_counter()
    while len(found) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        for _ in range(count):
            call()
        engine.wait()
        found.append((time.perf_counter() - start) / count)
    return statistics.median(found)


def right(engine: Engine, row: Row) -> bool:
    """Whether the result on smaller inputs is NumPy's."""
    given = arrays(row, SMALLER)
    want = _entry(with_numpy()[0], row)(*[a.astype("float64") if a.dtype == np.float32 else a for a in given])
    got = engine.get(engine.make(row, [engine.put(a) for a in given])())
    return got.shape == np.shape(want) and bool(np.abs(got - want).max() <= TOLERANCE * max(1.0, np.abs(want).max()))


def worker(name: str, rows: Sequence[Row], seconds: float) -> None:
    """Time the rows in one engine; a line of JSON for each."""
    engine = ENGINES[name]()
    for row in rows:
        found: dict[str, Any] = {"engine": name, "row": row.name}
        try:
            found["right"] = right(engine, row)
            call = engine.make(row, [engine.put(a) for a in arrays(row)])
            found["seconds"] = timed(engine, call, seconds)
            if engine.kernels is not None:
                found["kernels"] = engine.kernels(call)
        except Exception as error:  # one row less is no reason to stop
            found["error"] = f"{type(error).__name__}: {str(error)[:300]}"
        print(json.dumps(found), flush=True)


def copy_speed() -> float:
    """Bytes read and written per second by the driver's copy from buffer to buffer."""
    from runtime import device
    from runtime.driver import cl
    opened = device.session(device.choose(os.environ[SETTING]))
    one, other = (cl.Buffer(opened.context, cl.mem_flags.READ_WRITE, COPY) for _ in range(2))
    queue = cl.CommandQueue(opened.context, opened.device.handle, cl.command_queue_properties.PROFILING_ENABLE)
    times = []
    for _ in range(20):
        event = cl.enqueue_copy(queue, other, one, byte_count=COPY)
        event.wait()
        times.append((event.profile.end - event.profile.start) * 1e-9)
    return 2 * COPY / statistics.median(times[5:])


def lines(engine: str, arguments: Sequence[str], limit: float) -> Iterator[dict[str, Any]]:
    """What the process of an engine prints, as far as it comes."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--engine", engine, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        text = done.stdout
        if done.returncode:
            print(f"{engine}: {done.stderr[-400:]}", file=sys.stderr)
    except subprocess.TimeoutExpired as error:
        text = (error.stdout or b"").decode()
        print(f"{engine}: stopped after {limit} s", file=sys.stderr)
    yield from (json.loads(line) for line in text.splitlines() if line.startswith("{"))


def table(rows: Sequence[Row], found: dict[tuple[str, str], dict[str, Any]], engines: Sequence[str], copy: float) -> Iterator[str]:
    """The figures as Markdown: microseconds of a call, and our kernels' share of the copy's speed, or their TFLOP/s."""
    yield "| row | " + " | ".join(f"{e}, us" for e in engines) + " | kernels, us | of the copy's speed |"
    yield "| --- |" + " --- |" * (len(engines) + 2)
    for row in rows:
        own = found.get(("exprgraph", row.name), {}).get("kernels")
        speed = "-" if not own else f"{row.operations / own / 1e12:.1f} TFLOP/s" if row.operations else f"{4 * row.moved / own / copy:.0%}"
        yield (f"| {row.name} | " + " | ".join(_cell(found.get((e, row.name))) for e in engines)
               + f" | {f'{own * 1e6:.1f}' if own else '-'} | {speed} |")


def _cell(one: dict[str, Any] | None) -> str:
    if one is None or "seconds" not in one:
        return "-"
    return f"{one['seconds'] * 1e6:.1f}" + " WRONG" * (not one["right"])


def main() -> None:
    """Print the table; with --engine be the process of one."""
    os.environ.setdefault(SETTING, "gpu")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=[*ENGINES])
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--only", default="", help="parts of rows' names, separated by commas")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each row and engine")
    parser.add_argument("--limit", type=float, default=240, help="seconds for an engine")
    given = parser.parse_args()
    rows = [r for r in ROWS if any(part in r.name for part in given.only.split(","))]
    if given.engine:
        return worker(given.engine, rows, given.seconds)
    copy, found = copy_speed(), dict[tuple[str, str], dict[str, Any]]()
    print(f"copy: {copy / 1e9:.0f} GB/s", flush=True)
    engines = given.engines.split(",")
    for engine in engines:
        for one in lines(engine, ["--only", given.only, "--seconds", str(given.seconds)], given.limit):
            found[engine, one["row"]] = one
            print(json.dumps(one), file=sys.stderr, flush=True)
    print("\n".join(table(rows, found, engines, copy)))
    return None


if __name__ == "__main__":
    main()
