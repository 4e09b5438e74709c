"""Run several Weaviate nodes on loopback as one cluster, from a binary that is on this machine already.

  WEAVIATE_BINARY=/path/to/weaviate python tools/weaviate_nodes.py --nodes 3 --folder /tmp/nodes

Prints one JSON line with each node's addresses when all see each other, and ends the nodes with Ctrl-C. For trying
`samespace weaviate` on a cluster by hand; tests marked `weaviate_cluster` start their own.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"


def main() -> None:
    """Start the nodes, say where they are, and wait for Ctrl-C."""
    sys.path.insert(0, str(TESTS))
    from fakes.weaviate.nodes import weaviate_nodes

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--folder", type=Path, required=True, help="folder for data and logs")
    arguments = parser.parse_args()
    binary = os.environ.get("WEAVIATE_BINARY")
    if not binary or not Path(binary).is_file():
        sys.exit("WEAVIATE_BINARY does not name a Weaviate server; set it to the path of one")
    with weaviate_nodes(Path(binary), arguments.folder, arguments.nodes) as nodes:
        told = [{"name": each.name, "url": each.url, "grpc_port": each.grpc_port} for each in nodes.all]
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        signal.sigwait([signal.SIGINT, signal.SIGTERM])


if __name__ == "__main__":
    main()
