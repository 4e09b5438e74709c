"""Pack an artifact of all-MiniLM-L6-v2 as the wheel `samespace-minilm`, for `samespace try`.

python tools/model_wheel.py ARTIFACT --out dist    # where there is no ARTIFACT, it is exported first, with torch

The wheel holds the artifact as it is: fp32, by which its identity is proved, and int8, which is run. The same artifact
gives the same wheel, byte for byte. `make model-wheel` calls this. The weights are in no commit.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from samespace import __version__
from samespace.artifact import open_artifact
from samespace.demo.first_try import MODEL, SPACE

NAME = "samespace-minilm"
MODEL_SOURCE = "sentence-transformers/all-MiniLM-L6-v2"
_DATE = (2020, 1, 1, 0, 0, 0)
_ABOUT = """\
all-MiniLM-L6-v2 (Apache-2.0, sentence-transformers) as an artifact of samespace, in fp32 and int8.

Space {space}. Made by tools/model_wheel.py of the samespace repository; `samespace try` uses it.
"""


def wheel(artifact: Path, out: Path) -> Path:
    """Write the wheel of *artifact* into *out*; raises `SystemExit` for another encoder, or one without int8."""
    opened = open_artifact(artifact)
    opened.prove()
    if opened.space_id != SPACE:
        raise SystemExit(f"{artifact}: expected space {SPACE}, found {opened.space_id}")
    if opened.manifest.build("int8") is None:
        raise SystemExit(f"{artifact}: has no int8 build; export it with --build int8 --gate-data FOLDER")
    info = f"{MODEL}-{__version__}.dist-info"
    about = _ABOUT.format(space=SPACE)
    summary = "all-MiniLM-L6-v2 in int8, as an artifact of samespace"
    files = {
        f"{MODEL}/__init__.py": f'"""{summary}."""\n'.encode(),
        f"{MODEL}/artifact/manifest.json": opened.listing,
        **{f"{MODEL}/artifact/{name}": opened.read(name) for name in sorted(opened.manifest.files)},
        f"{info}/METADATA": (
            f"Metadata-Version: 2.4\nName: {NAME}\nVersion: {__version__}\nSummary: {summary}\n"
            f"License-Expression: Apache-2.0\nRequires-Python: >=3.11\nDescription-Content-Type: text/plain\n\n{about}"
        ).encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: samespace\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = io.StringIO()
    table = csv.writer(rows, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        table.writerow([name, f"sha256={digest}", len(data)])
    table.writerow([f"{info}/RECORD", "", ""])
    files[f"{info}/RECORD"] = rows.getvalue().encode()
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{MODEL}-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            packed.writestr(entry, data)
    return path


def exported(folder: Path) -> Path:
    """*folder* with the artifact: int8 is gated on the documentation that is installed here."""
    from samespace.api.commands import export
    from samespace.demo.pydoc_set import make_pydoc_set

    with TemporaryDirectory() as work:
        data = make_pydoc_set(Path(work) / "pydoc").folder
        made = export(MODEL_SOURCE, folder, name="minilm", builds=("int8",), gate_data=data, say=_say)
    if made.refused:
        raise SystemExit(f"{folder}: {made.refused[0]}")
    return folder


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")


def main() -> None:
    """Print the path of the wheel that was written."""
    parser = argparse.ArgumentParser(description="Pack an artifact of all-MiniLM-L6-v2 as a wheel.")
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--out", type=Path, default=Path("dist"))
    asked = parser.parse_args()
    sys.stdout.write(f"{wheel(asked.artifact if asked.artifact.exists() else exported(asked.artifact), asked.out)}\n")


if __name__ == "__main__":
    main()
