"""Devices for people: `eg.devices()`, the commands `devices` and `doctor`, drivers without a vendors file, limits of the process."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import exprgraph as eg
from exprgraph import __main__ as cli
from exprgraph import backend
from exprgraph.errors import DeviceError, NoDeviceError
from runtime import crashes, device, doctor, driver, inventory, limits, trials, vendors
from tests.processes import command, python

CURE = "pip install pyopencl pocl-binary-distribution"
COMPILE = """
    import warnings, numpy as np, exprgraph as eg
    x = eg.vector('x')
    f = eg.compile([x], x + 1)
    g = eg.compile([x], x + 2)
    print(f(np.ones(2, 'float32')), g(np.ones(2, 'float32')), f.device)
    try:
        eg.compile([x], x + 3, device='cpu')
    except eg.DeviceError as error:
        print(error)
    print(eg.devices())
"""
NO_PYOPENCL = "import sys\nsys.modules['pyopencl'] = None\n"


def test_devices_lists_what_compile_takes() -> None:
    found = eg.devices()
    assert [d.spec for d in found] == [d.spec for d in device.devices()]
    for one in found:
        assert all(word in repr(one) for word in (one.spec, one.name, one.driver, "GiB", one.verdict))
        assert one.kind in ("cpu", "gpu", "oclgrind") and one.memory > 1 << 20 and isinstance(one.fp64, bool) and isinstance(one.fp16, bool)
    x = eg.scalar("x")
    assert eg.compile([x], x + 1, device=found[0].spec)(1) == 2


def test_a_device_is_named_by_its_record_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever `device=` is taken, and as the setting."""
    one, x = eg.devices()[0], eg.vector("x")
    f = eg.compile([x], x + 1, device=one, output="device")
    array = eg.array([1, 2], "float32", device=one)
    assert f.device == one.spec == f(array).device == array.device == eg.from_dlpack(np.ones(2, "f"), device=one).device
    assert eg.opencl_queue(device=one) is eg.opencl_queue(device=one.spec) and eg.function([x], x, device=one)([1]).tolist() == [1]
    with eg.change_flags(device=one):
        assert eg.config.device == one.spec and eg.compile([x], x * 2).device == one.spec
    monkeypatch.setattr(eg.config, "device", one)
    assert eg.config.device == one.spec
    for wrong in (3, [one], eg.devices()):
        with pytest.raises(DeviceError, match="or what eg.devices"):
            eg.compile([x], x, device=wrong)  # type: ignore[arg-type]


def without_platforms(tmp_path: Path) -> dict[str, str]:
    """An environment in which the loader finds nothing: one vendors file, which is not there."""
    return {"OCL_ICD_VENDORS": str(tmp_path / "none.icd")}


@pytest.mark.parametrize("where", ["no platform", "no pyopencl"])
def test_D1_without_opencl_auto_answers_from_numpy_with_one_warning(tmp_path: Path, where: str) -> None:
    """Import, compile and calls work; an explicit device raises with the cure; no device is listed."""
    bare = where == "no pyopencl"
    text = "\n".join(line[4:] for line in COMPILE.splitlines())
    done = python(NO_PYOPENCL * bare + text, **({} if bare else without_platforms(tmp_path)))
    lines = done.stdout.splitlines()
    assert lines[0] == "[2. 2.] [3. 3.] numpy" and CURE in lines[1] and lines[-1] == "()", done.stderr
    assert done.stderr.count("RuntimeWarning") == 1 and CURE in done.stderr


def test_the_command_devices(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli.main(["devices"]) == 0
    printed = capsys.readouterr().out
    assert all(d.spec in printed and d.name in printed for d in eg.devices()) and "self-test" in printed and "numpy" in printed
    assert cli.main(["devices", "all"]) == 2 and "takes no arguments" in capsys.readouterr().err

    def missing() -> Any:
        raise NoDeviceError(f"no OpenCL platform was found: {CURE}")
    monkeypatch.setattr(inventory, "devices", missing)
    assert cli.main(["devices"]) == 1 and CURE in capsys.readouterr().err


@pytest.mark.parametrize(("words", "code", "said"), [
    (["doctr"], 2, "exprgraph has no command 'doctr'; did you mean 'doctor'?"), (["zzz"], 2, "exprgraph has no command 'zzz'\nusage"),
    ([], 2, "usage: python -m exprgraph COMMAND"), (["--help"], 0, "doctor"), (["--version"], 0, f"NumPy {np.__version__}, pyopencl"),
    (["-V"], 0, eg.__version__), (["doctor", "--help"], 0, cli.COMMANDS["doctor"][1])])
def test_commands_that_are_not_there(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == code
    printed = capsys.readouterr()
    assert said in (printed.err if code else printed.out) and (not code or all(name in printed.err for name in cli.COMMANDS))


def test_every_command_is_there() -> None:
    for path, what in cli.COMMANDS.values():
        assert callable(backend.resolve(path)) and what


def test_a_shadowed_package_is_told_of(tmp_path: Path) -> None:
    """`python -m` puts the working folder first, so a folder of the user's called runtime hides ours."""
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "__init__.py").write_text("")
    done = command("doctor", cwd=tmp_path)
    assert done.returncode == 1 and f"another package called 'runtime' was found at {tmp_path}" in done.stderr and not done.stdout


def test_the_doctor_of_a_healthy_machine(tmp_path: Path) -> None:
    """Every device is tested, the verdict is kept, and `devices` shows it."""
    settings: dict[str, Any] = {"EXPRGRAPH_CACHE": tmp_path, "POCL_DEVICES": "basic"}
    done = command("doctor", **settings)
    assert done.returncode == 0 and done.stdout.endswith("all is well\n") and "WRONG" not in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("self-test: passed") == 1 == len(list(tmp_path.glob("verdict-*.json")))
    assert np.__version__ in done.stdout and "pyopencl" in done.stdout and str(tmp_path) in done.stdout
    assert command("devices", **settings).stdout.count("self-test: passed") == 1


def test_D1_the_doctor_without_a_platform(tmp_path: Path) -> None:
    done = command("doctor", **without_platforms(tmp_path))
    assert done.returncode == 1 and "unset OCL_ICD_VENDORS" in done.stdout and CURE in done.stdout, done.stdout
    assert f"{tmp_path / 'none.icd'} has no vendors file" in done.stdout and "2 things are wrong" in done.stdout


@pytest.mark.parametrize(("text", "said"), [
    ("none.icd", "has no vendors file"), ("empty", "has no vendors file"), ("folder", "cannot be loaded: /nowhere/lib.so"),
    ("folder/one.icd", "cannot be loaded: /nowhere/lib.so"), ("blank.icd", "it names none"), ("good.icd", None)])
def test_D1_the_doctor_on_what_the_loader_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str | None) -> None:
    """A vendors file that is there may name a library that is not."""
    for folder in ("empty", "folder"):
        (tmp_path / folder).mkdir()
    for name, content in {"folder/one.icd": "/nowhere/lib.so\n", "blank.icd": "\n", "good.icd": "libc.so.6"}.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path / text))
    wrong = [f for f in doctor.loader() if f.level == doctor.WRONG]
    assert [said in f.text and "unset OCL_ICD_VENDORS" in f.cure for f in wrong] == [True] if said else wrong == []


@pytest.mark.parametrize(("name", "value", "said"), [
    ("OCL_ICD_VENDORS", "/x", "unset OCL_ICD_VENDORS; where that is not enough: pip"),
    ("POCL_DEVICES", "gpus", "unset POCL_DEVICES; where"), ("POCL_DEVICES", "", "unset POCL_DEVICES; where"),
    ("POCL_DEVICES", "basic", "pip install"), ("POCL_CACHE_DIR", os.devnull, crashes.CURE)])
def test_D1_the_cure_where_there_is_no_device(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    """What the environment says of drivers comes first, in the error and from the doctor."""
    for other in (*vendors.SETTINGS, "POCL_DEVICES"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(driver, "cl", SimpleNamespace(get_platforms=list))
    monkeypatch.setattr(device, "_found", device._Found())
    with pytest.raises(NoDeviceError, match=f": {said}"):
        device.devices()
    found = next(iter(doctor.found_devices()))
    assert found.level == doctor.WRONG and found.cure.startswith(said) and "cure" not in found.text and said not in found.text


def test_H6_the_doctor_builds_with_the_options_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that changes no result may be one that the driver does not know; the self-test is made without."""
    pocl = device.choose("pocl")
    for options, wrong in (("-cl-nv-verbose", 1), ("-w", 0), (" ", 0)):
        monkeypatch.setenv("PYOPENCL_BUILD_OPTIONS", options)
        found = list(doctor._builds(pocl))
        assert [f.cure for f in found] == ["unset PYOPENCL_BUILD_OPTIONS"] * wrong
        assert all("builds nothing with PYOPENCL_BUILD_OPTIONS='-cl-nv-verbose'" in f.text for f in found)
    monkeypatch.setenv("PYOPENCL_BUILD_OPTIONS", "-cl-nv-verbose")
    x = eg.vector("x")
    with pytest.raises(DeviceError, match="PYOPENCL_BUILD_OPTIONS='-cl-nv-verbose' adds to the options of every build: unset it"):
        eg.compile([x], x * 98765.25, device="pocl")


def test_D1_the_doctor_without_pyopencl() -> None:
    done = python(NO_PYOPENCL + "from exprgraph.__main__ import main\nsys.exit(main(['doctor']))")
    assert done.returncode == 1 and "pyopencl cannot be imported" in done.stdout and f"cure: {CURE}" in done.stdout, done.stderr


def texts(found: Any) -> str:
    """All findings of a check."""
    return "\n".join(map(str, found))


def test_the_doctor_on_the_folder_of_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written to, and a process that ended while it built."""
    monkeypatch.setattr(eg.config, "cache", os.devnull)
    said = texts(doctor.cache())
    assert said.startswith("WRONG") and "/dev/null" in said and "set EXPRGRAPH_CACHE" in said
    monkeypatch.setattr(eg.config, "cache", str(tmp_path))
    for cache, cure in ((tmp_path / "pocl-1", "by itself"), (tmp_path / "mine", f"rm -r {tmp_path / 'mine'}")):
        note = crashes._write(f"{crashes._machine()}-0-0")
        assert note is not None
        note.write_text(str(cache))
        assert cure in texts(doctor.cache())


def test_the_doctor_on_a_device_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "tested", lambda d: "failed: scans: 3 of 9 elements are wrong")
    found = [f for f in doctor.found_devices() if "Oclgrind" not in f.text]  # which is never tested
    assert {f.level for f in found} == {doctor.WRONG} and "scans: 3 of 9" in found[0].text and "EXPRGRAPH_SELFTEST=0" in found[0].cure


def test_D1_the_doctor_on_a_gpu_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system sees the card, OpenCL does not."""
    (tmp_path / "renderD128" / "device").mkdir(parents=True)
    (tmp_path / "renderD128" / "device" / "vendor").write_text("0x8086\n")
    monkeypatch.setattr(doctor, "CARDS", tmp_path)
    found = next(f for f in doctor.cards() if "Intel" in f.text)
    assert found.level == doctor.WRONG and "intel-opencl-icd" in found.cure


# ---- drivers without a vendors file ----------------------------------------------------------------------------------------------------

@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library of a driver in the usual places, with no vendors file."""
    for name in vendors.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "lib" / "libnvidia-opencl.so.1"
    made.parent.mkdir()
    made.write_text("")
    monkeypatch.setattr(vendors, "PLACES", (str(tmp_path / "*ib"),))
    monkeypatch.setattr(vendors, "FILES", (str(tmp_path / "vendors"),))
    monkeypatch.setattr(vendors, "LOADER", str(tmp_path / "ld.so.cache"))
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return made


def test_a_driver_without_a_vendors_file_is_named_to_the_loader(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def get_platforms() -> list[Any]:
        folder = Path(os.environ["OCL_ICD_VENDORS"])
        seen.extend(f.read_text().strip() for f in folder.glob("*.icd"))
        return []
    monkeypatch.setattr(driver, "cl", SimpleNamespace(get_platforms=get_platforms))
    monkeypatch.setattr(device, "_found", device._Found())
    with pytest.raises(NoDeviceError):
        device.devices()
    assert seen == [str(library)] and "OCL_ICD_VENDORS" not in os.environ


def test_what_is_named_already_or_by_the_user_is_left_alone(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert vendors.unnamed() == [library] == vendors.libraries()
    monkeypatch.setenv("OCL_ICD_VENDORS", "/somewhere")
    assert vendors.unnamed() == []
    monkeypatch.delenv("OCL_ICD_VENDORS")
    (tmp_path / "vendors").mkdir()
    (tmp_path / "vendors" / "nvidia.icd").write_text("/elsewhere/libnvidia-opencl.so.515.2\n")
    assert vendors.unnamed() == []


def test_libraries_that_only_the_loader_knows(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vendors, "PLACES", ())
    assert vendors.libraries() == []
    (tmp_path / "ld.so.cache").write_bytes(b"glibc-ld.so.cache1.1\0libc.so.6\0" + os.fsencode(library) + b"\0libz.so\0")
    assert vendors.libraries() == [library]


@pytest.mark.skipif(sys.platform != "linux", reason="the loader of pyopencl's wheel")
def test_the_loader_opens_what_it_is_told_of(tmp_path: Path) -> None:
    """With the real loader: it says what it tries to open."""
    (tmp_path / "libnvidia-opencl.so.1").write_bytes(b"no library")
    done = python("from runtime.device import devices; print(len(devices()))", OCL_ICD_DEBUG=7, LD_LIBRARY_PATH=tmp_path,
                  without=vendors.SETTINGS)
    assert str(tmp_path / "libnvidia-opencl.so.1") in done.stderr and int(done.stdout.split()[-1]) == len(device.devices())


# ---- limits, options, versions ---------------------------------------------------------------------------------------------------------

def test_D17_limits_of_cores_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the process's control group and of those around it."""
    monkeypatch.setattr(limits, "GROUPS", tmp_path)
    monkeypatch.setattr(limits, "OWN", tmp_path / "own")
    free = limits.cores()
    assert limits.memory() is None and free >= 1
    (tmp_path / "own").write_text("0::/a/b\n")
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "memory.max").write_text("1000000\n")
    (tmp_path / "a" / "b" / "memory.max").write_text("max\n")
    (tmp_path / "a" / "b" / "cpu.max").write_text("50000 100000\n")
    assert (limits.memory(), limits.cores()) == (1000000, 1)
    (tmp_path / "a" / "b" / "cpu.max").write_text("max 100000\n")
    assert limits.cores() == free
    (tmp_path / "own").write_text("4:memory:/c\n3:cpu,cpuacct:/c\n")  # the older form, a tree for each kind
    for name, text in (("memory/c/memory.limit_in_bytes", "5000"), ("cpu/c/cpu.cfs_quota_us", "1000"), ("cpu/c/cpu.cfs_period_us", "1000")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert (limits.memory(), limits.cores()) == (5000, 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_D17_one_core_is_enough() -> None:
    done = python("""
        import os
        os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
        import numpy as np, exprgraph as eg
        x = eg.matrix('x')
        print(int(eg.compile([x], (x @ x).sum(), device='pocl')(np.ones((200, 200), 'float32'))))
        from runtime.device import devices
        print({d.target.units for d in devices()})""")
    assert done.stdout == "8000000\n{1}\n", done.stderr


@pytest.mark.parametrize("name", driver.OPTIONS)
def test_H6_build_options_of_the_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What may change results or read files is refused, with the line; what only shows or checks is let through."""
    x = eg.vector("x")
    for bad in ("-cl-fast-relaxed-math", "-I /etc", "-w -Dfloat=double", "-include x.h"):
        monkeypatch.setenv(name, bad)
        with pytest.raises(DeviceError, match=f"(?s){name} adds .*unset it.*test_hardware.py"):
            eg.compile([x], x * 3.25, device="pocl")
    monkeypatch.setenv(name, "-w -cl-opt-disable")
    assert eg.compile([x], x * 3.25, device="pocl")(np.ones(1, "f4"))[0] == 3.25


def test_G9_another_module_called_pyopencl(tmp_path: Path) -> None:
    """Too old, or a file of the user's: what it lacks is named, and NumPy answers."""
    (tmp_path / "pyopencl.py").write_text("VERSION_TEXT = '2012.1'\nclass Error(Exception): pass\n")
    done = subprocess.run([sys.executable, "-c", "import exprgraph as eg; x = eg.scalar('x'); print(eg.compile([x], x + 1)(1))"],
                          env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parent.parent)])},
                          capture_output=True, text=True, timeout=60)
    assert done.stdout == "2.0\n" and "pyopencl 2012.1 at" in done.stderr and "enqueue_nd_range_kernel" in done.stderr, done.stderr
