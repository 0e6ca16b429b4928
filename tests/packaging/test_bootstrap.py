"""Setting up on a bare machine: what is installed for whom, what is said, and what a second call does."""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "packaging"))

import installation  # noqa: E402 - found through the line above
import machine  # noqa: E402
import progress  # noqa: E402
from machine import Machine  # noqa: E402

from studio.core.qt_libraries import missing_libraries  # noqa: E402

LINUX = Machine("Linux", None)


def older_pythons() -> list[str]:
    names = ("python2.7", "python3.6", "python3.7", "python3.8", "python3.9", "python3.10")
    on_path = [found for name in names if (found := shutil.which(name))]
    beside = [str(p) for p in (Path.home() / ".pyenv" / "versions").glob("*/bin/python")]
    return [p for p in on_path + beside if "/shims/" not in p]


def test_an_older_python_is_told_so_in_one_sentence() -> None:
    tried = 0
    for python in older_pythons():
        if subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info >= (3, 11))"], check=False).returncode:
            continue
        outcome = subprocess.run(
            [python, ROOT / "packaging" / "bootstrap.py", "demo"], capture_output=True, text=True, check=False
        )
        assert outcome.returncode == 2
        assert "needs Python 3.11 or newer, and this is Python " in outcome.stderr
        assert "Traceback" not in outcome.stderr and "SyntaxError" not in outcome.stderr
        tried += 1
    if not tried:
        pytest.skip("there is no older Python on this machine")


def test_bootstrap_keeps_to_words_that_an_old_python_can_read() -> None:
    text = (ROOT / "packaging" / "bootstrap.py").read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 4))
    new = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match, ast.FunctionDef, ast.AsyncFunctionDef)
    assert not [node for node in ast.walk(tree) if isinstance(node, new)]
    assert text.isascii()


def test_only_the_standard_library_is_needed_to_set_up() -> None:
    own = {path.stem for path in (ROOT / "packaging").glob("*.py")}
    read = [
        ROOT / "packaging" / f"{name}.py" for name in ("bootstrap", "commands", "installation", "machine", "progress")
    ]
    shared = "studio.core.qt_libraries"
    for file in (*read, ROOT / f"{shared.replace('.', '/')}.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for imported in names:
                assert imported == shared or imported.partition(".")[0] in sys.stdlib_module_names | own


def test_without_words_it_says_what_there_is() -> None:
    outcome = subprocess.run(
        [sys.executable, ROOT / "packaging" / "bootstrap.py"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 2
    for command in ("demo", "app", "test", "check", "bench"):
        assert f"\n  {command} " in outcome.stdout


def test_an_unknown_command_is_named_and_nothing_is_installed() -> None:
    outcome = subprocess.run(
        [sys.executable, ROOT / "packaging" / "bootstrap.py", "instal"], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 2
    assert "There is no command instal." in outcome.stderr


# Which PyTorch


def test_a_machine_without_a_card_is_spared_cuda_as_long_as_anything_else_works() -> None:
    builds = installation.torch_builds("2.13.0", LINUX)
    assert [(b.requirement, b.index.rpartition("/whl/")[2]) for b in builds] == [
        ("torch==2.13.0+cpu", ""),
        ("torch==2.13.0+cpu", "cpu"),
        ("torch==2.13.0", ""),
    ]
    assert builds[2].caution


def test_a_card_gets_cuda_and_never_a_cpu_build_that_lies_around() -> None:
    first = installation.torch_builds("2.13.0", Machine("Linux", (13, 1)))[0]
    assert (first.requirement, first.index) == ("torch===2.13.0", "")


def test_windows_with_a_card_needs_the_index_that_has_cuda() -> None:
    first = installation.torch_builds("2.13.0", Machine("Windows", (13, 0)))[0]
    assert first.requirement == "torch==2.13.0+cu130" and first.index.endswith("/whl/cu130")


def test_an_older_driver_gets_the_older_cuda_and_is_told() -> None:
    first = installation.torch_builds("2.13.0", Machine("Linux", (12, 4)))[0]
    assert first.requirement == "torch==2.13.0+cu126"
    assert "newer driver" in first.caution


def test_a_mac_gets_the_one_build_there_is() -> None:
    assert [b.requirement for b in installation.torch_builds("2.13.0", Machine("Darwin", None))] == ["torch==2.13.0"]


def test_the_card_is_found_through_the_drivers_own_library(tmp_path: Path) -> None:
    """A library that answers as NVIDIA's does, loaded by a fresh interpreter."""
    compiler = shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs gcc on Linux to build a library that answers")
    source = tmp_path / "nvml.c"
    source.write_text(
        "int nvmlInit_v2(void){return 0;} int nvmlShutdown(void){return 0;}"
        "int nvmlDeviceGetCount_v2(unsigned *n){*n=2;return 0;}"
        "int nvmlSystemGetCudaDriverVersion_v2(int *v){*v=12040;return 0;}"
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / "libnvidia-ml.so.1", source], check=True)
    asked = subprocess.run(
        [sys.executable, "-c", "import machine; print(machine.this_machine().cuda)"],
        cwd=ROOT / "packaging",
        env={**os.environ, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == "(12, 4)"


# The locks


def pins() -> dict[str, str]:
    lines = [
        line
        for name in ("torch.txt", "runtime.txt", "dev.txt")
        for line in (ROOT / "packaging" / "locks" / name).read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("#", "-r "))
    ]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines)
    return {_plain(name): version for name, _, version in (line.partition("==") for line in lines)}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_the_project_names_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    named += project["build-system"]["requires"]
    names = [_plain(re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]) for requirement in named]
    assert not [name for name in names if name not in pins()]


def test_nothing_with_a_licence_to_avoid_is_locked() -> None:
    avoided = {"pyside6", "pyside6-addons", "pyqt6", "pyside6-fluent-widgets", "pymupdf", "nuitka", "pynvml", "kernels"}
    assert not avoided & set(pins())


def test_what_is_installed_here_is_what_is_locked() -> None:
    different = {}
    for name, version in pins().items():
        try:
            installed = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            continue  # a bare environment may lack the tools for tests
        if installed != version:
            different[name] = (installed, version)
    assert not different


# Installing, with the real venv and pip on small packages


def small_wheel(folder: Path, name: str, version: str) -> None:
    """A package that holds nothing but its name."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}\n"
        for path, text in files.items()
    )
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(path, text)


IN_TREE_BACKEND = """
import zipfile
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    info = "smallproject-1.dist-info"
    with zipfile.ZipFile(f"{wheel_directory}/smallproject-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: smallproject\\nVersion: 1\\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return "smallproject-1-py3-none-any.whl"
"""


@pytest.fixture
def small_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the shape of this one and three small packages, and no network."""
    root = tmp_path / "한글 checkout"
    locks = root / "packaging" / "locks"
    locks.mkdir(parents=True)
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "smallproject"\nversion = "1"\n'
    )
    (root / "backend.py").write_text(IN_TREE_BACKEND)
    (locks / "torch.txt").write_text("torch==2.13.0\n")
    (locks / "runtime.txt").write_text("smalllibrary==1.0\n")
    (locks / "dev.txt").write_text("-r runtime.txt\nsmalltool==1.0\n")
    wheels = tmp_path / "wheels"
    small_wheel(wheels, "torch", "2.13.0+cpu")
    small_wheel(wheels, "smalllibrary", "1.0")
    monkeypatch.setattr(installation, "ROOT", root)
    monkeypatch.setattr(installation, "VENV", root / ".venv")
    monkeypatch.setattr(installation, "LOCKS", locks)
    monkeypatch.setattr(installation, "LOG", root / ".venv" / "install.log")
    monkeypatch.setattr(installation, "STAMP", root / ".venv" / "installed.json")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", wheels.as_uri())
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return tmp_path


def installed_in(root: Path) -> str:
    listed = subprocess.run(
        [root / ".venv" / "bin" / "python", "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="looks into a venv as POSIX lays it out")
def test_it_installs_once_goes_on_after_a_failure_and_then_leaves_all_as_it_is(
    small_project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = installation.ROOT
    with pytest.raises(progress.SetupError) as failed:  # smalltool isn't there yet
        installation.install(LINUX, dev=True)
    assert "smalltool" in str(failed.value)
    assert "torch==2.13.0+cpu" in installed_in(root)
    assert not installation.STAMP.exists()
    assert "Making a folder" in capsys.readouterr().out
    (root / "studio").mkdir()
    (root / "studio" / "module.py").write_text("one = 1\n")

    small_wheel(small_project / "wheels", "smalltool", "1.0")
    assert installation.install(LINUX, dev=True) == root / ".venv" / "bin" / "python"
    assert "smalltool==1.0" in installed_in(root)
    assert list(root.glob("studio/__pycache__/module.*.pyc")), "compiled ahead"
    assert "Making a folder" not in capsys.readouterr().out

    before = installation.LOG.stat().st_size
    installation.install(LINUX, dev=True)
    installation.install(LINUX, dev=False)  # what is there for the tests is enough for the program
    assert installation.LOG.stat().st_size == before
    assert capsys.readouterr().out == ""

    small_wheel(small_project / "wheels", "smalllibrary", "1.1")
    (root / "packaging" / "locks" / "runtime.txt").write_text("smalllibrary==1.1\n")
    installation.install(LINUX, dev=True)
    assert "smalllibrary==1.1" in installed_in(root)


@pytest.mark.skipif(sys.platform == "win32", reason="looks into a venv as POSIX lays it out")
def test_a_card_that_is_away_for_a_while_doesnt_cost_its_build_of_pytorch(small_project: Path) -> None:
    small_wheel(small_project / "wheels", "torch", "2.13.0")
    with_card = Machine("Linux", (13, 0))
    installation.install(with_card, dev=False)
    assert "torch==2.13.0\n" in installed_in(installation.ROOT)
    before = installation.LOG.stat().st_size
    installation.install(LINUX, dev=False)
    assert installation.LOG.stat().st_size == before


def test_too_little_room_is_said_before_anything_is_written(
    small_project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "free_gigabytes", lambda folder: 1.25)
    with pytest.raises(progress.SetupError, match=r"1\.2 GB are free, about 3 GB are needed"):
        installation.install(LINUX, dev=False)
    with pytest.raises(progress.SetupError, match="about 8 GB are needed"):
        installation.install(Machine("Linux", (13, 0)), dev=False)
    assert not installation.VENV.exists()


def test_pip_without_a_network_becomes_a_sentence(tmp_path: Path) -> None:
    """The real pip asks a port where nobody listens."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--retries", "1"]
    command += ["--index-url", "http://127.0.0.1:9/simple", "--target", str(tmp_path), "torch==2.13.0"]
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith("PIP_")}
    environment["PIP_CONFIG_FILE"] = os.devnull
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert outcome.returncode != 0
    said = str(installation._explained(outcome.stdout + outcome.stderr))
    assert said.startswith("The package server can't be reached.")
    assert said.endswith("it goes on where it stopped.")


def test_a_full_disk_becomes_a_sentence() -> None:
    said = str(installation._explained("ERROR: Could not install packages: [Errno 28] No space left on device\n"))
    assert said.startswith("The disk is full.")


def test_a_library_that_is_not_there_is_named_with_its_debian_package() -> None:
    assert missing_libraries({"libc.so.6": "libc6", "libnowhere.so.7": "libnowhere7"}) == ["libnowhere7"]


def test_without_root_the_exact_line_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/apt-get")
    assert not machine.install_packages(["libxcb-cursor0", "libegl1"], "The window needs more.", tmp_path / "log")
    said = capsys.readouterr().out
    assert "sudo apt-get install -y --no-install-recommends libxcb-cursor0 libegl1" in said
