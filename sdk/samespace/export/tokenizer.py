"""The artifact's tokenizer.json: one canonical form, so that equal tokenizers have equal digests."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, normalizers

from ..artifact.fingerprint import canonical_json
from ..errors import ModelUnsupported


def canonical_tokenizer(root: Path, source: str, *, lower: bool = False) -> bytes:
    """The bytes of tokenizer.json without truncation and padding, as `tokenizers` writes it, keys sorted.

    Args:
        root: the folder of the tokenizer.
        source: the model's name, for errors.
        lower: lower-case texts first (sentence-transformers' `do_lower_case`).
    """
    import json

    path = root / "tokenizer.json"
    if path.exists():
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # noqa: BLE001 - the Rust side raises plain Exception
            raise ModelUnsupported(
                model=source, reason=f"tokenizer.json cannot be read: {error}", remedy="save the tokenizer anew"
            ) from error
    else:
        tokenizer = _converted(root, source)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if lower:
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer is not None else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    return canonical_json(json.loads(tokenizer.to_str()))


def _converted(root: Path, source: str) -> Tokenizer:
    """A fast tokenizer from a folder that only has the slow one's files."""
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(root, trust_remote_code=False)
    if not getattr(loaded, "is_fast", False):
        raise ModelUnsupported(
            model=source,
            reason=f"its tokenizer {type(loaded).__name__} has no fast form",
            remedy="convert it to a tokenizer.json",
        )
    tokenizer: Tokenizer = loaded.backend_tokenizer
    return tokenizer
