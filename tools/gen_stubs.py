"""Generate the gRPC stubs in `sdk/samespace/rpc/v1` from the contract; `--check` says whether they are fresh.

    python tools/gen_stubs.py            # write them
    python tools/gen_stubs.py --check    # exit code 1 if what is committed differs

They are committed, so that installing samespace needs no compiler. grpcio-tools is held at 1.72, because
stubs of newer ones do not import beside weaviate-client, which holds protobuf back.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO_ROOT = ROOT / "inference_server" / "proto"
PACKAGE = "samespace/v1"
TARGET = ROOT / "sdk" / "samespace" / "rpc" / "v1"
INIT = '"""Generated from `inference_server/proto/samespace/v1` by `tools/gen_stubs.py`; not edited by hand."""\n'
GENERATOR = "1.72."


def generate() -> dict[str, str]:
    """File name -> content of every stub."""
    if not version("grpcio-tools").startswith(GENERATOR):
        raise SystemExit(f"grpcio-tools {version('grpcio-tools')} is installed; the stubs are made with {GENERATOR}*")
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["protoc", f"-I{PROTO_ROOT}", f"-I{files('grpc_tools') / '_proto'}"]
        arguments += [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
        protos = sorted(str(path.relative_to(PROTO_ROOT)) for path in (PROTO_ROOT / PACKAGE).glob("*.proto"))
        if protoc.main([*arguments, *protos]) != 0:
            raise SystemExit("protoc failed")
        made = {path.name: path.read_text("utf-8") for path in sorted((Path(folder) / PACKAGE).iterdir())}
    return {"__init__.py": INIT, **{name: relocate(text) for name, text in made.items()}}


def relocate(text: str) -> str:
    """protoc names modules after the proto package, `samespace.v1`; ours live in `samespace.rpc.v1`."""
    text = text.replace("from samespace.v1 import", "from samespace.rpc.v1 import")
    return re.sub(r"'samespace\.v1\.(\w+_pb2)'", r"'samespace.rpc.v1.\1'", text)


def main() -> None:
    """Write the stubs, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the committed stubs differ")
    check = parser.parse_args().check
    fresh = generate()
    if check:
        found = {path.name: path.read_text("utf-8") for path in TARGET.iterdir() if path.is_file()}
        stale = sorted(name for name in fresh.keys() | found.keys() if fresh.get(name) != found.get(name))
        if stale:
            raise SystemExit(f"stale stubs: {', '.join(stale)}; run `python tools/gen_stubs.py`")
        sys.stdout.write(f"{len(fresh)} stubs are fresh\n")
        return
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, text in fresh.items():
        (TARGET / name).write_text(text, "utf-8")
    sys.stdout.write(f"wrote {len(fresh)} stubs\n")


if __name__ == "__main__":
    main()
