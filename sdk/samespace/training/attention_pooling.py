"""The name under which model folders of 0.1 know attention pooling; it is in `samespace.model.attention_pooling`.

sentence-transformers imports the class by this name when it loads such a folder, so the name has to stay.
"""

from __future__ import annotations

from ..model.attention_pooling import AttentionPooling

__all__ = ["AttentionPooling"]
