"""The runs of a study as tasks on a Ray cluster of any size; `pip install spantune[ray]`.

A task carries a run out in a process of its own, as on one machine, so that a crash costs the run and not the worker.
If the worker sees the study folder (one machine, or a shared disk), the run writes there, checkpoints included. If it
does not, the run writes to the worker's own disk and its folder comes back in one piece, with its checkpoint if it was
interrupted. Data and encoder must exist on the workers under the names in the configuration.
"""

from __future__ import annotations

import io
import math
import socket
import tarfile
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from spantune.config import TrainConfig
from spantune.errors import ConfigError, RunError
from spantune.runs.atomic_files import TEMPORARY, atomic_folder
from spantune.studies.worker_process import Outcome, RunProcess

_PATIENCE_SECONDS = 5
_POLL_SECONDS = 1.0


class RayExecutor:
    """Each run as a task with declared CPUs and GPUs.

    Args:
        folder: of the study. address: of the cluster (`auto`: the one that was started on this machine; `host:6379`;
            `ray://host:10001`). cpus, gpus: of a run; the cluster runs as many at a time as it has.

    Raises:
        ConfigError: ray is not installed, or no machine of the cluster is large enough.
        RunError: there is no cluster at the address.
    """

    def __init__(self, folder: Path, address: str, *, cpus: float, gpus: float) -> None:
        self._ray = _imported()
        self._under_way: dict[Any, tuple[str, Path]] = {}  # by task: the run's name and folder
        self._token = folder / f"{TEMPORARY}ray-{uuid.uuid4().hex}"  # a worker that sees it sees the study folder
        self._connect(address)
        self.workers = self._at_a_time(cpus, gpus)
        self._task = self._ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(_carry_out)
        self._bell = self._ray.remote(num_cpus=0)(_Bell).remote()
        self._token.touch()

    def _connect(self, address: str) -> None:
        try:
            _knock(address)
            self._ray.init(address=address, log_to_driver=False, logging_level="ERROR", ignore_reinit_error=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise RunError(
                "Ray cannot be reached",
                where=f"--ray-address {address}",
                expected="a running cluster",
                found=str(error).strip().partition("\n")[0] or type(error).__name__,
                fix="start one (`ray start --head` on this machine), or leave --executor ray out",
            ) from error

    def _at_a_time(self, cpus: float, gpus: float) -> int:
        asked = {kind: number for kind, number in (("CPU", cpus), ("GPU", gpus)) if number}
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        fits = (min((has.get(kind, 0) / asked[kind] for kind in asked), default=1) for has in machines)
        fitting = sum(map(math.floor, fits))
        if not fitting:
            there = ", ".join(f"{self._ray.cluster_resources().get(kind, 0):g} {kind}s" for kind in ("CPU", "GPU"))
            raise ConfigError(
                "no machine of the cluster has as much as a run asks for",
                where="--ray-cpus, --ray-gpus",
                expected=f"at most what one machine has (all together: {there})",
                found=f"{cpus:g} CPUs and {gpus:g} GPUs",
            )
        return fitting

    def submit(self, name: str, config: TrainConfig) -> None:
        folder = Path(config.output).absolute()
        packed = _packed(folder) if config.resume else None
        config = replace(config, output=str(folder))
        task = self._task.remote(config, str(self._token.absolute()), packed, self._bell)
        self._under_way[task] = name, folder

    def wait(self) -> tuple[str, Outcome]:
        (ended,), _ = self._ray.wait(list(self._under_way))
        return self._received(ended)

    def close(self) -> None:
        self._ray.get(self._bell.ring.remote())
        for task in self._under_way:  # one that has not begun yet would wait for room
            self._ray.cancel(task, force=False)
        while self._under_way:
            self._received(next(iter(self._under_way)))
        self._token.unlink(missing_ok=True)
        self._ray.shutdown()

    def _received(self, task: Any) -> tuple[str, Outcome]:
        name, folder = self._under_way.pop(task)
        errors = self._ray.exceptions
        try:
            outcome, packed = self._ray.get(task)
        except errors.TaskCancelledError:
            return name, Outcome(interrupted=True)
        except errors.RayTaskError as error:
            return name, Outcome(reason=str(error.cause))
        except errors.RayError as error:  # the worker or its machine died
            return name, Outcome(reason=f"its worker died: {str(error).splitlines()[0]}", crashed=True)
        if packed is not None:
            _unpack(packed, folder)
        return name, outcome


def _imported() -> Any:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "Ray is not installed", where="--executor ray", fix='pip install "spantune[ray]", on all of its machines'
        ) from error
    return ray


def _knock(address: str) -> None:
    """Raise OSError if nothing listens: Ray itself would ask for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS).close()


class _Bell:
    """Rings when the runs are to stop. Ray's own cancelling does not reach every task on another machine."""

    rung = False

    def ring(self) -> None:
        self.rung = True

    def has_rung(self) -> bool:
        return self.rung


def _carry_out(config: TrainConfig, token: str, packed: bytes | None, bell: Any) -> tuple[Outcome, bytes | None]:
    """What a worker does: the outcome, and the run's folder if the worker does not see the study folder."""
    if Path(token).exists():
        return _run(config, bell), None
    with tempfile.TemporaryDirectory(prefix=TEMPORARY) as scratch:
        folder = Path(scratch) / "run"
        if packed is not None:
            _unpack(packed, folder)
        return _run(replace(config, output=str(folder)), bell), _packed(folder)


def _run(config: TrainConfig, bell: Any) -> Outcome:
    ray = _imported()
    run = RunProcess(config)
    try:
        while run.process.is_alive() and not ray.get(bell.has_rung.remote()):
            run.process.join(_POLL_SECONDS)
    except KeyboardInterrupt:  # cancelled
        pass
    run.stop()
    return run.outcome()


def _packed(folder: Path) -> bytes | None:
    """A run's folder as one piece."""
    if not folder.is_dir():
        return None
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, arcname=".")
    return stream.getvalue()


def _unpack(packed: bytes, folder: Path) -> None:
    """Replace the folder by a packed run: checkpoints of an earlier run are none of its own."""
    with atomic_folder(folder) as made:
        made.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(made, filter="data")
