"""Teachers against transformers and sentence-transformers, and what is kept of their answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from fakes.models.encoders import save_tiny_bert, save_tiny_cross_encoder  # noqa: E402 - after the skip
from samespace.errors import ConfigInvalid, DataInvalid, ModelUnsupported  # noqa: E402
from samespace.training.finetuning.config import make_config, read_config  # noqa: E402
from samespace.training.finetuning.teachers import (  # noqa: E402
    CrossEncoderTeacher,
    EncoderTeacher,
    ScoreFile,
    open_teacher,
)

PAIRS = [("reset the password", "how to reset"), ("refund", "error code in a file"), ("refund", "how to reset")]
SAME = 1e-5  # of logits and cosines in fp32, in batches of another padding


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_cross_encoder(tmp_path_factory.mktemp("models") / "cross", seed=5)


def logits(folder: Path) -> list[float]:
    """By transformers alone."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        return [float(model.eval()(**tokenizer(*pair, return_tensors="pt")).logits[0, 0]) for pair in PAIRS]


def test_a_cross_encoder_gives_its_logits(cross_encoder: Path, tmp_path: Path) -> None:
    """Not what a sigmoid makes of them: the scores are those of transformers on the folder."""
    teacher = open_teacher(str(cross_encoder), tmp_path / "cache")
    assert isinstance(teacher, CrossEncoderTeacher) and not teacher.cosines
    assert teacher.scores(PAIRS) == pytest.approx(logits(cross_encoder), abs=SAME)


def test_what_a_cross_encoder_said_is_kept_by_its_weights(cross_encoder: Path, tmp_path: Path) -> None:
    """A second reader asks the model nothing; other weights under the same name are another teacher."""
    first = open_teacher(str(cross_encoder), tmp_path / "cache")
    second = open_teacher(str(cross_encoder), tmp_path / "cache")
    other = open_teacher(str(save_tiny_cross_encoder(tmp_path / "cross", seed=6)), tmp_path / "cache")
    assert isinstance(second, CrossEncoderTeacher) and isinstance(other, CrossEncoderTeacher)
    assert first.scores(PAIRS) == second.scores(PAIRS)
    assert second.asked == 0
    assert other.scores(PAIRS) != first.scores(PAIRS) and other.asked == len(PAIRS)
    for file in (tmp_path / "teacher").iterdir():
        file.write_bytes(b"damaged" * 200)
    assert open_teacher(str(cross_encoder), tmp_path / "cache").scores(PAIRS) == pytest.approx(
        logits(cross_encoder), abs=SAME
    )


def test_a_classifier_of_several_classes_is_no_teacher(tmp_path: Path) -> None:
    """Three outputs, as of natural language inference, have no one score."""
    folder = save_tiny_cross_encoder(tmp_path / "nli", seed=5, labels=3)
    with pytest.raises(ModelUnsupported, match="3 outputs"):
        open_teacher(str(folder), tmp_path)


def test_an_encoder_gives_cosines(tmp_path: Path) -> None:
    """Those of sentence-transformers on the original folder; a text that was not read has no score."""
    from sentence_transformers import SentenceTransformer

    folder = save_tiny_bert(tmp_path / "large", seed=9)
    teacher = open_teacher(str(folder), tmp_path / "cache")
    assert isinstance(teacher, EncoderTeacher) and teacher.cosines
    teacher.read([query for query, _ in PAIRS], [passage for _, passage in PAIRS], lambda _: None)
    model = SentenceTransformer(str(folder))
    q, p = (model.encode([pair[side] for pair in PAIRS], normalize_embeddings=True) for side in (0, 1))
    assert teacher.scores(PAIRS) == pytest.approx(np.sum(q * p, axis=1).tolist(), abs=SAME)
    assert teacher.scores([("refund", "never read")]) == [None]


def test_a_file_of_scores_is_read_with_its_faults(tmp_path: Path) -> None:
    """A pair that is not there has no score; a line that is wrong is named."""
    file = tmp_path / "scores.jsonl"
    file.write_text('{"query": "a", "passage": "b", "score": 2}\n', encoding="utf-8")
    teacher = open_teacher(str(file))
    assert isinstance(teacher, ScoreFile)
    assert teacher.scores([("a", "b"), ("a", "c")]) == [2.0, None]
    file.write_text('{"query": "a", "passage": "b"}\n', encoding="utf-8")
    with pytest.raises(DataInvalid, match="line 1"):
        open_teacher(str(file))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"query": "a ", "passage": "b", "score": 3}', "line 2: 'a' and 'b' have the score 3, and 2 before; keep one"),
        ('{"query": "c", "passage": "b", "score": NaN}', "line 2: 'c' and 'b' have the score nan; expected a number"),
        ('{"query": "c", "passage": "b", "score": 1, "score": 2}', "line 2: has the key 'score' twice"),
    ],
)
def test_no_score_of_two_wins(tmp_path: Path, line: str, reason: str) -> None:
    """The last one did; one score that is said twice is one."""
    file = tmp_path / "scores.jsonl"
    first = '{"query": "a", "passage": "b", "score": 2}\n'
    file.write_text(first * 2, encoding="utf-8")
    assert open_teacher(str(file)).scores([("a", "b")]) == [2.0]
    file.write_text(first + line, encoding="utf-8")
    with pytest.raises(DataInvalid, match=reason):
        open_teacher(str(file))


def test_a_hub_name_is_no_path_beside_the_configuration(tmp_path: Path) -> None:
    """A folder or file beside the configuration is meant by its path, anything else is a hub's name."""
    file = tmp_path / "c.toml"
    file.write_text('data = "d"\nout = "o"\nloss = "listwise"\nteacher = "cross-encoder/some"\n', encoding="utf-8")
    assert read_config(file).teacher == "cross-encoder/some"
    (tmp_path / "cross-encoder" / "some").mkdir(parents=True)
    assert read_config(file).teacher == str(tmp_path / "cross-encoder" / "some")
    with pytest.raises(ConfigInvalid, match="listwise"):
        make_config({"data": "d", "out": "o", "teacher": "t"})
