"""function_dump and function_load: what a compile is asked for, in a file of JSON and arrays, so that it can be repeated elsewhere."""
from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from exprgraph.assemble import pairs, unpacked
from exprgraph.compiled import Function
from exprgraph.containers import Container
from exprgraph.errors import CallError, GraphError, at, here, shortly
from exprgraph.node import Out, as_symbol
from exprgraph.records import Reader, Record, Writer
from exprgraph.shared import Shared
from exprgraph.signature import In, as_input

Path = str | os.PathLike[str]
VERSION = 1
LIMIT = 1 << 32
"""Bytes that a file may unpack to."""
DAMAGED = (errno.EINVAL, None)
"""What an OSError says where the file is read but is no archive: a place before its start, or a stream that cannot be unpacked."""
FLAGS = ("name", "mutable", "strict", "allow_downcast", "autoname", "implicit", "borrow", "shared")


def function_dump(filename: Path, inputs: Any, outputs: Any = None, mode: str | None = None, updates: Any = None, givens: Any = None,
                  no_default_updates: bool | Iterable[Shared] = False, **options: Any) -> None:
    """Store what `function` is given with these arguments, and the values of constants and shared variables, without compiling it.

    The file (a zip of JSON and .npy, as np.savez writes it) is read by `function_load`.  options: those of `function` and `compile`
    that are texts, numbers, True, False or None.  GraphError for what cannot be stored: ops of the user's own, a Print with a
    global_fn, other options.  CallError for a compiled function.
    """
    if isinstance(inputs, Function):
        raise CallError(f"function_dump: {shortly(inputs.name, 40)} is compiled: give what it was compiled from, as function takes it, "
                        f"function_dump(filename, inputs, outputs, updates=...); pickle stores functions as they are{at(here())}")
    specs = [as_input(item, i) for i, item in enumerate(inputs if isinstance(inputs, list | tuple) else [inputs])]
    changed, replaced = pairs(updates, "updates"), [(old, as_symbol(new)) for old, new in pairs(givens, "givens")]
    changed = [(target, as_symbol(new)) for target, new in changed]
    kept = [] if isinstance(no_default_updates, bool) else list(no_default_updates)
    wanted, form = unpacked(outputs)
    tensors = [*wanted, *kept, *(o for pair in [*changed, *replaced] for o in pair)]
    tensors += [o for s in specs for o in (s.variable, s.update, _cell(s.value)) if isinstance(o, Out)]
    writer = Writer(tensors)
    _save(filename, writer, {
        "version": VERSION, "nodes": writer.nodes, "inputs": [_input(writer, s) for s in specs],
        "outputs": {"form": form.kind, "names": form.names, "places": _places(writer, wanted)},
        "updates": [_places(writer, pair) for pair in changed], "givens": [_places(writer, pair) for pair in replaced],
        "no_default_updates": no_default_updates if isinstance(no_default_updates, bool) else _places(writer, kept),
        "options": _options({"mode": mode, **options})})


def _places(writer: Writer, outs: Iterable[Out]) -> list[Any]:
    return [writer.place(o) for o in outs]


def _cell(value: Any) -> Any:
    return Shared(value.cell) if isinstance(value, Shared | Container) else None


def _input(writer: Writer, spec: In) -> Record:
    update = None if spec.update is None else writer.place(as_symbol(spec.update))
    found: Record = {"variable": writer.place(spec.variable), "update": update, "flags": {k: getattr(spec, k) for k in FLAGS}}
    cell = _cell(spec.value)
    if cell is not None:
        return found | {"default": writer.place(cell)}
    return found | {"value": None if spec.value is None else writer.array(np.asarray(spec.value))}


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in given.items():
        if not isinstance(value, str | int | float | None):
            raise GraphError(f"function_dump: the option {name}={shortly(value, 40)} cannot be stored{at(here())}")
    return {k: v for k, v in given.items() if v is not None}


def _save(filename: Path, writer: Writer, record: Record) -> None:
    text = np.frombuffer(json.dumps(record).encode(), "uint8")
    with open(filename, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, graph=text, **writer.arrays)


def function_load(filename: Path, limit: int = LIMIT) -> dict[str, Any]:
    """The arguments of a `function_dump`, with new symbols and shared variables: function(**function_load(filename)) compiles it again.

    Nothing in the file is run; what is no such file, or unpacks to more than `limit` bytes, is a GraphError.
    """
    try:
        return _arguments(*_read(filename, limit))
    except RecursionError as error:
        raise GraphError(f"{os.fspath(filename)}: nested too deep{at(here())}") from error
    except Exception as error:  # the file may hold anything, so anything may go wrong
        if isinstance(error, MemoryError) or isinstance(error, OSError) and error.errno not in DAMAGED:
            raise
        raise GraphError(f"{os.fspath(filename)} is not what function_dump writes: {str(error)[:200]}{at(here())}") from error


def _read(filename: Path, limit: int) -> tuple[Record, dict[str, np.ndarray[Any, Any]]]:
    with zipfile.ZipFile(filename) as packed:
        if sum(i.file_size for i in packed.infolist()) > limit:
            raise GraphError(f"it unpacks to more than {limit} bytes")
        arrays = {i.filename.removesuffix(".npy"): _member(packed, i) for i in packed.infolist()}
    record = json.loads(arrays.pop("graph").tobytes())
    if record["version"] != VERSION:
        raise GraphError(f"version {shortly(record['version'], 20)} is not known here, {VERSION} is")
    return record, arrays


def _member(packed: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray[Any, Any]:
    """The bytes of a .npy file; no memory is taken for what its head says and it does not have."""
    with packed.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise GraphError(f"{info.filename:.60} is of another version of .npy")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        data = file.read()
    if dtype != np.uint8 or shape != (len(data),):
        raise GraphError(f"{info.filename:.60} holds {len(data)} bytes, its head says {dtype}{str(shape)[:60]}")
    return np.frombuffer(data, "uint8")


def _arguments(record: Record, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    reader = Reader(record["nodes"], arrays)
    kept = record["no_default_updates"]
    return {"inputs": [_spec(reader, i) for i in record["inputs"]], "outputs": _outputs(reader, **record["outputs"]),
            "updates": [tuple(map(reader.out, pair)) for pair in record["updates"]],
            "givens": [tuple(map(reader.out, pair)) for pair in record["givens"]],
            "no_default_updates": kept if isinstance(kept, bool) else [reader.out(p) for p in kept], **_options(record["options"])}


def _outputs(reader: Reader, form: str, names: list[str] | None, places: list[Any]) -> Any:
    outs = [reader.out(p) for p in places]
    forms: dict[str, Any] = {"none": None, "list": outs, "tuple": tuple(outs), "dict": dict(zip(names or (), outs))}
    return outs[0] if form == "one" else forms[form]


def _spec(reader: Reader, record: Record) -> In:
    default = reader.out(record["default"]) if "default" in record else None
    value = record.get("value")
    update = record["update"]
    return In(reader.out(record["variable"]), value=default if value is None else reader.array(value),
              update=None if update is None else reader.out(update), **{k: record["flags"][k] for k in FLAGS})
