"""More training documents, made from the training documents alone: other mentions, other words, or another order.

Source: Dai and Adel 2020, An Analysis of Simple Data Augmentation for Named Entity Recognition. They change sentences;
here whole documents are changed, and within a copy each mention is changed alike wherever it occurs. A mention is an
entity's type and its words, in any case of letters.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from recipe.data.documents import Document, Sentence, list_sentences
from recipe.data.schemes import list_entities
from recipe.seeds import derive_seed

Method = Callable[[Sequence[Document], float, int], list[Document]]  # documents, rate and seed -> a copy of each
Mention = tuple[str, tuple[str, ...]]
Edit = Sequence[int | str]  # the new words of a segment; a number stands for one of its own words
Plan = Callable[[str, Sequence[str]], Edit]  # type ("" outside of entities) and words of a segment -> its edit


def augment(
    documents: Sequence[Document], methods: Mapping[str, Method], copies: int, rate: float, seed: int
) -> dict[str, list[Document]]:
    """By the name of each method, `copies` changed copies of all documents, which stay as they are themselves.

    documents: tagged in IOB2, and so are the copies. rate: share of the mentions, words or segments to change.
    The same arguments give the same copies.
    """
    return {
        name: [copy for number in range(copies) for copy in method(documents, rate, derive_seed(seed, name, number))]
        for name, method in methods.items()
    }


def replace_mentions(documents: Sequence[Document], rate: float, seed: int) -> list[Document]:
    """Replace mentions by other mentions of their types from all documents.

    Different mentions of a document stay different. A mention stays as it is if no other one of its type is left.
    """
    known = _collect_mentions(documents)

    def make_plan(document: Document, draw: random.Random) -> Plan:
        own, chosen = _list_mentions(document), dict[Mention, Edit]()
        for kind, mentions in groupby(sorted(own), lambda mention: mention[0]):
            changed = [mention for mention in mentions if draw.random() < rate]
            others = [words for mention, words in known[kind].items() if mention not in own]
            chosen |= zip(changed, draw.sample(others, min(len(changed), len(others))), strict=False)
        return lambda kind, words: chosen.get(_name_mention(kind, words), range(len(words)))

    return _copy(documents, seed, make_plan)


def replace_tokens(documents: Sequence[Document], rate: float, seed: int) -> list[Document]:
    """Replace words by words with the same tag from all documents, drawn as often as they occur there."""
    known = _collect_words(documents)

    def make_plan(document: Document, draw: random.Random) -> Plan:
        def plan(kind: str, words: Sequence[str]) -> Edit:
            tags = _spell_tags(kind, len(words))
            return [draw.choice(known[tag]) if draw.random() < rate else place for place, tag in enumerate(tags)]

        return plan

    return _copy(documents, seed, make_plan)


def shuffle_segments(documents: Sequence[Document], rate: float, seed: int) -> list[Document]:
    """Shuffle the words of segments. A segment is an entity, or all words between two entities of a sentence."""

    def make_plan(document: Document, draw: random.Random) -> Plan:
        def plan(kind: str, words: Sequence[str]) -> Edit:
            order = list(range(len(words)))
            if draw.random() < rate:
                draw.shuffle(order)
            return order

        return plan

    return _copy(documents, seed, make_plan)


METHODS: dict[str, Method] = {"mentions": replace_mentions, "tokens": replace_tokens, "segments": shuffle_segments}


def _copy(
    documents: Sequence[Document], seed: int, make_plan: Callable[[Document, random.Random], Plan]
) -> list[Document]:
    """A copy of each document, changed by a plan of its own, whose draws do not depend on other documents."""
    draws = [random.Random(derive_seed(seed, number)) for number in range(len(documents))]
    plans = map(make_plan, documents, draws)
    return [_rewrite(document, plan) for document, plan in zip(documents, plans, strict=True)]


def _rewrite(document: Document, plan: Plan) -> Document:
    """A copy of a document with each segment edited; the first occurrence of a mention decides for all of them."""
    edits: dict[Mention, Edit] = {}
    copy = Document()
    for sentence in document.sentences:
        words, tags = [], []
        for start, stop, kind in _list_segments(sentence.tags):
            own = sentence.words[start:stop]
            name = _name_mention(kind, own)
            edit = edits.get(name) or plan(kind, own)
            if kind:
                edits[name] = edit
            new = [own[word] if isinstance(word, int) else word for word in edit]
            words += _match_case(new, sentence.words, start)
            tags += _spell_tags(kind, len(new))
        copy.sentences.append(Sentence(words, tags, sentence.place))
    return copy


def _match_case(words: list[str], sentence: Sequence[str], start: int) -> list[str]:
    """The new words of a segment, in capitals or with a first capital if the `sentence` had these at `start`."""
    if _is_capitals(sentence):
        return [word.upper() for word in words]
    if start == 0 and sentence[0][:1].isupper():
        return [words[0][:1].upper() + words[0][1:], *words[1:]]
    return words


def _is_capitals(words: Sequence[str]) -> bool:
    """Whether the words of a sentence are written in capitals, as in many headlines; signs and numbers do not count."""
    return " ".join(words).isupper()


def _list_segments(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """All words of a sentence as `(start, stop, type)`: its entities, and the words between them with type ""."""
    segments, last = [], 0
    for start, stop, kind in [*list_entities(tags), (len(tags), len(tags), "")]:
        segments += [(last, start, "")] * (start > last)
        segments += [(start, stop, kind)] * (stop > start)
        last = stop
    return segments


def _spell_tags(kind: str, length: int) -> list[str]:
    return [f"B-{kind}", *[f"I-{kind}"] * (length - 1)] if kind else ["O"] * length


def _name_mention(kind: str, words: Sequence[str]) -> Mention:
    return kind, tuple(word.casefold() for word in words)


def _list_mentions(document: Document) -> set[Mention]:
    return {
        _name_mention(kind, sentence.words[start:stop])
        for sentence in document.sentences
        for start, stop, kind in list_entities(sentence.tags)
    }


def _collect_mentions(documents: Sequence[Document]) -> dict[str, dict[Mention, list[str]]]:
    """By type, each mention and its first spelling.

    Mentions that occur only in sentences in capitals are left out, because their usual spelling is not known, unless
    there are no others of their type.
    """
    usual, capitals = defaultdict(dict), defaultdict(dict)
    for sentence in list_sentences(documents):
        found = capitals if _is_capitals(sentence.words) else usual
        for start, stop, kind in list_entities(sentence.tags):
            words = sentence.words[start:stop]
            found[kind].setdefault(_name_mention(kind, words), words)
    return capitals | usual


def _collect_words(documents: Sequence[Document]) -> dict[str, list[str]]:
    """By tag, all its words, as often as they occur.

    Words in sentences in capitals, and words outside of entities at the start of a sentence, are left out, because
    their usual spelling is not known, unless there are no others of their tag.
    """
    usual, others = defaultdict(list), defaultdict(list)
    for sentence in list_sentences(documents):
        capitals = _is_capitals(sentence.words)
        for place, (word, tag) in enumerate(zip(sentence.words, sentence.tags, strict=True)):
            (others if capitals or (tag == "O" and place == 0) else usual)[tag].append(word)
    return others | usual
