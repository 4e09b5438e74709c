"""Probes: reference texts with their fp32 vectors, the proof that a machine computes the artifact's space.

They go through everything that a real text goes through (prompt, tokenizer, windows, batch padding), so an
agreement on them is an agreement on the path and not on the graph alone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import ArtifactDamaged
from ..npz import read_arrays
from ..text import ROLES, Recipe, Role, lone_surrogate
from ..vectors import Float32, cosine_distance

MAX_PROBES: Final = 4096
MAX_UNPACKED_BYTES: Final = 64 << 20
MAX_TEXT_BYTES: Final = 8 << 20
_ARRAYS: Final = {"texts": "|u1", "roles": "|u1", "vectors": "<f4"}

SHORT: Final = (
    "a",
    "?",
    " ",
    "...",
    "vector",
    "How do I flatten a list of lists?",
    "error code 0x80070005 while installing the update",
    "Return the index of the first item whose value is equal to x.",
    "SELECT name FROM users WHERE created_at > now() - interval '7 days';",
    "for (int i = 0; i < n; ++i) { total += values[i]; }",
    "The patient was given 5 mg of warfarin daily; INR 2.3 on day 4.",
    "pharmacokinetics of tyrosine-kinase inhibitors in hepatocellular carcinoma",
    "MIXED case, ALL CAPS, and cAmElCaSe identifiers like getHTTPResponseCode",
    "https://example.org/a/b?c=d&e=%20f#g",
    "1234567890 3.14159 -17 1e-9 0xFF 12/31/1999 23:59:59",
    "tabs\tand\nnewlines\r\nand    many   spaces",
    "naïve café façade — “quoted” ‘text’ … £100 €200 ½ ²",
    "Wie kündige ich meinen Vertrag, ohne die Gebühren zu zahlen?",
    "¿Cómo puedo restablecer mi contraseña si olvidé el correo?",
    "Quels sont les délais de remboursement après un retour ?",
    "Как восстановить доступ к учётной записи?",
    "Πώς μπορώ να αλλάξω τη διεύθυνσή μου;",
    "如何重置我的密码？",
    "パスワードをリセットする方法を教えてください。",
    "비밀번호를 재설정하려면 어떻게 해야 하나요?",
    "كيف يمكنني إعادة تعيين كلمة المرور؟",
    "איך מאפסים את הסיסמה?",
    "मैं अपना पासवर्ड कैसे रीसेट करूं?",
    "ฉันจะรีเซ็ตรหัสผ่านได้อย่างไร",
    "🙂 emoji 👩‍👩‍👧‍👦 family 🇺🇳 flag ✅ done",
    "e\u0301 combining, \u200bzero width, \u00a0no-break space, ﬁ ligature",
    "[CLS] [SEP] [MASK] <s> </s> <pad> special tokens as plain text",
    "Antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "buffalo " * 24,
)
SENTENCES: Final = (
    "The encoder maps a text to a vector, and two vectors may be compared only inside one space.",
    "When the index was rebuilt, nobody noticed that the model behind the URL had been replaced.",
    "Dose reduction is recommended for patients with a creatinine clearance below 30 ml/min.",
    "The court held that the clause was void because it had not been brought to notice in time.",
    "If the socket is non-blocking and no data is available, the call fails at once.",
    "Boundary layers at high Mach numbers thicken under an adverse pressure gradient.",
    "Refunds are paid to the card that was used, usually within five working days.",
)


Distance = Callable[[npt.NDArray[Any], npt.NDArray[Any]], npt.NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Probes:
    """Texts, their roles, and the vectors that the fp32 reference gave them; (n, dim) float32.

    Attributes:
        distance: of rows from rows, as the artifact's kind measures it.
    """

    texts: tuple[str, ...]
    roles: tuple[Role, ...]
    vectors: Float32
    distance: Distance = cosine_distance

    def worst(self, vectors: Float32) -> float:
        """The largest distance between *vectors* and the reference; infinite where any is not finite."""
        if vectors.shape != self.vectors.shape or not np.isfinite(vectors).all():
            return float("inf")
        return float(self.distance(vectors, self.vectors).max())

    def to_bytes(self) -> bytes:
        """The bytes of `probes.npz`; equal probes give equal bytes."""
        buffer = io.BytesIO()
        texts = json.dumps(self.texts, ensure_ascii=True).encode("ascii")
        roles = np.array([ROLES.index(role) for role in self.roles], dtype=np.uint8)
        np.savez_compressed(buffer, texts=np.frombuffer(texts, dtype=np.uint8), roles=roles, vectors=self.vectors)
        return buffer.getvalue()

    @staticmethod
    def from_bytes(data: bytes, *, dims: int, file: str, distance: Distance = cosine_distance) -> Probes:
        """The inverse; refuses anything that is not a set of probes of *dims* dims."""
        try:
            arrays = read_arrays(io.BytesIO(data), _ARRAYS, most_bytes=MAX_UNPACKED_BYTES)
            if arrays["texts"].size > MAX_TEXT_BYTES:  # each start would encode them all
                raise ValueError(f"its texts have {arrays['texts'].size} bytes, at most {MAX_TEXT_BYTES} are read")
            texts = json.loads(arrays["texts"].tobytes())
            roles = [ROLES[code] for code in arrays["roles"].ravel().tolist()]
            vectors = arrays["vectors"]
        except (ValueError, IndexError, RecursionError) as error:
            raise ArtifactDamaged(file=file, reason=f"holds no probes: {error}") from error
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ArtifactDamaged(file=file, reason="probe texts have to be strings")
        if any(lone_surrogate(text) is not None for text in texts):
            raise ArtifactDamaged(file=file, reason="a probe text has a lone surrogate, which is not text")
        if not 1 <= len(texts) <= MAX_PROBES or len(roles) != len(texts) or vectors.shape != (len(texts), dims):
            raise ArtifactDamaged(
                file=file, reason=f"{len(texts)} texts, {len(roles)} roles, vectors {vectors.shape}, {dims} dims"
            )
        if not np.isfinite(vectors).all():
            raise ArtifactDamaged(file=file, reason="a probe vector is not finite")
        return Probes(tuple(texts), tuple(roles), vectors, distance)


def probe_texts(recipe: Recipe) -> tuple[tuple[str, ...], tuple[Role, ...]]:
    """The texts of a new artifact, with their roles: short ones in both, long ones around the token limit."""
    texts: list[str] = []
    roles: list[Role] = []
    for text in (*SHORT, *SENTENCES):
        for role in ROLES:
            texts.append(text)
            roles.append(role)
    # A sentence has about 16 tokens: one text near half the limit, one near it, one well past it.
    for share in (0.5, 0.95, 1.8):
        texts.append(_of_length(int(recipe.token_limit * share)))
        roles.append("passage")
    return tuple(texts), tuple(roles)


def pair_probes(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """(query, passage) pairs of a new reranker: each text as both, equal ones, and passages around the token limit."""
    texts = (*SHORT, *SENTENCES)
    pairs = [(texts[place - 1], text) for place, text in enumerate(texts)]
    pairs += [(text, text) for text in SENTENCES] + [("", SENTENCES[0]), (SENTENCES[0], "")]
    pairs += [(SENTENCES[1], _of_length(int(recipe.token_limit * share))) for share in (0.4, 0.8, 1.8)]
    return tuple((_short_query(query, recipe), passage) for query, passage in pairs)


def _short_query(query: str, recipe: Recipe) -> str:
    """A query that leaves room: a letter may be a token, and so may each of its bytes."""
    return query[: max(4, recipe.token_limit // 8)]


def _of_length(words: int) -> str:
    pieces: Sequence[str] = " ".join(SENTENCES).split()
    return " ".join(pieces[index % len(pieces)] for index in range(max(1, words)))
