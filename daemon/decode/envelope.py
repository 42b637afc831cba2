"""What is said of a record's bytes before, or when, a parser does not: depth, lone surrogates."""

from __future__ import annotations

import re

import numpy as np

BOM = b"\xef\xbb\xbf"
CEILING = 256  # of depth: beyond it the parser's own stack would decide, which varies by caller

# In the place of a lone surrogate: a noncharacter (never for interchange) of the same length,
# spelled as no encoder spells it. tests/unit/test_bad_records.py, input 7.
MARK = rb"\ufDd0"

_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # possessive: linear time
_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # +1 and -1 as int8
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: left alone
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def too_deep(document: bytes, depth: int) -> bool:
    """True if brackets outside strings nest deeper than `depth`. Linear; needs no valid JSON."""
    brackets = _STRINGS.sub(b"", document).translate(_STEPS, delete=_NO_BRACKETS)
    if not brackets:
        return False
    levels = np.cumsum(np.frombuffer(brackets, dtype=np.int8), dtype=np.int64)
    return int(levels.max()) > depth


def mark_lone_surrogates(document: bytes) -> bytes:
    r"""The document with MARK for each `\ud800`..`\udfff` escape that is not half of a pair.

    RFC 8259, section 8.2: the grammar allows them and what a reader does is unpredictable.
    """
    return _ESCAPES.sub(lambda hit: MARK if hit["lone"] else hit[0], document)
