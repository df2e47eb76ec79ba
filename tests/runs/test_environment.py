"""What a run ran on."""

import mmap
import subprocess
import sys
from pathlib import Path

import spantune
from spantune.runs import environment
from spantune.runs.environment import git_state, hardware, peak_memory_bytes, reset_peak_memory, versions


def test_importing_the_room_and_asking_everything_loads_nothing_heavy():
    code = (
        "import sys; from spantune.runs.environment import *; versions(); hardware(); peak_memory_bytes(); git_state();"
        "print([name for name in ('torch', 'transformers', 'numpy', 'mlflow', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_versions_name_what_decides_the_numbers():
    found = versions()
    assert found["spantune"] == spantune.__version__
    assert {"python", "torch", "transformers", "peft", "numpy"} <= found.keys()


def test_a_missing_package_is_left_out(monkeypatch):
    monkeypatch.setattr(environment, "_PACKAGES", ("no-such-package",))
    assert versions().keys() == {"python", "spantune"}


def test_hardware_is_plausible():
    found = hardware()
    assert found["cpu"] and found["cores"] >= 1
    assert found["memory_bytes"] > 2**28


def test_peak_memory_grows_and_is_counted_anew():
    before = peak_memory_bytes()
    with mmap.mmap(-1, 64 * 2**20) as block:  # unlike the heap's, its pages go back to the system for certain
        for page in range(0, len(block), 4096):
            block[page] = 1
        high = peak_memory_bytes()
    assert high >= before
    reset_peak_memory()
    if sys.platform == "linux":
        assert peak_memory_bytes() < high - 32 * 2**20


def test_git_state_is_that_of_our_own_checkout(tmp_path, monkeypatch):
    package = tmp_path / "src" / "spantune"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(spantune, "__file__", str(package / "__init__.py"))
    assert git_state() is None

    def git(*arguments):
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init")
    assert git_state() is None, "no commit yet"
    git("add", ".")
    git("commit", "-m", "x")
    state = git_state()
    assert len(state["commit"]) == 40 and state["dirty"] is False
    Path(package / "__init__.py").write_text("changed = True\n")
    assert git_state()["dirty"] is True


def test_an_installed_package_does_not_take_the_commit_around_it(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(spantune, "__file__", str(tmp_path / "lib" / "spantune" / "__init__.py"))
    assert git_state() is None
