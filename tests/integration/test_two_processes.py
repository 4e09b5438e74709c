"""Two processes train as one with both batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

pytestmark = pytest.mark.integration
SAME = 1e-6  # of float64 gradients, relative

WORKER = """
import json, os, sys
sys.path.insert(0, os.environ["TESTS"])
import torch
from torch import distributed
from unit.test_contrastive import make_collator, make_examples, texts
from samespace.training.contrastive import BatchLoss, LossSettings
from sentence_transformers import SentenceTransformer

torch.set_num_threads(1)
base, out = os.environ["BASE"], os.environ["OUT"]
rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
words = texts(30)
# The two share a query and a passage, so that masks have to reach across processes; and they differ in size.
examples = make_examples([*words[:9], words[0]], [*words[10:19], words[12]], [(text,) for text in words[20:30]])
collator = make_collator(examples, base)
model = SentenceTransformer(base).double().eval()
rows = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]] if world > 1 else [list(range(10))]
if world > 1:
    distributed.init_process_group("gloo")
    wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
else:
    wrapped = model
for kind in ("infonce", "cosine_mse"):
    settings = LossSettings(kind, mini_batch_size=3, learn_temperature=kind == "infonce")
    loss = BatchLoss(wrapped, settings, collator.known)
    loss.double().zero_grad()
    loss(collator.batch(rows[rank])).backward()
    if rank == 0:
        found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        if kind == "infonce":
            found["temperature"] = loss.log_temperature.grad
        torch.save(found, f"{out}-{kind}.pt")
"""


def run(base: Path, out: Path, processes: int) -> None:
    script = out.parent / "worker.py"
    script.write_text(WORKER)
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "BASE": str(base), "OUT": str(out), "TESTS": str(tests), "OMP_NUM_THREADS": "1"}
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    done = subprocess.run([sys.executable, *launcher, str(script)], env=environment, capture_output=True, timeout=280)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def test_the_gradient_of_two_processes_is_that_of_one(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Each with its part of the batch, of unequal size, all texts negatives for all, and masks across: one gradient."""
    run(tiny_checkpoint, tmp_path / "one", 1)
    run(tiny_checkpoint, tmp_path / "two", 2)
    for kind in ("infonce", "cosine_mse"):
        one, two = (torch.load(tmp_path / f"{name}-{kind}.pt") for name in ("one", "two"))
        assert one.keys() == two.keys()
        most = max(float(gradient.abs().max()) for gradient in one.values())
        for name, gradient in one.items():
            assert float((two[name] - gradient).abs().max()) <= SAME * most, (kind, name)


def test_torchrun_trains_and_writes_once(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """`torchrun -m samespace train`: one folder, one voice, half the steps."""
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [
        {"query": f"question {'abcdefgh'[i % 8]}{i}", "passage": f"answer {'hgfedcba'[i % 8]}{i} text"}
        for i in range(64)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = tmp_path / "config.toml"
    config.write_text(
        f'data = "set"\nout = "model"\nbase = "{tiny_checkpoint}"\nbatch_size = 8\nprecision = "fp32"\n'
        'on_collapse = "warn"\nlearning_rate = 1e-3\ncheckpoint_every = 2\n'
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "samespace"]
    done = subprocess.run(
        [*command, "train", str(config), "--no-doctor"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    record = json.loads((tmp_path / "model" / "run.json").read_text())
    assert (record["processes"], record["steps"]) == (2, 4)
    assert done.stdout.decode().count("export it") == 1
