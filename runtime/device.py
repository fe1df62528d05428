"""Devices: find them once per process, rank them, choose one by what the user wrote, describe them for people."""
from __future__ import annotations

import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from codegen.target import Target
from exprgraph.backend import FORKED as FORKED_TEXT
from exprgraph.columns import columns
from exprgraph.config import Config
from exprgraph.errors import DeviceError, NoDeviceError, UnknownDeviceError, at, here, shortly
from exprgraph.named import NamedTuple
from exprgraph.near import nearest
from runtime import crashes, driver, limits, pocl, vendors

POCL = "portable computing language"
KINDS = ("cpu", "gpu")
NUMBERS = r"\d+:\d+"
DEVICES = "POCL_DEVICES"
OURS = "basic pthread"
"""PoCL's devices, where the user has not named any in the environment: one in the calling thread, and one with threads of its own."""
_GIB = 1 << 30


@dataclass(frozen=True)
class Device:
    """A device that was found.

    spec: "platform:device", as `choose` takes it.  kind: "gpu", "cpu" or "oclgrind".  target: what code generation may know.
    memory and max_alloc: bytes in all and for one buffer.  sibling: the spec of a device of the same context that runs short
    kernels in the calling thread, where there is one.  handle and group: the driver's devices, this one and those of its context.
    options: what its compiler is to be told.  version and driver: what the platform and the driver say of themselves.  fp16: whether it
    computes with float16.
    """
    spec: str
    name: str
    vendor: str
    platform: str
    kind: str
    target: Target
    memory: int
    max_alloc: int
    handle: Any = field(repr=False, compare=False)
    group: tuple[Any, ...] = field(repr=False, compare=False, default=())
    sibling: str | None = None
    options: tuple[str, ...] = ()
    version: str = ""
    driver: str = ""
    fp16: bool = False

    @property
    def pocl(self) -> bool:
        """Whether PoCL drives it."""
        return POCL in self.platform.lower()

    @property
    def rank(self) -> int:
        """The order of preference, lower is better: GPU, the vendor's CPU, PoCL's threads, PoCL in the calling thread."""
        if self.kind != "cpu":
            return 0 if self.kind == "gpu" else 9
        return 1 if not self.pocl else 3 if self.name.startswith("basic") else 2


class Opened(NamedTuple):
    """A context and a queue of it."""
    context: Any
    queue: Any


class Session(NamedTuple):
    """A device that is used: its context and its queue, in order, which PoCL's is given when somebody first asks for them.

    key: what programs of its context are kept under.  lost: empty as long as the context can be used, then why it cannot.  opened: the
    context and the queue, when they are there.  asked: the device whose short kernels this one runs, where that is another.
    """
    device: Device
    key: str
    lost: list[str]
    opened: list[Opened]
    asked: Device | None = None

    @property
    def named(self) -> str:
        """The device for messages: the one that was asked for where this one helps it."""
        device = self.asked or self.device
        return f"{device.name} ({device.platform})"

    @property
    def context(self) -> Any:
        """The context, which all sessions of its devices share; DeviceError where the driver fails."""
        return self.open().context

    @property
    def queue(self) -> Any:
        """The queue; DeviceError where the driver fails."""
        return self.open().queue

    def open(self) -> Opened:
        """Both, made on first use."""
        if not self.opened:
            with _found.lock:
                if not self.opened:
                    self.opened.append(_open(self.device))
        return self.opened[0]

    def on(self, queue: Any) -> Session:
        """The same with another queue of its context."""
        return self._replace(opened=[Opened(self.context, queue)])

    def finish(self) -> None:
        """Wait for what has been launched."""
        for one in self.opened:
            one.queue.finish()


class _Found:
    """What this process found; a forked child finds the process id of its parent here."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.pid: int | None = None
        self.listed = False
        self.devices: tuple[Device, ...] = ()
        self.contexts: dict[tuple[int, ...], Any] = {}
        self.sessions: dict[Device, Session] = {}


_found = _Found()
_keys: set[str] = set()
"""Those of all sessions there were: what is kept under one that was lost is never found under another."""
FORKED: list[bool] = []
"""Not empty in a process that was forked: there `check_process` has to be asked."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: FORKED.append(True))


def opened() -> bool:
    """Whether this process or the one that it was forked from has listed devices."""
    return _found.pid is not None


def foreign() -> bool:
    """Whether this process was forked after its parent had listed devices: the driver would hang there for ever."""
    return bool(FORKED) and _found.pid is not None and _found.pid != os.getpid()


def check_process() -> None:
    """DeviceError in such a process."""
    if foreign():
        raise DeviceError(FORKED_TEXT)


def devices() -> tuple[Device, ...]:
    """All devices, best first, Oclgrind last; NoDeviceError where OpenCL is missing."""
    check_process()
    with _found.lock:
        if not _found.listed:
            _found.pid = os.getpid()  # before the driver is asked: a child that is forked meanwhile must not
            try:
                _found.devices, _found.listed = _list(), True
            finally:
                _found.pid = _found.pid if _found.listed else None
        return _found.devices


def _list() -> tuple[Device, ...]:
    if driver.missing:
        raise NoDeviceError(f"{driver.missing}: {driver.CURE}")
    os.environ.setdefault(DEVICES, OURS)
    if limits.cores() < (os.cpu_count() or 1):  # PoCL counts the cores of the machine
        os.environ.setdefault("POCL_MAX_PTHREAD_COUNT", str(limits.cores()))
    crashes.prepare(str(getattr(driver.cl, "VERSION_TEXT", "")))
    with vendors.named(vendors.unnamed(driver.folder())):
        try:
            platforms = driver.cl.get_platforms()
        except driver.failure as error:
            raise NoDeviceError(f"no OpenCL platform was found ({error}): {cure()}") from error
        unkept = crashes.unusable()
        found = [device for p, platform in enumerate(platforms) for device in _of_platform(p, platform, unkept is None)]
    if not found:
        raise NoDeviceError(f"{unkept or 'OpenCL is installed but offers no device'}: {cure()}")
    return tuple(sorted(found, key=lambda d: d.rank))


def cure() -> str:
    """What to do where there is no device: unset what the environment says of drivers, where it says anything, or install one."""
    if driver.missing:
        return driver.CURE
    if crashes.unusable():
        return crashes.CURE
    strange = not set(OURS.split()) & set(os.environ.get(DEVICES, OURS).split())
    said = [*vendors.told(), *([DEVICES] if strange else [])]
    return f"unset {' '.join(said)}; where that is not enough: {driver.CURE}" if said else driver.CURE


def _of_platform(number: int, platform: Any, kept: bool = True) -> list[Device]:
    if not kept and POCL in platform.name.lower():
        return []
    try:
        handles = tuple(platform.get_devices())
    except driver.failure:  # a platform without devices, or whose hardware is gone
        return []
    if POCL in platform.name.lower():
        pocl.name_unknown_cpu(handles)
    return [_describe(f"{number}:{d}", platform, handle, handles) for d, handle in enumerate(handles)]


def _describe(spec: str, platform: Any, handle: Any, handles: tuple[Any, ...]) -> Device:
    name, platform_name = " ".join(handle.name.split()), " ".join(platform.name.split())
    is_pocl = POCL in platform_name.lower()
    kind = "oclgrind" if "oclgrind" in platform_name.lower() else "cpu" if handle.type & driver.cl.device_type.CPU else "gpu"
    memory, target = _ask(handle, "global_mem_size", 1 << 20, _GIB), _target(handle, kind, is_pocl, name)
    if kind == "cpu":
        memory = min(memory, limits.memory() or memory)
    basic = [i for i, h in enumerate(handles) if is_pocl and h.name.startswith("basic") and h is not handle]
    return Device(
        spec, name, " ".join(handle.vendor.split()), platform_name, kind, target, memory,
        min(_ask(handle, "max_mem_alloc_size", 1 << 18, memory // 4), memory), handle,
        handles if is_pocl else (handle,),  # PoCL's devices share memory; a context over several GPUs would open all of them
        f"{spec.partition(':')[0]}:{basic[0]}" if basic else None, _options(handle, target.dialect),
        _text(platform, "version"), _text(handle, "driver_version"), "cl_khr_fp16" in _extensions(handle))


def _target(handle: Any, kind: str, is_pocl: bool, name: str) -> Target:
    """What code generation may know, with defaults where a device reports nothing or nonsense."""
    shared = is_pocl and kind == "cpu"  # elsewhere a buffer on host memory may be a copy in disguise
    return Target(
        schedule="cpu" if kind == "cpu" else "gpu", units=_ask(handle, "max_compute_units", 1, 1),
        local_bytes=min(_ask(handle, "local_mem_size", 4096, 16384), 1 << 20),
        max_group=min(_ask(handle, "max_work_group_size", 1, 64), 1024), fp64=_fp64(handle), host_shared=shared,
        argument_bytes=min(_ask(handle, "max_parameter_size", 256, 1024), 4096), dialect=pocl.dialect() if shared else _dialect(handle),
        name=name, cache_bytes=_ask(handle, "global_mem_cache_size", 1 << 20, 1 << 25))


def _ask(handle: Any, name: str, least: int, default: int) -> int:
    try:
        value = int(getattr(handle, name))
    except (driver.failure, AttributeError, TypeError, ValueError):
        return default
    return value if value >= least else default


def _text(thing: Any, name: str) -> str:
    try:
        return " ".join(str(getattr(thing, name)).split())
    except (driver.failure, AttributeError):
        return ""


def _dialect(handle: Any) -> str:
    """What the compiler of a device with memory of its own has beyond OpenCL 1.2.  NVIDIA's adds doubles atomically from sm_60 on."""
    words = _extensions(handle)
    if "cl_nv_compiler_options" in words and _ask(handle, "compute_capability_major_nv", 1, 0) >= 6:
        return "nvidia"
    if "cl_ext_float_atomics" in words and str(getattr(handle, "version", "")).startswith("OpenCL 3"):
        return "float_atomics"
    return "portable"


def _extensions(handle: Any) -> list[str]:
    try:
        return str(handle.extensions).split()
    except (driver.failure, AttributeError):
        return []


def _options(handle: Any, dialect: str = "portable") -> tuple[str, ...]:
    """Quotients and square roots of float32 as NumPy rounds them, where the compiler can but would not if it is not told; and the
    version of the language that has atomic floats, where they are used."""
    can = _ask(handle, "single_fp_config", 1, 0) & int(driver.cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT)
    return ("-cl-fp32-correctly-rounded-divide-sqrt",) * bool(can) + ("-cl-std=CL3.0",) * (dialect == "float_atomics")


def _fp64(handle: Any) -> bool:
    if _ask(handle, "double_fp_config", 1, 0):
        return True
    return "cl_khr_fp64" in _extensions(handle)


def choose(spec: str | None = "auto") -> Device:
    """The device that the user asks for: "auto", "cpu", "gpu", "pocl", "0:1" (platform and device) or part of a name."""
    return fitting(spec)[0]


def fitting(spec: str | None = "auto") -> tuple[Device, ...]:
    """All devices that the user may mean, best first; UnknownDeviceError where that is none, NoDeviceError where any would do."""
    found = devices()
    wanted = (spec or "auto").strip().lower()
    fitting = tuple(d for d in found if _fits(d, wanted))
    if not fitting and wanted == "auto":
        raise NoDeviceError(f"no device but Oclgrind, which is used by name only, was found: {driver.CURE}")
    if not fitting:
        variable = spec and spec == os.environ.get(Config.device.variable)
        asked = f"{Config.device.variable}={spec:.80}" if variable else f"device={shortly(spec, 80)}"
        unkept = None if any(d.pocl for d in found) else crashes.unusable()
        said = f"\n{unkept}: {crashes.CURE}\n" if unkept else f"{_nearest(wanted, found)}\n"
        raise UnknownDeviceError(f"no device fits {asked}{said}{describe()}{at(here())}")
    return fitting


def _fits(device: Device, wanted: str) -> bool:
    if wanted == "auto":
        return device.kind != "oclgrind"
    if wanted in KINDS:
        return device.kind == wanted
    if wanted == "pocl":
        return device.pocl
    if re.fullmatch(NUMBERS, wanted):
        return device.spec == wanted
    return wanted in f"{device.name}\n{device.vendor}\n{device.platform}".lower()


def _nearest(wanted: str, found: tuple[Device, ...]) -> str:
    if wanted in (*KINDS, "pocl", "oclgrind") or re.fullmatch(NUMBERS, wanted):
        return ""  # it is right, and there is none
    from exprgraph import theano_words  # only mistakes need it
    words = {"auto", "numpy", *(d.spec for d in found), *(d.kind for d in found), *("pocl" for d in found if d.pocl)}
    words |= {w for d in found for w in re.split(r"[^a-z0-9]+", f"{d.name} {d.vendor} {d.platform}".lower()) if len(w) > 2}
    return theano_words.device(wanted) or nearest(wanted, sorted(words))


def describe() -> str:
    """A table of all devices for people: what to write as `device=`, best first."""
    return table(devices())


def table(found: Sequence[Device]) -> str:
    """The same of these devices."""
    rows = [("device", "kind", "units", "memory", "float64", "name")]
    for d in found:
        rows.append((d.spec, d.kind, str(d.target.units), f"{d.memory / _GIB:.1f} GiB", "yes" if d.target.fp64 else "no",
                     f"{d.name} ({d.platform})"))
    rows.append(("numpy", "oracle", "1", "", "yes", "NumPy, without generated code"))
    return "\n".join(columns(rows))


def session(device: Device) -> Session:
    """The session of a device, kept as long as its context can be used; DeviceError where the driver fails."""
    check_process()
    with _found.lock:
        if device not in _found.sessions:
            name = f"{device.spec} {len(_keys)}" if device.spec in _keys else device.spec
            made = Session(device, name, [], [])
            if not device.pocl:
                made.open()
            _keys.add(name)
            _found.sessions[device] = made
        return _found.sessions[device]


def in_use() -> bool:
    """Whether a session holds a context."""
    return bool(_found.contexts)


def _group(device: Device) -> tuple[int, ...]:
    """What its context is known by."""
    return tuple(int(h.int_ptr) for h in device.group)


def _open(device: Device) -> Opened:
    key = _group(device)
    try:
        if key not in _found.contexts:
            _found.contexts[key] = driver.cl.Context(list(device.group))
        return Opened(_found.contexts[key], driver.cl.CommandQueue(_found.contexts[key], device.handle))
    except driver.failure as error:
        _found.contexts.pop(key, None)
        raise DeviceError(f"{device.name} cannot be opened: {error}") from None


def lose(lost: Session, reason: str) -> None:
    """A context can be used no more: who asks for a session of its devices from now on is given a new one."""
    with _found.lock:
        group, current = _group(lost.device), any(s.key == lost.key for s in _found.sessions.values())
        gone = [s for s in _found.sessions.values() if current and _group(s.device) == group]
        for one in (lost, *gone):
            one.lost[:] = [reason]
        _found.sessions = {d: s for d, s in _found.sessions.items() if s not in gone}
        if current:
            _found.contexts.pop(group, None)
