"""Theano's words that have another name here, or no need of one: what to write in their place, for errors and the doctor."""
from __future__ import annotations

import re
from collections.abc import Mapping

from exprgraph.errors import shortly
from exprgraph.near import nearest

_NO_COMPILER = "no C or CUDA compiler is called, the device's driver builds OpenCL C"
_MEMORY = "intermediates give their memory back by themselves; max_bytes= of compile bounds a call, f.free() gives its workspace back"
_ERRORS = 'errors name your line, sizes and dtypes; eg.explain shows every value, mode="DebugMode" checks every step'
_TEST_VALUES = "eg.explain(y, {x: value}) evaluates a graph step by step when asked, with x.tag.test_value where that is set"
_LINKER = 'there is one way to run a function; device="numpy" runs it in plain NumPy'
_WATCH = "f.passes() tells of passes and rules, watch= of compile is called with (name, before, after) for every pass"
_PASSES = 'eg.Mode().including("tag").excluding("tag") as mode= or config.mode; eg.rule_table() has names and tags'
_MEMORY_TABLE = "f.memory(n=...) says what a call takes, by kind and tensor, before it runs; profile=True times its steps"
_CACHE = "config.cache is the folder of all that is kept; `python -m exprgraph cache` lists and clears it"
_CORES = "all cores that the process may use are used; taskset, or POCL_MAX_PTHREAD_COUNT, limits them"
_PROMOTION = "dtypes follow NumPy 2, and an integer array with a float array keeps the float's dtype"
_DEVICE = "an explicit device= never falls back to another; `python -m exprgraph devices` lists them"

SETTINGS = {
    "exception_verbosity": _ERRORS, "traceback": _ERRORS, "allow_gc": _MEMORY, "linker": _LINKER, "vm": _LINKER, "cmodule": _CACHE,
    "compute_test_value": _TEST_VALUES, "compute_test_value_opt": _TEST_VALUES, "print_test_value": _TEST_VALUES,
    "profile_memory": _MEMORY_TABLE, "profile_optimizer": _WATCH, "profiling": "f.profile and eg.profile_summary() have the tables",
    "optimizer_verbose": _WATCH, "optimizer_including": _PASSES, "optimizer_excluding": _PASSES, "optimizer_requiring": _PASSES,
    "on_opt_error": 'a rewrite that fails is an error; mode="DebugMode" compares every rewrite',
    "compiledir": _CACHE, "base_compiledir": _CACHE, "compiledir_format": _CACHE, "compile": _CACHE,
    "cxx": _NO_COMPILER, "gcc": _NO_COMPILER, "nvcc": _NO_COMPILER, "cuda": _NO_COMPILER, "gpuarray": _NO_COMPILER, "dnn": _NO_COMPILER,
    "lib": _NO_COMPILER, "blas": "products of matrices on a CPU are NumPy's, with its BLAS", "openmp": _CORES,
    "openmp_elemwise_minsize": _CORES, "cast_policy": _PROMOTION, "int_division": "int / int gives floatX, // rounds down",
    "warn_float64": _PROMOTION, "force_device": _DEVICE, "init_gpu_device": _DEVICE, "assert_no_cpu_op": _DEVICE,
    "print_active_device": "f.device says where a function runs", "NanGuardMode": "NanGuardMode(nan_is_error=..., inf_is_error=...)",
    "DebugMode": "DebugMode(check_rewrites=..., check_kernels=...)", "numpy": "np.errstate is NumPy's own",
    "pickle_test_value": _TEST_VALUES, "unpickle_function": "a function pickles as its recipe and is compiled when it is first called",
    "reoptimize_unpickled_function": "a function pickles as its recipe and is compiled when it is first called",
    "warn": "there are no old faults to warn of"}
"""Theano's settings that are none here, those with a dot by their first part, and what there is."""

KEYWORDS = {
    "linker": _LINKER, "exception_verbosity": _ERRORS, "allow_gc": _MEMORY, "compute_test_value": _TEST_VALUES,
    "profile_memory": _MEMORY_TABLE, "profile_optimizer": _WATCH, "floatX": 'with eg.change_flags(floatX="float64"): sets it for a block',
    "borrow": "results are the caller's own and arguments are not copied; eg.shared(value, borrow=True) has it",
    "accept_inplace": "eg.function takes it; no op writes into its inputs", "trust_input": "f.trust_input = True leaves out checks",
    "strict": "eg.In(x, strict=True) has it", "mutable": "eg.In(x, mutable=True) has it",
    "update": "updates={w: w - 1}, or eg.In(x, update=...)",
    "default_update": "w.default_update = ..., on the shared variable", "share_memory": "f.copy(share_memory=True) has it",
    "givens_strict": "rebuild_strict=False casts givens", "storage_map": "f.container[name] holds a value",
    "cache": _CACHE, "deterministic": "with eg.change_flags(deterministic=True): sets it for a block"}
"""Theano's words that `compile` does not take, and what there is."""

_GPU = re.compile(r"(?:cuda|gpu)\d*")
_OPENCL = re.compile(r"opencl(\d+):(\d+)")


def setting(name: str) -> str:
    """What there is in place of one of Theano's settings; "" for a word that it has not."""
    return SETTINGS.get(name.partition(".")[0].partition("__")[0], "")


def keyword(name: str, known: tuple[str, ...]) -> str:
    """The rest of a message about a keyword that `compile` does not take: what there is in its place, or which may be meant."""
    return f": {KEYWORDS[name]}" if name in KEYWORDS else nearest(name, known) or f"; it takes {', '.join(known)}"


def device(wanted: str) -> str:
    """What Theano's name of a device is here, as the rest of a message; "" for any other."""
    found = _OPENCL.fullmatch(wanted)
    if found:
        return f"; Theano's {shortly(wanted)} is '{found[1]}:{found[2]}' here"
    return f"; Theano's {shortly(wanted)} is 'gpu' here" if _GPU.fullmatch(wanted) and wanted != "gpu" else ""


def flags(text: str, known: Mapping[str, str]) -> list[str]:
    """THEANO_FLAGS in our words: assignments to our variables where a setting is the same; known: the variable of each setting."""
    parts = [p.split("=", 1) for p in text.split(",") if "=" in p]
    return [f"{known[name.strip()]}={_value(value.strip())}" for name, value in parts if name.strip() in known]


def _value(text: str) -> str:
    found = _OPENCL.fullmatch(text)
    return f"{found[1]}:{found[2]}" if found else "gpu" if _GPU.fullmatch(text) else text
