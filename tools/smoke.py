"""What a fresh install has to do: load an artifact, serve it, be asked over gRPC and HTTP. Run by `tools/matrix.py`.

python tools/smoke.py ARTIFACT

Uses what a wheel installs and nothing of the repository; the probes of the artifact say what is right.
"""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path


def main(folder: str) -> None:
    """Print the versions that were tried."""
    import samespace
    from samespace.artifact import open_artifact
    from samespace.demo.server_process import check_probes, running_server

    assert "site-packages" in samespace.__file__, f"not the installed package: {samespace.__file__}"
    assert (Path(samespace.__file__).parent / "rpc" / "v1" / "encoder.proto").is_file(), (
        "the wheel lacks its .proto files"
    )
    artifact = open_artifact(folder)
    with samespace.Encoder.load(folder, build="fp32") as encoder, tempfile.TemporaryDirectory() as work:
        assert artifact.probes().worst is not None and encoder.space_id == artifact.space_id
        with running_server([Path(folder)], Path(work) / "log") as server:
            assert len(list(check_probes(server, artifact))) == 3
    command = [str(Path(sys.executable).with_name("samespace")), "verify", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert callable(samespace.weaviate.create)
    tried = ("numpy", "tokenizers", "onnxruntime", "grpcio", "protobuf", "weaviate-client", "click")
    sys.stdout.write(json.dumps({name: importlib.metadata.version(name) for name in tried}))


if __name__ == "__main__":
    main(sys.argv[1])
