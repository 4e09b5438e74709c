"""What both doors share: how many files may be open, and which addresses are this machine's own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from samespace.errors import ConfigInvalid
from samespace_server.listeners import _is_loopback, listen

RAISE = """
import resource
from samespace_server.listeners import _allow_files
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, min(hard, 1000) if hard != resource.RLIM_INFINITY else 1000))
for count in (100, 800, 5000):
    _allow_files(count)
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_as_many_files_may_be_open_as_connections_need() -> None:
    """The soft limit is raised as far as the hard one allows, never lowered, and what is missing is told."""
    done = subprocess.run([sys.executable, "-c", RAISE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["256", "800", "1000"]
    assert done.stderr.count("few files may be open") == 1


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("encoder", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, is_loopback: bool) -> None:
    """Whatever else can be listened on can be reached by others, so a server there is told of if it is open."""
    assert _is_loopback(host) is is_loopback


def test_a_taken_port_is_refused_with_the_option_that_chooses_another() -> None:
    """The address is said once, not again in Python's words."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigInvalid) as caught:
            listen("127.0.0.1", port, key="ops_port")
    assert "--ops-port" in str(caught.value)
    assert str(caught.value).count(str(port)) == 1
