"""Write down what a running Weaviate sends to an encoder: tests/contract/weaviate-VERSION.json.

  python tools/capture_contract.py --weaviate http://127.0.0.1:8080 --listen 8099

Start it first, and then a Weaviate on this machine with `TRANSFORMERS_INFERENCE_API=http://127.0.0.1:8099`,
`TRANSFORMERS_WAIT_FOR_STARTUP=true` and `ENABLE_MODULES=text2vec-transformers,text2vec-cohere,text2vec-openai`: then
the probes of its start and of its own readiness are caught too. The tests in tests/contract replay the file against
`samespace serve`, and tests/weaviate/access/test_contract.py holds it against the Weaviate of that run.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import httpx

TESTS = Path(__file__).resolve().parents[1] / "tests"
START_TIMEOUT_S = 120


def main() -> None:
    """Wait for the Weaviate, and capture every case."""
    sys.path.insert(0, str(TESTS))
    from fakes.server.recorder import recording
    from fakes.weaviate.traffic import drive, kept, write

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weaviate", required=True, metavar="URL", help="its REST address")
    parser.add_argument("--listen", required=True, type=int, metavar="PORT", help="of its TRANSFORMERS_INFERENCE_API")
    arguments = parser.parse_args()
    with recording(arguments.listen) as recorder, httpx.Client(base_url=arguments.weaviate, timeout=60) as weaviate:
        _wait(weaviate)
        probes = [each for each in recorder.take() if each.path.endswith("/.well-known/ready")]
        version = weaviate.get("/v1/meta").json()["version"]
        meta = [each for each in recorder.take() if each.path == "/meta"]
        if not probes or not meta:
            sys.exit("no probe came: start this first, then Weaviate with TRANSFORMERS_INFERENCE_API at this port")
        cases = {"probe-ready": [kept(probes[0])], "probe-meta": [kept(meta[0])], **drive(weaviate, recorder)}
    path = write(TESTS / "contract", version, cases)
    sys.stdout.write(f"{path}: {', '.join(cases)}\n")


def _wait(weaviate: httpx.Client) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            if weaviate.get("/v1/.well-known/ready").status_code == 200:
                return
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                sys.exit(f"{weaviate.base_url} does not answer: {error}")
        time.sleep(0.2)


if __name__ == "__main__":
    main()
