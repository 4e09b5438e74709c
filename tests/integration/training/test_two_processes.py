"""Two processes train as one with both batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from safetensors.torch import load_file  # noqa: E402 - after the skip

pytestmark = pytest.mark.integration
SAME = 1e-6  # of float64 gradients, relative

WORKER = """
import json, os, sys
sys.path.insert(0, os.environ["TESTS"])
import torch
from torch import distributed
from fakes.models.pairs import make_collator, make_examples, texts
from samespace.training.losses.batch_loss import BatchLoss, LossSettings
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
    tests = Path(__file__).parents[2]
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


def write_run(base: Path, folder: Path) -> Path:
    """A set of 64 pairs and a configuration with a checkpoint after every step: 8 steps an epoch, or 4 of two."""
    (folder / "set").mkdir(parents=True)
    rows = [
        {"query": f"question {'abcdefgh'[i % 8]}{i}", "passage": f"answer {'hgfedcba'[i % 8]}{i} text"}
        for i in range(64)
    ]
    (folder / "set" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = folder / "config.toml"
    config.write_text(
        f'data = "set"\nout = "model"\nbase = "{base}"\nbatch_size = 8\nprecision = "fp32"\n'
        'on_collapse = "warn"\nlearning_rate = 1e-3\ncheckpoint_every = 1\n'
    )
    return config


def torchrun(*command: str, processes: int = 2, **environment: str) -> subprocess.CompletedProcess[bytes]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [*launcher, *command],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        timeout=280,
    )


def outcome(config: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record of a run that ended, and the weights."""
    folder = config.parent / "model"
    assert not (config.parent / ".model.checkpoints").exists()
    return json.loads((folder / "run.json").read_text()), load_file(folder / "model.safetensors")


def test_torchrun_trains_and_writes_once(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """`torchrun -m samespace train`: one folder, one voice, half the steps."""
    config = write_run(tiny_checkpoint, tmp_path)
    done = torchrun("-m", "samespace", "train", str(config), "--no-doctor")
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    record, _ = outcome(config)
    assert (record["processes"], record["steps"]) == (2, 4)
    assert done.stdout.decode().count("export it") == 1


def test_two_processes_keep_the_same_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """They look at the same steps, end in the same one, and mix the same seeds: nobody waits, and one speaks."""
    config = write_run(tiny_checkpoint, tmp_path)
    dev = [{"query": f"question {'hgfe'[i % 4]}{i}", "passage": f"answer {'abcd'[i % 4]}{i} text"} for i in range(20)]
    (tmp_path / "set" / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in dev))
    keys = {"epochs": 4, "keep": "best", "looks": 8, "patience": 2, "ema": 0.7, "seeds": 2, "held_out_splits": ["dev"]}
    settings = [word for key, value in keys.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    done = torchrun("-m", "samespace", "train", str(config), "--no-doctor", *settings)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    record, _ = outcome(config)
    kept, told = record["kept"], done.stderr.decode()
    assert record["processes"] == 2 and len(kept["runs"]) == 2 and record["steps"] == kept["looks"][-1]["step"] <= 16
    assert told.count("kept: ") == 1 and told.count("seed 2: ") == 1


# Ends itself without warning in the third step, once: the file that FELL names says that it did.
FALLS = """
import os, signal, sys
from pathlib import Path
from samespace.training.losses.batch_loss import BatchLoss

fell, calls, forward = Path(os.environ["FELL"]), [0], BatchLoss.forward

def falls(self, batch):
    calls[0] += 1
    if os.environ["RANK"] == "1" and calls[0] == 3 and not fell.exists():
        fell.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, batch)

BatchLoss.forward = falls
sys.argv = ["samespace", *sys.argv[1:]]
from samespace.__main__ import main
main()
"""


def test_a_rank_that_is_killed_is_started_again(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """torchrun starts both again, they go on from the last checkpoint, and the weights are those of a quiet run.

    Three restarts, because gloo now and then does not connect at once.
    """
    script = tmp_path / "falls.py"
    script.write_text(FALLS)
    quiet, disturbed = (write_run(tiny_checkpoint, tmp_path / name) for name in ("quiet", "disturbed"))
    done = torchrun("-m", "samespace", "train", str(quiet), "--no-doctor")
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    fell = tmp_path / "fell"
    done = torchrun("--max-restarts=3", str(script), "train", str(disturbed), "--no-doctor", FELL=str(fell))
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert fell.exists()
    (record, weights), (expected_record, expected) = outcome(disturbed), outcome(quiet)
    assert record["loss"] == expected_record["loss"]
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_another_number_of_processes_goes_on(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Two steps of two processes are half of the epoch; one process does the other half in four steps."""
    script = tmp_path / "falls.py"
    script.write_text(FALLS)
    config = write_run(tiny_checkpoint, tmp_path)
    done = torchrun(str(script), "train", str(config), "--no-doctor", FELL=str(tmp_path / "fell"))
    assert done.returncode != 0
    assert not (tmp_path / "model").exists()
    done = subprocess.run(
        [sys.executable, "-m", "samespace", "train", str(config), "--no-doctor"], capture_output=True, timeout=280
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    record, _ = outcome(config)
    assert (record["processes"], record["steps"], record["epochs"]) == (1, 2 + 4, 1.0)
