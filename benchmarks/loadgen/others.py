"""The other servers, started as their makers start them, where they are installed on this machine.

- Weaviate's container (github.com/weaviate/t2v-transformers-models), without Docker: its own download.py prepares the
  model, its own command starts it. Three modes: its default, which splits a text into sentences and averages their
  vectors; whole texts (T2V_TRANSFORMERS_DIRECT_TOKENIZE); and its quantised ONNX image.
- Infinity (michaelfeil/infinity): torch, ONNX fp32 and ONNX int8, told to pool by the mean, because by itself its ONNX
  engine takes the first token's vector. Its cache of texts stays off: the same texts come round again here.
- text-embeddings-inference (huggingface), built with its `ort` backend, on the ONNX files that Infinity gets.

Nothing of theirs is copied into this project.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .contestants import Contestant, Door
from .measure import Target
from .processes import NotStarted, free_port, start

CONTAINER_MODES: Final = {
    "Weaviate's container": "false",
    "Weaviate's container, whole texts": "true",
    "Weaviate's container, quantised": "onnx",
}
TEI_MODES: Final = {"TEI, fp32": "fp32", "TEI, int8": "int8"}
INFINITY_MODES: Final = {"Infinity, torch": "torch", "Infinity, ONNX fp32": "fp32", "Infinity, ONNX int8": "int8"}

# What a user of Infinity's ONNX engine does first: the model hub has such files for well-known models.
_TO_ONNX: Final = """
import sys
from pathlib import Path
from optimum.onnxruntime import ORTModelForFeatureExtraction, ORTQuantizer
from optimum.onnxruntime.configuration import AutoQuantizationConfig
from transformers import AutoTokenizer
source, out, kind = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
model = ORTModelForFeatureExtraction.from_pretrained(source, export=True)
model.save_pretrained(out)
AutoTokenizer.from_pretrained(source).save_pretrained(out)
if kind == "int8":
    config = AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False)
    ORTQuantizer.from_pretrained(model).quantize(save_dir=out, quantization_config=config)
    (out / "model.onnx").unlink()
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the others are on this machine; None for what is not.

    Attributes:
        model: the folder of the model that everybody serves.
        work: a folder for prepared models and logs; kept, it saves the preparation the next time.
        container_python, container_code: an interpreter with the container's requirements, and its repository. With
            nltk's `punkt_tab` in the repository's nltk_data, the default mode can run.
        infinity_python: an interpreter that has infinity_emb.
        tei: the binary `text-embeddings-router`. Its ONNX files are made by `infinity_python`, unless the model's
            folder has onnx/model.onnx (fp32) and onnx/model_quantized.onnx (int8).
    """

    model: Path
    work: Path
    container_python: Path | None
    container_code: Path | None
    infinity_python: Path | None
    tei: Path | None = None


def container(installed: Installed, name: str, clients: int) -> list[Contestant]:
    """Weaviate's container in one of `CONTAINER_MODES`; raises `NotStarted`."""
    python, code = installed.container_python, installed.container_code
    if python is None or code is None:
        raise NotStarted("not installed here (--container-python and --container-code)")
    mode = CONTAINER_MODES[name]
    if mode == "false" and not (code / "nltk_data" / "tokenizers" / "punkt_tab").is_dir():
        raise NotStarted(
            "its sentence splitter's data (nltk_data/tokenizers/punkt_tab) is not in the repository's folder"
        )
    folder = installed.work / f"container-{'onnx' if mode == 'onnx' else 'torch'}"
    _once(folder, lambda new: _prepare_container(python, code, installed.model, new, onnx=mode == "onnx"))
    port = free_port()
    running = start(
        [str(python), "-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", str(port)],
        installed.work / f"container-{mode}.log",
        url=f"http://127.0.0.1:{port}/.well-known/ready",
        folder=folder,
        environment={"T2V_TRANSFORMERS_DIRECT_TOKENIZE": "false" if mode == "onnx" else mode},
    )
    target = Target("vectors", "127.0.0.1", port, "/vectors", "", running.pid)
    facts = {"settings": f"T2V_TRANSFORMERS_DIRECT_TOKENIZE={mode}" if mode != "onnx" else "ONNX_RUNTIME=true"}
    return [Door(name, "peer", running, target, clients, facts)]


def infinity(installed: Installed, name: str, clients: int) -> list[Contestant]:
    """Infinity in one of `INFINITY_MODES`; raises `NotStarted`."""
    python = installed.infinity_python
    if python is None:
        raise NotStarted("not installed here (--infinity-python)")
    mode = INFINITY_MODES[name]
    model = installed.model
    if mode != "torch":
        model = installed.work / f"infinity-{mode}"
        _once(model, lambda new: _call([str(python), "-c", _TO_ONNX, str(installed.model), str(new), mode]))
    port = free_port()
    options = [
        "--model-id", str(model), "--served-model-name", "model", "--device", "cpu", "--no-vector-disk-cache",
        "--engine", "torch" if mode == "torch" else "optimum", "--pooling-method", "mean",
    ]  # fmt: skip
    running = start(
        [str(python.parent / "infinity_emb"), "v2", *options, "--host", "127.0.0.1", "--port", str(port)],
        installed.work / f"infinity-{mode}.log",
        url=f"http://127.0.0.1:{port}/health",
        environment={"INFINITY_ANONYMOUS_USAGE_STATS": "0"},
    )
    target = Target("openai", "127.0.0.1", port, "/embeddings", "model", running.pid)
    return [Door(name, "peer", running, target, clients, {"settings": " ".join(options[4:])})]


def tei(installed: Installed, name: str, clients: int) -> list[Contestant]:
    """Text-embeddings-inference in one of `TEI_MODES`; raises `NotStarted`."""
    if installed.tei is None:
        raise NotStarted("not installed here (--tei)")
    mode = TEI_MODES[name]
    folder = installed.work / f"tei-{mode}"
    _once(folder, lambda new: _prepare_tei(installed, mode, new))
    port = free_port()
    options = ["--model-id", str(folder), "--pooling", "mean", "--auto-truncate"]
    try:
        running = start(
            [str(installed.tei), *options, "--hostname", "127.0.0.1", "--port", str(port)],
            installed.work / f"tei-{mode}.log",
            url=f"http://127.0.0.1:{port}/health",
        )
    except OSError as error:
        raise NotStarted(f"{installed.tei}: {error.strerror}") from error
    target = Target("tei", "127.0.0.1", port, "/embed", "", running.pid)
    return [Door(name, "peer", running, target, clients, {"settings": " ".join(options[2:])})]


def _prepare_tei(installed: Installed, mode: str, folder: Path) -> None:
    """The model's folder with its ONNX file where TEI looks for it."""
    file = "model.onnx" if mode == "fp32" else "model_quantized.onnx"
    source = installed.model / "onnx" / file
    if not source.is_file():
        if installed.infinity_python is None:
            raise NotStarted(f"its model as ONNX is missing: onnx/{file} in --model, or --infinity-python to make it")
        exported = installed.work / f"infinity-{mode}"
        python = str(installed.infinity_python)
        _once(exported, lambda new: _call([python, "-c", _TO_ONNX, str(installed.model), str(new), mode]))
        source = exported / file
    weights = shutil.ignore_patterns("onnx", "openvino", "*.bin", "*.safetensors", ".git")
    shutil.copytree(installed.model, folder, ignore=weights, dirs_exist_ok=True)
    shutil.copyfile(source, folder / "model.onnx")


def _prepare_container(python: Path, code: Path, model: Path, folder: Path, *, onnx: bool) -> None:
    shutil.copytree(code, folder, ignore=shutil.ignore_patterns(".git", "models"))
    (folder / "models" / "model").mkdir(parents=True)
    # amd64 is what the published image for this kind of processor is made with.
    environment = {"MODEL_NAME": str(model), "ONNX_RUNTIME": str(onnx).lower(), "ONNX_CPU": "amd64"}
    _call([str(python), "download.py"], folder=folder, environment=environment)


def _once(folder: Path, make: Callable[[Path], object]) -> None:
    """Make *folder* unless an earlier run did; a run that was interrupted leaves none."""
    if not folder.exists():
        new = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        make(new)
        new.rename(folder)


def _call(command: list[str], *, folder: Path | None = None, environment: dict[str, str] | None = None) -> None:
    offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **offline, **(environment or {})}, capture_output=True, check=False
    )
    if done.returncode:
        raise NotStarted(f"preparing its model failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
