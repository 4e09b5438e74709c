"""samespace.cli.weaviate: what it does before any Weaviate is asked."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from fakes.weaviate.database import SPACE
from samespace.cli.weaviate import COMMANDS, weaviate
from samespace.errors import ConfigInvalid, RequestInvalid, SamespaceError, WeaviateUnavailable


def run(*arguments: str) -> SamespaceError:
    """The error of ours that a command ends with."""
    result = CliRunner().invoke(weaviate, arguments, env={"WEAVIATE_URL": ""})
    assert isinstance(result.exception, SamespaceError), result.output
    return result.exception


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_help_has_an_example(command: str) -> None:
    """A user who asks for help sees a line to copy."""
    result = CliRunner().invoke(weaviate, [command, "--help"])
    assert result.exit_code == 0
    assert f"samespace weaviate {command}" in result.output.partition("Example:")[2]


def test_help_imports_no_client_and_no_runtime() -> None:
    """Help has to be quick, and to work where the extra is not installed."""
    code = (
        "import sys; from samespace.cli.weaviate import weaviate\n"
        "try: weaviate(['create', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'weaviate', 'grpc', 'onnxruntime', 'torch', 'samespace_weaviate'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_weaviate_that_is_not_there_is_one_clear_error() -> None:
    """Nothing listens on port 9: the error names the address."""
    error = run("check", "--url", "http://127.0.0.1:9")
    assert isinstance(error, WeaviateUnavailable)
    assert "127.0.0.1:9" in str(error)


class _NoWeaviate(BaseHTTPRequestHandler):
    """Answers every path with 404, as an encoder server does for /v1/meta."""

    def do_GET(self) -> None:
        self.send_response_only(404)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


def test_an_encoder_server_in_the_place_of_weaviate_is_called_that() -> None:
    """Both listen on 8080 by default: the error says which option to set."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _NoWeaviate) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        error = run("check", "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert isinstance(error, WeaviateUnavailable)
    assert "no Weaviate" in str(error)
    assert "WEAVIATE_URL" in str(error)


def test_contradicting_options_are_refused(tmp_path: object) -> None:
    """A URL and an embedded server exclude each other; a space id cannot encode; a server needs a whole address."""
    assert isinstance(run("check", "--url", "http://127.0.0.1:9", "--embedded", str(tmp_path)), ConfigInvalid)
    assert isinstance(run("import", "A", __file__, "--encoder", SPACE), RequestInvalid)
    assert isinstance(run("create", "A", "--encoder", SPACE, "--server", "encoder"), RequestInvalid)
