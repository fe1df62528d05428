"""`python -m exprgraph doctor`: what was looked for, what was found, what is wrong and the exact cure, also where no OpenCL is at all."""
from __future__ import annotations

import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from exprgraph import __version__, store
from exprgraph.config import FAULTS, SETTINGS, Config, config, strangers
from exprgraph.errors import DeviceError, NoDeviceError
from exprgraph.named import NamedTuple
from runtime import chosen, crashes, driver, limits, trials, vendors, verdicts
from runtime.device import Device, cure, devices, fitting, session

OK, NOTE, WRONG = "ok", "note", "WRONG"
ROOT = Path(__file__).resolve().parent.parent
PREFIXES = ("EXPRGRAPH_", "POCL_", "OCL_ICD_", "OPENCL_", "PYOPENCL_")
ELSEWHERE = "pip has PoCL for Linux on x86-64 only; conda-forge has it as `pocl`"
MAKERS = {"0x10de": ("NVIDIA", "install NVIDIA's driver with its OpenCL library, libnvidia-opencl.so.1; in a container set "
                     "NVIDIA_DRIVER_CAPABILITIES=compute,utility"),
          "0x1002": ("AMD", "apt install rocm-opencl-runtime, or mesa-opencl-icd"), "0x8086": ("Intel", "apt install intel-opencl-icd")}
"""Makers of GPUs by their number on the bus, and the cure where such a GPU has no driver for OpenCL."""
CARDS = Path("/sys/class/drm")
LEAST_NUMPY = (1, 26)


class Finding(NamedTuple):
    """One thing that was looked at.  cure: what to do where it is wrong."""
    level: str
    text: str
    cure: str = ""

    def __str__(self) -> str:
        lines = [f"{self.level:6}{self.text}", *([f"cure: {self.cure}"] if self.cure else [])]
        return "\n".join(lines).replace("\n", "\n      ")


def packages() -> Iterator[Finding]:
    """Python, NumPy, and where exprgraph's packages lie."""
    yield Finding(OK, f"Python {platform.python_version()} ({sys.executable}) on {platform.system()} {platform.machine()}")
    old = tuple(int(n) for n in np.__version__.split(".")[:2] if n.isdigit()) < LEAST_NUMPY
    yield Finding(WRONG if old else OK, f"NumPy {np.__version__} at {Path(str(np.__file__)).parent}",
                  f'pip install "numpy>={".".join(map(str, LEAST_NUMPY))}"' if old else "")
    yield Finding(OK, f"exprgraph {__version__} at {ROOT}")
    for name in ("codegen", "runtime"):  # `runtime` is ours where this runs; a stranger is told of before it
        strangers = [f for f in sys.path if f and Path(f).resolve() != ROOT and Path(f, name, "__init__.py").exists()
                     and not Path(f, "exprgraph", "__main__.py").exists()]
        if strangers:
            yield Finding(NOTE, f"another package called {name!r} lies in {strangers[0]}; where that comes first on sys.path it hides "
                          "exprgraph's", f"take {strangers[0]} off sys.path, or start Python in another folder")


def binding() -> Iterator[Finding]:
    """pyopencl, and what the environment tells it."""
    if driver.missing:
        yield Finding(WRONG, driver.missing, driver.CURE)
    else:
        yield Finding(OK, f"pyopencl {driver.cl.VERSION_TEXT} at {Path(driver.cl.__file__).parent}")
    options = driver.strange_options()
    if options:
        yield Finding(WRONG, options, f"unset {options.split()[0]}")


def environment() -> Iterator[Finding]:
    """The settings that matter here."""
    found = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(PREFIXES)]
    yield Finding(NOTE, f"environment: {', '.join(found) or 'nothing is set'}")
    for text in FAULTS:
        variable = next(s.variable for s in SETTINGS.values() if f" {s.variable} = " in text)
        yield Finding(WRONG, f"{text}, so that `import exprgraph` fails", f"unset {variable}, or give it a value that it takes")
    for text in strangers():
        yield Finding(NOTE, text)
    yield from _theano()
    room = limits.memory()
    text = f"this process may use {limits.cores()} of {os.cpu_count()} cores"
    yield Finding(NOTE, text + (f" and {room / (1 << 30):.1f} GiB of memory" if room else ""))


def _theano() -> Iterator[Finding]:
    """Theano's settings are not read."""
    text = os.environ.get("THEANO_FLAGS")
    if text is not None:
        from exprgraph import theano_words  # few come with these
        same = " ".join(theano_words.flags(text, {s.name: s.variable for s in SETTINGS.values()}))
        yield Finding(NOTE, "THEANO_FLAGS is set, and is not read", f"set {same}" if same else "docs/from_theano.md says what there is")


def loader() -> Iterator[Finding]:
    """Vendors files and drivers' libraries."""
    told = vendors.told()
    here = vendors.files(driver.folder())
    text = ", ".join(map(str, here)) or "none"
    yield Finding(NOTE, f"vendors files in {', '.join(vendors.FILES)} and with pyopencl: {text}")
    for name in told:
        yield Finding(NOTE, f"{name}={os.environ[name]} tells the loader of drivers; exprgraph names it no others")
        if name != vendors.LIST:
            yield from _told(name, Path(os.environ[name]))
    if told:
        return
    for file in vendors.files():
        yield from _named(file, NOTE, f"remove {file}, or install what it names")
    for library in vendors.libraries():
        named = library in vendors.unnamed(driver.folder())
        yield Finding(NOTE, f"driver {library}" + (", named by no vendors file: exprgraph names it to the loader" if named else ""))


def _told(name: str, place: Path) -> Iterator[Finding]:
    """What is wrong with a place where vendors files lie, or with one file, that the environment names."""
    found = sorted(place.glob("*.icd")) if place.is_dir() else [place] if place.suffix == ".icd" and place.exists() else []
    if not place.exists() or (place.is_dir() and not found):
        yield Finding(WRONG, f"{place} has no vendors file", f"unset {name}, or put one there")
    for file in found:
        yield from _named(file, WRONG, f"unset {name}, or let {file} name the library of a driver")


def _named(file: Path, level: str, mend: str) -> Iterator[Finding]:
    problem = vendors.unloadable(file)
    if problem is not None:
        yield Finding(level, f"the driver that {file} names cannot be loaded: {problem}", mend)


def cache() -> Iterator[Finding]:
    """The folder of what is kept, and the driver's own cache."""
    base = store.folder()
    if base is None:
        yield Finding(NOTE, f"nothing is kept between processes, as {Config.cache.variable}=off asks for, or since no home is known",
                      f"set {Config.cache.variable} to a folder of yours")
        return
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        store._warned.clear()
        fine = store.usable(base)
    try:
        with tempfile.TemporaryFile(dir=base):
            pass
    except OSError as error:
        fine, problem = False, str(error)
    else:
        problem = ""
    reason = str(said[0].message).partition(" (EXPRGRAPH")[0] if said else f"nothing can be kept in {base}: {problem}"
    yield Finding(OK, f"what is kept lies in {base}") if fine else Finding(
        WRONG, f"{reason}; everything is built anew in each process", f"mend that, or set {Config.cache.variable} to a folder of yours")
    for note in crashes.dead():
        at = note.read_text() or "its own place"
        mine = crashes.ours(at)
        if not mine:
            note.unlink(missing_ok=True)  # it is told once
        yield Finding(NOTE if mine else WRONG, f"a process ended while a driver built; the driver's cache, {at}, may be damaged",
                      "the next process that uses a device empties it by itself" if mine else f"rm -r {at}")


def binaries() -> Iterator[Finding]:
    """PoCL's own cache, the place of which is chosen when devices are listed."""
    place, unkept = os.environ.get(crashes.POCL_CACHE), crashes.unusable()
    if unkept:
        yield Finding(WRONG, unkept, crashes.CURE)
    elif place:
        purge = "python -m exprgraph cache clear" if crashes.ours(place) else f"rm -r {place}"
        yield Finding(NOTE, f"PoCL keeps binaries in {place}; a damaged file there can end a process or spoil a build: `{purge}` deletes "
                      "nothing that is not built again")


def found_devices() -> Iterator[Finding]:
    """The devices, each tested now."""
    if driver.missing:
        return
    try:
        found = devices()
    except NoDeviceError as error:
        plain = platform.system() == "Linux" and platform.machine() == "x86_64"
        yield Finding(WRONG, f"{str(error).partition(': ' + cure())[0]}: device=\"auto\" answers from NumPy, slowly",
                      cure() if plain else f"pip install pyopencl, and the OpenCL driver of your GPU or CPU ({ELSEWHERE})")
        return
    except DeviceError as error:
        yield Finding(WRONG, str(error))
        return
    for device in found:
        yield _device(device)
        yield from _builds(device)
    yield from _asked()


def _asked() -> Iterator[Finding]:
    """The device that is asked for where a compile names none."""
    wanted = config.device
    if wanted.strip().lower() in ("auto", "numpy"):
        return
    try:
        fitting(wanted)
    except DeviceError as error:
        yield Finding(WRONG, str(error).partition("\n")[0] + ", so every compile that names no device fails",
                      f"unset {Config.device.variable}, or set it to one of the devices above")


def _device(device: Device) -> Finding:
    said = trials.tested(device) if device.kind != "oclgrind" else verdicts.UNTESTED
    about = (f"device {device.spec}: {device.name} ({device.platform} {device.driver}), {device.kind}, {device.target.units} units, "
             f"{device.memory / (1 << 30):.1f} GiB, float64: {'yes' if device.target.fp64 else 'no'}; self-test: {said}")
    if said.startswith("failed"):
        return Finding(WRONG, about, f'another version of its driver; "auto" skips it, {chosen.SETTING}=0 uses it all the same')
    if not device.target.fp64:
        return Finding(OK, about + "; float64 is refused there unless missing_float64=\"downcast\" is set")
    return Finding(OK, about)


def _builds(device: Device) -> Iterator[Finding]:
    """Whether it builds with the options of the environment, which its self-test knows nothing of."""
    if not driver.told() or driver.strange_options():
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = driver.cl.Program(session(device).context, "__kernel void k(__global int *a) { a[0] = 1; }\n")
            made.build(list(device.options), devices=[device.handle])
    except (DeviceError, driver.failure):
        names = " ".join(name for name in driver.OPTIONS if name in os.environ)
        yield Finding(WRONG, f"{device.name} builds nothing with {driver.told()}", f"unset {names}")


def cards() -> Iterator[Finding]:
    """GPUs that the system sees and OpenCL does not."""
    try:
        known = " ".join(f"{d.vendor} {d.platform} {d.name}" for d in devices() if d.kind == "gpu").lower()
    except DeviceError:
        known = ""
    numbers = {text for file in CARDS.glob("renderD*/device/vendor") if (text := file.read_text().strip()) in MAKERS}
    numbers |= {"0x10de"} if Path("/proc/driver/nvidia/version").exists() else set()
    for maker, install in (MAKERS[n] for n in sorted(numbers)):
        if maker.lower() not in known and not (maker == "AMD" and "advanced micro" in known):
            yield Finding(WRONG, f"this machine has a GPU of {maker}, for which no OpenCL driver was found", install)


CHECKS: tuple[Callable[[], Iterable[Finding]], ...] = (packages, binding, environment, loader, cache, found_devices, cards, binaries)


def main(arguments: Sequence[str]) -> int:
    """Print what there is to say; 1 where something is wrong, 2 for arguments that mean nothing."""
    if arguments:
        print(f"exprgraph doctor takes no arguments, not {' '.join(arguments)}", file=sys.stderr)
        return 2
    wrong = 0
    for check in CHECKS:
        for finding in check():
            print(finding, flush=True)
            wrong += finding.level == WRONG
    print(f"{wrong} thing{'s are' if wrong != 1 else ' is'} wrong" if wrong else "all is well")
    return 1 if wrong else 0
