"""A description → kind, look, colour, scene and motion, each with a score, or None where nothing is near enough.

A word that literally appears wins with score 1. Otherwise the nearest concept: for each phrase the mean of two cosines,
to the nearest run of up to three telling words of the text and to all its telling words; the best phrase must reach the
axis's least score and be ahead of every other concept.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trainables.generator.text.concepts import COLOURS, KINDS, LOOKS, MOTIONS, SCENES, Concept
from trainables.generator.text.embedding import MAX_CHARACTERS, text_embedder

LONGEST_RUN = 3
MAX_WORDS = 120
"""Words of a description that are read."""


@dataclass(frozen=True)
class Scored:
    """A concept and how sure it is."""

    name: str
    score: float
    """1 for a word that appears, else a mean of cosines to the nearest phrase, 0…1."""


@dataclass(frozen=True, kw_only=True)
class Understanding:
    """What a description asks for; None where it does not say."""

    kind: Scored | None
    look: Scored | None
    colour: Scored | None
    scene: Scored | None
    motion: Scored | None


@dataclass(frozen=True)
class _Axis:
    concepts: tuple[Concept, ...]
    least: float
    """Least score that counts, 0…1."""
    margin: float
    """How far the nearest concept must be ahead of the second."""


AXES = {
    "kind": _Axis(KINDS, 0.58, 0.06),
    "look": _Axis(LOOKS, 0.55, 0.05),
    "colour": _Axis(COLOURS, 0.65, 0.05),
    "scene": _Axis(SCENES, 0.6, 0.05),
    "motion": _Axis(MOTIONS, 0.62, 0.05),
}
_HEAD_WORDS = """
ring cup cap cream peach lemon lime plum pepper potato toy watch plate chain knife pan beetle runner radio seat urn
pickup cereal sponge polo fruit tote kettle shades coat football dice beaker bottle bowl boot
"""
IN_HEAD_ALONE = frozenset(_HEAD_WORDS.split())
"""Words for a kind that also stand for a part, a colour or a purpose: they settle it in the first clause alone."""

_WORD = re.compile(r"[a-z0-9]+(?:['’-][a-z0-9]+)*")
_NEGATION = re.compile(
    r"\b(?:no|not|without|never|nor|isn't|instead of|rather than|unlike)\s+(?:(?:a|an|any|the)\s+)?$"
)
_FILMING = re.compile(
    r"\bcamera\s+(?:\w+ly\s+)?(?:zooms|zooming|pans?|panning|push(?:es)?|orbit(?:s|ing)?|circl(?:es|ing)|travels?|moves?"
    r"|movement|slides?|glides?|sweeps?|stays?)\b|\blocked camera\b"
)
_CLAUSE_END = re.compile(
    r"[,.;:!?()|\n]|\s[–—-]\s|\b(?:with|for|in|on|from|that|which|of|by|at|to|and holds?|is|are|has|can|whose)\b"
)
_STOP_WORDS = """
a an the and or of in on at to for from with by is are be it its this that these those as very more most so than then
there here you your our we i they them his her their can will has have had was were been not no also only just like if
but into over under out up down off all any each every some such too between about after before when while which who
whom whose what where how one two three new
"""
_STOP = frozenset(_STOP_WORDS.split())


def understand(text: str) -> Understanding:
    """Read a product description, any language the phrases share words with (they are English)."""
    plain = _plain(text)
    found = {axis: _literal(axis, plain) for axis in AXES}
    missing = [axis for axis, scored in found.items() if scored is None]
    words = _WORD.findall(_without_unmeant(plain))[:MAX_WORDS]
    if missing and (runs := _runs(words)):
        telling = " ".join(word for word in words if word not in _STOP)
        *runs_NE, whole_E = text_embedder().embed([*runs, telling])
        for axis in missing:
            found[axis] = _nearest(axis, np.stack(runs_NE), whole_E)
    return Understanding(**found)


def _plain(text: str) -> str:
    """Lower case, with the apostrophes, hyphens and wide letters that word processors put in as they are typed."""
    folded = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])[:MAX_CHARACTERS]
    return folded.lower().replace("’", "'").replace("‐", "-")


def _meant(match: re.Match[str]) -> bool:
    """Whether a word stands for what is wanted: not after a negation, and not for the camera that films."""
    negated = _NEGATION.search(match.string[max(0, match.start() - 24) : match.start()])
    return not negated and not _films(match)


def _films(kind: re.Match[str]) -> bool:
    """Whether a word for a kind stands in a phrase about the camera that films: it zooms, pans or circles, as no
    product does.
    """
    return kind.re is _pattern("kind") and any(
        phrase.start() <= kind.start() < phrase.end() for phrase in _FILMING.finditer(kind.string)
    )


def _without_unmeant(text: str) -> str:
    """The text without the words that are not meant: what is near them in sense is not meant either."""
    for axis in AXES:
        text = _pattern(axis).sub(lambda match: match.group() if _meant(match) else ",", text)
    return text


def _literal(axis: str, text: str) -> Scored | None:
    """The word that settles an axis: the first that is not negated. For a kind, the last one of the first clause, where
    English puts the noun that is meant ("leather doctor bag with a camera pocket"), else the first one after it.
    """
    matches = [match for match in _pattern(axis).finditer(text) if _meant(match)]
    if axis == "kind" and matches:
        end = _CLAUSE_END.search(text)
        head = [match for match in matches if end is None or match.end() <= end.start()]
        rest = [match for match in matches if match.group(1) not in IN_HEAD_ALONE]
        matches = head[-1:] or rest
    return Scored(_words(axis)[matches[0].group(1)], 1.0) if matches else None


@lru_cache(maxsize=len(AXES))
def _words(axis: str) -> dict[str, str]:
    """Word → concept."""
    return {word: concept.name for concept in AXES[axis].concepts for word in concept.words}


@lru_cache(maxsize=len(AXES))
def _pattern(axis: str) -> re.Pattern[str]:
    longest_first = sorted(_words(axis), key=len, reverse=True)
    return re.compile(r"(?<![\w-])(" + "|".join(map(re.escape, longest_first)) + r")(?:s|es)?(?!\w)")


def _runs(words: list[str]) -> list[str]:
    """Runs of one to three words that do not begin or end with a stop word, without repeats."""
    runs = {
        " ".join(words[start : start + length])
        for length in range(1, LONGEST_RUN + 1)
        for start in range(len(words) - length + 1)
        if words[start] not in _STOP and words[start + length - 1] not in _STOP
    }
    return sorted(runs)


@lru_cache(maxsize=len(AXES))
def _phrases(axis: str) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (P, E) of an axis's phrases and the concept each belongs to (P,)."""
    concepts = AXES[axis].concepts
    owners = [index for index, concept in enumerate(concepts) for _ in concept.phrases]
    return text_embedder().embed([phrase for concept in concepts for phrase in concept.phrases]), np.array(owners)


def _nearest(axis: str, runs_NE: np.ndarray, whole_E: np.ndarray) -> Scored | None:
    phrases_PE, owners_P = _phrases(axis)
    score_P = ((phrases_PE @ runs_NE.T).max(1) + phrases_PE @ whole_E) / 2
    concepts = AXES[axis].concepts
    scores = np.array([score_P[owners_P == index].max() for index in range(len(concepts))])
    first, second = np.argsort(-scores)[:2]
    if scores[first] < AXES[axis].least or scores[first] - scores[second] < AXES[axis].margin:
        return None
    return Scored(concepts[first].name, round(float(scores[first]), 4))


def names(axis: str) -> Sequence[str]:
    """The concepts of an axis (kind, look, colour, scene, motion)."""
    return [concept.name for concept in AXES[axis].concepts]
