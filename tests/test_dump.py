"""function_dump and function_load: what is stored comes back and compiles to the same; whatever a file holds, only clean errors come."""
from __future__ import annotations

import contextlib
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import exprgraph as eg
from tests.graphs import Drawn, graphs

F = np.float32


def again(path: Path, *args: Any, **options: Any) -> Any:
    """What is stored with these arguments, compiled."""
    eg.function_dump(path, *args, **options)
    return eg.function(**eg.function_load(path))


def test_what_is_no_question_to_function_is_not_stored(tmp_path: Path) -> None:
    x = eg.vector("x")
    f = eg.compile([x], x + 1, device="numpy", name="step")
    with pytest.raises(eg.CallError, match=r"(?s)'step' is compiled: give what it was compiled from.*test_dump.py"):
        eg.function_dump(tmp_path / "f.npz", f)
    for wrong in (3, [3], None, [eg.shared(1.0, "s")]):
        with pytest.raises(eg.GraphError, match=r"inputs\[0\] is"):
            eg.function_dump(tmp_path / "f.npz", wrong, x)
    assert not list(tmp_path.iterdir()) and again(tmp_path / "f.npz", f.inputs, f.outputs)(F([1]))[0].tolist() == [2]


@pytest.mark.usefixtures("device")
def test_everything_comes_back(tmp_path: Path) -> None:
    x, k, i = eg.matrix("x"), eg.scalar("k"), eg.lscalar("i")
    w, n, data = eg.shared(F([1, 2, 0]), "w"), eg.shared(0, "n", strict=True), eg.shared(np.arange(6, dtype=F).reshape(2, 3), "data")
    n.default_update = n + w.sum().astype("int64")
    table = eg.constant(np.array([1.5, -0.0, np.inf], F))
    h = x @ w + table[:2] * k
    h.name = "h"
    arguments: dict[str, Any] = {
        "outputs": {"h": h, "n": n},
        "updates": [(w, w * 2)], "givens": {x: data * i.astype("float32")}, "name": "step", "on_unused_input": "warn"}
    inputs = [i, eg.In(k, value=F(0.5), update=k + 1, name="rate", strict=True)]
    f, g = eg.function(inputs, **arguments), again(tmp_path / "step.npz", inputs, **arguments)
    assert g.name == "step" and repr(g) == repr(f) and "h" in str(eg.debugprint(g, file="str"))
    w.set_value([1, 2, 0])
    for value in (1, 2):
        a, b = f(value), g(value)
        assert list(a) == list(b) == ["h", "n"] and all(np.array_equal(a[name], b[name]) for name in a)
    assert g["rate"] == 2.5 and g["n"] == n.get_value() and {s.name for s in g.get_shared()} == {"w", "n", "data"}
    with pytest.raises(eg.CallError, match="strict"):
        g(1, rate=2)


@pytest.mark.parametrize("form", [
    lambda a, b: a, lambda a, b: [a, b], lambda a, b: (b, a), lambda a, b: {"a": a}, lambda a, b: None, lambda a, b: []])
def test_forms_of_outputs(form: Any, tmp_path: Path) -> None:
    x = eg.vector("x")
    given_ = form(x + 1, x * 2)
    options = {"on_unused_input": "ignore", "device": "numpy"}
    f, g = eg.function([x], given_, **options), again(tmp_path / "f", [x], given_, **options)
    assert type(f([1])) is type(g([1])) and str(f([1])) == str(g([1]))


def test_print_and_assert_come_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = eg.vector("x")
    y = eg.Assert("small {0}")(eg.Print("x", attrs=("shape",))(x), x < 5)
    f = again(tmp_path / "f", [x], y, device="numpy")
    assert f([1]).tolist() == [1] and capsys.readouterr().out == "x shape = (1,)\n"
    with pytest.raises(AssertionError, match=r"small \{0\}\n  at .*test_dump\.py"):
        f([9])


@given(graphs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_random_graphs_come_back(tmp_path: Path, drawn: Drawn) -> None:
    options = {"on_unused_input": "ignore", "device": "numpy", "optimizer": "none"}
    f, g = eg.function(drawn.inputs, drawn.outputs, **options), again(tmp_path / "f", drawn.inputs, drawn.outputs, **options)
    assert [o.type.dtype for o in f.outputs] == [o.type.dtype for o in g.outputs]
    for a, b in zip(f(*drawn.values), g(*drawn.values)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("device")
def test_sizes_that_values_decide_come_back(tmp_path: Path) -> None:
    x = eg.vector("x")
    f = again(tmp_path / "f", [x], [eg.unique(x), eg.sort(x[eg.nonzero(x)[0]])])
    assert [r.tolist() for r in f([3, 0, 3, 1])] == [[0, 1, 3], [1, 3, 3]]


@pytest.mark.parametrize("dtype", eg.dtypes.ALL)
def test_every_dtype_comes_back(dtype: str, tmp_path: Path) -> None:
    """Scalar constants too, though a float without axes is weak where a user gives it."""
    x, number, array = eg.tensor("x", dtype, (None,)), eg.constant(1, dtype=dtype), eg.constant(np.ones(2), dtype=dtype)
    out = [eg.where(eg.neq(x, x), x, number), eg.where(eg.eq(x, x), array, x)]
    eg.function_dump(tmp_path / "f", [x], out)
    found = eg.function_load(tmp_path / "f")["outputs"]
    assert [o.dtype for o in found] == [dtype, dtype]
    assert [i.dtype for o in found for i in o.node.inputs] == ["bool", dtype, dtype] * 2


def refused() -> list[tuple[Any, dict[str, Any], str]]:
    x = eg.vector("x")
    own = eg.exp.changed(name="own")
    return [(own(x), {}, "own is no row"), (eg.exp.changed(doc="other")(x), {}, "exp is no row"),
            (eg.Print(global_fn=print)(x), {}, "global_fn"), (x, {"watch": print}, "the option watch="), ("x", {}, "an output is 'x'"),
            (x, {"updates": [x]}, "pairs")]


@pytest.mark.parametrize("case", range(6))
def test_what_cannot_be_stored(case: int, tmp_path: Path) -> None:
    output, options, message = refused()[case]
    with pytest.raises(eg.GraphError, match=message) as caught:
        eg.function_dump(tmp_path / "f", [eg.vector("y")], output, **options)
    assert "test_dump.py" in str(caught.value) and not (tmp_path / "f").exists()


def test_no_pickle_and_limits_H3(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        eg.function_load(tmp_path / "none")
    (tmp_path / "text").write_text("{}")
    np.savez(tmp_path / "pickled.npz", graph=np.array([object()], object))
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "deep.npz", graph=np.frombuffer(b"[" * 200_000 + b"]" * 200_000, "uint8"))
    for name in ("text", "pickled.npz", "other.npz", "deep.npz"):
        with pytest.raises(eg.GraphError, match=r"(is not what function_dump writes|too deep)(.|\n)*test_dump\.py"):
            eg.function_load(tmp_path / name)
    x = eg.vector("x")
    eg.function_dump(tmp_path / "large", [x], x + eg.constant(np.zeros(100_000, F)))
    assert (tmp_path / "large").stat().st_size < 10_000
    with pytest.raises(eg.GraphError, match="unpacks to more than 100000 bytes"):
        eg.function_load(tmp_path / "large", limit=100_000)


def head(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """A .npy file of three bytes whose head says something else."""
    text = io.BytesIO()
    np.lib.format.write_array_header_1_0(text, {"descr": dtype, "fortran_order": False, "shape": shape})
    return text.getvalue() + b"abc"


@pytest.mark.parametrize("content", [head((2**40,)), head((2**70,)), head((-1,)), head((1,) * 40), head((3,), "|O"), head((3,), "<f8"),
                                     b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x09\x00abc", head((3,))])
def test_H7_heads_of_arrays_that_lie(content: bytes, tmp_path: Path) -> None:
    """No memory is taken for what is not there, and no object is made."""
    with zipfile.ZipFile(tmp_path / "f", "w") as packed:
        packed.writestr("graph.npy", content)
    with pytest.raises(eg.GraphError, match=r"is not what function_dump writes(.|\n)*test_dump\.py") as caught:
        eg.function_load(tmp_path / "f")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_DEFLATED])
def test_H3_streams_that_cannot_be_unpacked(method: int, tmp_path: Path) -> None:
    """That of bzip2 is an OSError of its own."""
    with zipfile.ZipFile(tmp_path / "f", "w", method) as packed:
        packed.writestr("graph.npy", head((3,)))
    whole = bytearray((tmp_path / "f").read_bytes())
    start = 30 + len("graph.npy")
    whole[start:start + 20] = bytes(range(100, 120))
    (tmp_path / "f").write_bytes(whole)
    with pytest.raises(eg.GraphError, match="is not what function_dump writes"):
        eg.function_load(tmp_path / "f")


def _huge(record: Any, kind: str, **changes: Any) -> None:
    next(n for n in record["nodes"] if n["op"] == kind).update(changes)


HUGE = {
    "axes of an input": lambda r: _huge(r, "input", known=[None] * 100_000),
    "axes of a constant": lambda r: _huge(r, "constant", shape=[1] * 99),
    "sizes of a constant": lambda r: _huge(r, "constant", shape=[2**62]), "a size beyond int64": lambda r: _huge(r, "input", known=[2**70]),
    "a place that is not there": lambda r: _huge(r, "add", inputs=[[0, 0, "x"], [10**9, 0, None]]),
    "itself": lambda r: _huge(r, "add", inputs=[[0, 0, "x"], [2, 0, None]])}


@pytest.mark.parametrize("case", HUGE)
def test_H3_sizes_and_axes_are_limited(case: str, tmp_path: Path) -> None:
    """Refused at once, whatever the numbers say."""
    x = eg.vector("x")
    eg.function_dump(tmp_path / "f", [x], x + eg.constant(np.ones(3, F)))
    with np.load(tmp_path / "f") as stored:
        arrays = {name: stored[name] for name in stored.files}
    record = json.loads(arrays.pop("graph").tobytes())
    HUGE[case](record)
    np.savez(tmp_path / "m.npz", graph=np.frombuffer(json.dumps(record).encode(), "uint8"), **arrays)
    with pytest.raises(eg.GraphError, match="is not what function_dump writes") as caught:
        eg.function_load(tmp_path / "m.npz")
    assert len(str(caught.value)) < 500


def mutated(record: Any, rng: random.Random) -> Any:
    """A record with one value, somewhere, replaced by another or left out."""
    place = record
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return record
        key = rng.choice(keys)
        if isinstance(place[key], dict | list) and place[key] and rng.random() < 0.9:
            place = place[key]
            continue
        if rng.random() < 0.1:
            del place[key]
        else:
            place[key] = rng.choice([None, -1, 0, 1, 2**70, 1.5, "exp", "size", "float64", "x", [], {}, [[0, 0, None]], True])
        return record


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.campaign)])
def test_mutated_files_H3(count: int, tmp_path: Path, rng: np.random.Generator) -> None:
    """Values of the record that are changed, and bytes of the file."""
    x, w = eg.matrix("x"), eg.shared(F([1, 2]), "w")
    out = eg.log(x @ w + 1).reshape((x.shape[0], 1))[::-1].sum(axis=0) ** 2
    eg.function_dump(tmp_path / "f", [eg.In(x, value=np.ones((2, 2), F))], [out], updates={w: w * 2})
    with np.load(tmp_path / "f") as stored:
        arrays = {name: stored[name] for name in stored.files}
    text, whole = arrays.pop("graph").tobytes(), (tmp_path / "f").read_bytes()
    draw, outcomes = random.Random(int(rng.integers(2**32))), []
    for turn in range(count):
        if turn % 4:
            changed = json.dumps(mutated(json.loads(text), draw)).encode()
            np.savez(tmp_path / "m.npz", graph=np.frombuffer(changed, "uint8"), **arrays)
        else:
            data = bytearray(whole)
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
            (tmp_path / "m.npz").write_bytes(data)
        try:
            eg.function_load(tmp_path / "m.npz")
            outcomes.append(True)
        except eg.GraphError as error:
            outcomes.append(False)
            assert len(str(error)) < 600
    assert count / 20 < sum(outcomes) < count * 0.95


def test_every_changed_byte_of_the_archive_is_refused_or_harmless_H3(tmp_path: Path) -> None:
    """A bit that is turned may send the reader to a place before the file, an OSError of its own."""
    x = eg.vector("x")
    eg.function_dump(tmp_path / "f", [x], [x * 2])
    whole = (tmp_path / "f").read_bytes()
    for place in range(whole.rindex(b"PK\1\2"), len(whole)):
        for bit in (1, 128):
            (tmp_path / "m").write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1:])
            with contextlib.suppress(eg.GraphError):
                eg.function_load(tmp_path / "m")
    with pytest.raises(FileNotFoundError):
        eg.function_load(tmp_path / "nothing")
