"""Print the versions that are installed here as a constraints file."""

from __future__ import annotations

import sys
from importlib.metadata import distributions


def main() -> None:
    """One NAME==VERSION a line, sorted, without samespace itself and without local version labels."""
    found = {}
    for distribution in distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-")
        if name not in ("samespace", "setuptools", "wheel"):
            found[name] = distribution.version.partition("+")[0]
    sys.stdout.write("# Written by `make constraints`: the versions that samespace is tested with.\n")
    for name, version in sorted(found.items()):
        sys.stdout.write(f"{name}=={version}\n")


if __name__ == "__main__":
    main()
