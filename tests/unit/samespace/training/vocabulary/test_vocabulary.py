"""Whole-word entries for domain terms, in the three kinds of vocabulary."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("sentence_transformers", reason="needs the extra train")

from click.testing import CliRunner  # noqa: E402 - after the skip
from tokenizers import Tokenizer  # noqa: E402

from fakes.models.architectures import TOKENIZERS, save_tiny  # noqa: E402
from samespace.cli.training.vocab import vocab  # noqa: E402
from samespace.errors import ConfigInvalid, DataInvalid, ModelUnsupported  # noqa: E402
from samespace.model.checkpoint import CheckpointEncoder, load_checkpoint  # noqa: E402
from samespace.training.pretraining.domain import read_domain  # noqa: E402
from samespace.training.vocabulary.coverage import add_terms, first_new_id  # noqa: E402
from samespace.training.vocabulary.extension import extend  # noqa: E402
from samespace.training.vocabulary.terms import Term, find_terms  # noqa: E402

TEXTS = [
    "We gave metformin for thrombocytopenia, not Metformin.",
    "metformin and thrombocytopenia",
    "the metformin (and metformin) was late: thrombocytopenia!",
] * 3
OTHERS = [
    "metforminase xmetformin micrometformins",
    "metfor min, thrombo-cytopenie",
    "Grüße 4711 an_error in the list of values",
    "",
]
FAMILIES = {"bert": "wordpiece", "roberta": "byte_bpe_roberta", "gte": "unigram_roberta", "llama": "bpe_gemma"}


def extended(name: str, texts: list[str] = TEXTS) -> tuple[Tokenizer, Tokenizer, list[Term]]:
    """A tiny tokenizer, the same with terms of *texts*, and these."""
    before = Tokenizer.from_buffer(TOKENIZERS[name]())
    after, terms = add_terms(before, find_terms(before, texts, 20))
    return before, after, terms


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    return list(tokenizer.encode(text, add_special_tokens=False).tokens)


@pytest.mark.parametrize("name", ["wordpiece", "byte_bpe_roberta", "unigram_roberta", "unigram_t5"])
def test_a_term_becomes_one_token(name: str) -> None:
    """In a sentence, in brackets, and before punctuation; what stands around it keeps its tokens."""
    before, after, terms = extended(name)
    assert {"metformin", "thrombocytopenia"} <= {term.text for term in terms}
    for text in ("we gave metformin for it", "we gave metformin, late"):
        assert [token.strip("Ġ▁") for token in tokens(after, text)].count("metformin") == 1
        (term,) = (
            term for term in terms if term.piece.strip("Ġ▁") == "metformin" and term.piece in tokens(after, text)
        )
        old, new = tokens(before, text), tokens(after, text)
        place = new.index(term.piece)
        assert len(old) - len(new) == len(term.pieces) - 1
        assert old[:place] == new[:place] and old[place + len(term.pieces) :] == new[place + 1 :]


@pytest.mark.parametrize("name", ["wordpiece", "byte_bpe_roberta", "bpe_gemma"])
def test_no_other_word_is_divided_in_another_way(name: str) -> None:
    """Longer words that begin or end with a term, or hold it, keep the ids that they had."""
    before, after, terms = extended(name)
    assert terms
    for text in OTHERS:
        assert before.encode(text).ids == after.encode(text).ids


def test_unigram_keeps_words_but_those_that_began_with_all_of_the_pieces() -> None:
    """Inside a word nothing moves; in front, the entry stands for the very pieces that stood there."""
    before, after, terms = extended("unigram_roberta")
    (term,) = (each for each in terms if each.text == "metformin")
    for text in OTHERS[1:]:
        assert before.encode(text).ids == after.encode(text).ids
    old, new = tokens(before, "metforminase"), tokens(after, "metforminase")
    assert new in (old, [term.piece, *old[len(term.pieces) :]])


def test_terms_survive_lower_casing() -> None:
    """Capitals and accents go before the word is looked up, as for every other word."""
    _, after, _ = extended("wordpiece")
    assert tokens(after, "METFORMIN Metfórmin") == ["metformin", "metformin"]


def test_a_vocabulary_that_tells_case_apart_gets_the_forms_that_occur() -> None:
    """Byte-level BPE: with a space in front or not, with a capital or not, each counts by itself."""
    texts = ["metformin Metformin metformin"] * 5
    _, after, terms = extended("byte_bpe_roberta", texts)
    assert [(term.piece, term.count) for term in terms] == [
        ("ĠMetformin", 5), ("metformin", 5), ("Ġmetformin", 5)
    ]  # fmt: skip
    assert tokens(after, "metformin Metformin metformin") == ["metformin", "ĠMetformin", "Ġmetformin"]
    assert len(tokens(after, "a METFORMIN")) > 4


def test_what_saves_most_comes_first() -> None:
    """Tokens saved: occurrences times tokens beyond the first, counted by hand."""
    tokenizer = Tokenizer.from_buffer(TOKENIZERS["wordpiece"]())
    terms = find_terms(tokenizer, ["abcdef " * 5 + "xyz " * 20 + "rare " * 4 + "the " * 90 + "12345 " * 9], 10)
    assert [(term.text, term.count, len(term.pieces), term.saved) for term in terms] == [
        ("xyz", 20, 3, 40),
        ("abcdef", 5, 6, 25),
    ]
    assert [term.text for term in find_terms(tokenizer, ["abcdef " * 5 + "xyz " * 20], 1)] == ["xyz"]


def test_ids_follow_the_highest_one() -> None:
    """Also where tokens were added behind the end of a Unigram list, whose places are the ids."""
    before = Tokenizer.from_buffer(TOKENIZERS["unigram_roberta"]())
    before.add_special_tokens(["<mask>", "<other>"])
    first = first_new_id(before)
    after, terms = add_terms(before, find_terms(before, TEXTS, 20))
    assert [after.token_to_id(term.piece) for term in terms] == list(range(first, first + len(terms)))
    assert after.token_to_id("<other>") == first - 1
    assert after.encode("<mask> the list <other>").ids == before.encode("<mask> the list <other>").ids


def test_a_tokenizer_without_words_is_refused() -> None:
    """No pre-tokenizer: an entry could not be kept to whole words."""
    tokenizer = Tokenizer.from_buffer(TOKENIZERS["bpe_gemma"]())
    value = json.loads(tokenizer.to_str())
    value["pre_tokenizer"] = None
    with pytest.raises(ModelUnsupported, match="does not divide texts into words"):
        find_terms(Tokenizer.from_str(json.dumps(value)), TEXTS, 5)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_folder_is_read_alike_by_everybody(name: str, tmp_path: Path) -> None:
    """sentence-transformers and samespace give the same vectors, also after it was saved again, as training does."""
    from sentence_transformers import SentenceTransformer

    (tmp_path / "texts.txt").write_text("\n".join(f"{text} ({number})" for number, text in enumerate(TEXTS)))
    made = extend(str(save_tiny(tmp_path / "base", name)), read_domain(tmp_path / "texts.txt"), tmp_path / "out", 5, {})
    base, after = load_checkpoint(tmp_path / "base"), load_checkpoint(tmp_path / "out")
    assert base.identity.space_id() != after.identity.space_id()
    assert made.after["passage"].tokens < made.before["passage"].tokens
    assert made.record["better_than_base"] is None
    theirs = SentenceTransformer(str(tmp_path / "out"), device="cpu")
    ours = np.asarray(CheckpointEncoder(after).encode(TEXTS[:3], "passage"))
    assert np.abs(theirs.encode(TEXTS[:3], normalize_embeddings=True) - ours).max() < 1e-5  # float32, other batches
    theirs.save_pretrained(str(tmp_path / "again"))
    again = load_checkpoint(tmp_path / "again")
    assert again.tokenizer == after.tokenizer


def test_a_new_embedding_is_the_mean_of_its_pieces(tmp_path: Path) -> None:
    """And the old ones stay as they were."""
    folder = save_tiny(tmp_path / "base", "bert")
    (tmp_path / "texts.txt").write_text("\n".join(f"{text} ({number})" for number, text in enumerate(TEXTS)))
    made = extend(str(folder), read_domain(tmp_path / "texts.txt"), tmp_path / "out", 5, {})
    with pytest.raises(ConfigInvalid, match="exists already"):
        extend(str(folder), read_domain(tmp_path / "texts.txt"), tmp_path / "out", 5, {})
    old, new = (
        load_checkpoint(place).module.backbone.get_input_embeddings().weight for place in (folder, tmp_path / "out")
    )
    assert torch.equal(new[: len(old)], old) and len(new) == len(old) + len(made.terms)
    for place, term in enumerate(made.terms):
        assert torch.allclose(new[len(old) + place], old[list(term.pieces)].mean(dim=0))


def test_a_vocabulary_that_fits_is_left_alone(tmp_path: Path) -> None:
    """Nothing is written, and the reason is said."""
    (tmp_path / "texts.txt").write_text("the list\nof a vector")
    folder = save_tiny(tmp_path / "base", "bert")
    with pytest.raises(DataInvalid, match="its vocabulary fits"):
        extend(str(folder), read_domain(tmp_path / "texts.txt"), tmp_path / "out", 5, {})
    assert not (tmp_path / "out").exists()


def test_the_command_scores_and_does_not_flatter(tmp_path: Path) -> None:
    """A random model is no better for its terms; the record says so, which is what export asks."""
    data = tmp_path / "set"
    (data / "qrels").mkdir(parents=True)
    texts = [f"metformin thrombocytopenia number {number} {word}" for number, word in enumerate("abcdefghij")]
    rows = [{"_id": str(number), "text": text} for number, text in enumerate(texts)]
    for name in ("corpus", "queries"):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (data / "qrels" / "train.tsv").write_text("0\t0\t1\n1\t1\t1\n")
    (data / "qrels" / "dev.tsv").write_text("".join(f"{number}\t{number}\t1\n" for number in range(2, 10)))
    base, out = save_tiny(tmp_path / "base", "bert"), tmp_path / "out"
    result = CliRunner().invoke(vocab, ["extend", str(base), str(data), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "NOT better than its base" in result.output and "new space, untrained" in result.output
    assert json.loads((out / "run.json").read_text())["better_than_base"] is False
