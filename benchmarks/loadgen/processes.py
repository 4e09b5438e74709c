"""Processes that are measured: started, timed until they are ready, and stopped in their tracks while others run."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from .meters import ProcessTree

READY_TIMEOUT_S: Final = 300
_POLL_S: Final = 0.02
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1"}


class NotStarted(Exception):
    """A process ended, or was not ready in time; the end of its log says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """A process that is ready.

    Attributes:
        ready_s: from its start until it was ready.
        line: the first line that it printed, where that is how it says so.
    """

    process: subprocess.Popen[bytes]
    tree: ProcessTree
    log: Path
    ready_s: float
    line: bytes = b""

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        return self.process.pid

    @contextlib.contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run; before and after it is suspended, so that it cannot take CPU from others."""
        self._each(psutil.Process.resume)
        try:
            yield
        finally:
            self._each(psutil.Process.suspend)

    def stop(self) -> None:
        """End it, and what it started."""
        self._each(psutil.Process.resume)
        children = self.tree.processes()[1:]
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for each in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        _close(self.process)

    def _each(self, act: Callable[[psutil.Process], None]) -> None:
        for each in self.tree.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                act(each)


def start(
    command: Sequence[str],
    log: Path,
    *,
    url: str | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Running:
    """Start *command* and wait until it is ready; it is left suspended.

    Args:
        log: gets what it prints.
        url: is ready when this answers with 2xx; None: when the first line is on stdout.
        folder: its working directory.
        environment: besides our own, and without the network.

    Raises:
        NotStarted: it ended, or was not ready in time.
    """
    began = time.perf_counter()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if url is None else sink,
            stderr=sink if url is None else subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **_OFFLINE, **(environment or {})},
        )
    try:
        line = _wait(process, log, url)
    except BaseException:  # an interrupted run leaves nothing behind either
        process.kill()
        process.wait()
        _close(process)
        raise
    running = Running(process, ProcessTree(process.pid), log, time.perf_counter() - began, line)
    with running.awake():
        return running


def _wait(process: subprocess.Popen[bytes], log: Path, url: str | None) -> bytes:
    """Until it is ready; the line that said so, if that is how."""
    if url is None:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            process.wait()
            raise NotStarted(_end(log))
        return line
    end = time.perf_counter() + READY_TIMEOUT_S
    while not _answers(url):
        if process.poll() is not None:
            raise NotStarted(_end(log))
        if time.perf_counter() > end:
            raise NotStarted(f"not ready after {READY_TIMEOUT_S} s; {_end(log)}")
        time.sleep(_POLL_S)
    return b""


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def _end(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return " | ".join(line for line in lines[-3:]) or "it printed nothing"
