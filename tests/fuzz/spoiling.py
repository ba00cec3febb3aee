"""Files of every format, made up and then spoilt: bytes are removed, inserted and moved, values change their type."""

import copy
import json
import random

from hypothesis import strategies as st

from recipe.data.schemes import to_iob2

KINDS = ["PER", "LOC", "work-of-art", "Ø"]
WORDS = st.text(st.sampled_from("abcMOé漢.-,'1&\u0301\u200b"), min_size=1, max_size=6)
TAGS = st.sampled_from(["O", "O", *(f"{prefix}-{kind}" for prefix in "BI" for kind in KINDS)])
SENTENCES = st.lists(st.lists(st.tuples(WORDS, TAGS), min_size=1, max_size=5), min_size=1, max_size=4).map(
    lambda pairs: [([w for w, _ in sentence], to_iob2([t for _, t in sentence])) for sentence in pairs]
)
PIECES = [
    *(
        b"\0",
        b"\n",
        b"\r",
        b"\r\n",
        b"\t",
        b" ",
        b"\xff",
        b"\xc3",
        "\ufeff\u2028\x85".encode(),
        b"\xed\xa0\x80",
        b"\x1c",
    ),
    *(b"-DOCSTART-", b"# ", b"#begin document", b"B-", b"I-", b"O", b"(X*", b"*)", b"_", b"T1\t", b"0 1;2 3"),
    *(b'"', b"'", b",", b":", b"[", b"]", b"{", b"}", b"\\ud800", b"null", b"NaN", b"-Infinity", b"1e999", b"9" * 5000),
    *(b"[" * 1500, b"true", b"-1", b"- ", b"&a ", b"*a", b"<<: ", b"!!python/object:os.system ", b"!!binary ", b"? "),
    *(b"2020-13-41", b"0x", b"\x1f\x8b", b"PAR1", b"PK\x03\x04", b"&amp;", b"&#1114112;"),
]
ODD = [None, True, 0, -1, 7, 10**400, 0.5, float("nan"), float("inf"), "", " ", "a\nb", "\0", "\ud800", "../x", "O"]
ODD += [[], {}, [[]], [None], ["a"], [0, 1], {"": 1}, {"a": []}, [{}], "9" * 40]


def spoil(data: bytes, draw: random.Random) -> bytes:
    """The bytes with up to six random changes."""
    data = bytearray(data)
    for _ in range(draw.choice([1, 1, 1, 2, 3, 6])):
        at = draw.randrange(len(data) + 1)
        end = at + draw.choice([0, 0, 1, 1, 2, 3, draw.randint(0, 30)])
        source = draw.randrange(len(data) + 1)
        piece = draw.choice(
            [draw.choice(PIECES), draw.choice(PIECES), data[source : source + 12], b"", draw.randbytes(2)]
        )
        data[at:end] = piece
    return bytes(data[: draw.randrange(len(data) + 1)] if draw.random() < 0.05 else data)


def spoil_tree(tree: object, draw: random.Random) -> object:
    """What JSON can hold, with one to three values at random places replaced by odd ones, removed or repeated."""
    holder = [copy.deepcopy(tree)]
    for _ in range(draw.randint(1, 3)):
        node = holder
        while True:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            if not keys:
                break
            key = draw.choice(keys)
            if not isinstance(node[key], list | dict) or draw.random() < 0.2:
                _change(node, key, draw)
                break
            node = node[key]
    return holder[0] if holder else None


def _change(node: list | dict, key: object, draw: random.Random) -> None:
    way = draw.random()
    if way < 0.15:
        del node[key]
    elif way < 0.3:
        value = node[key]
        node[key] = [value, value]
    elif way < 0.4 and isinstance(node, dict):
        node[str(draw.choice(ODD))] = node.pop(key)
    else:
        node[key] = copy.deepcopy(draw.choice(ODD))


def render(name: str, content: object, draw: random.Random) -> bytes:
    """A file as bytes: text, or a tree, which the ending of `name` says how to write."""
    if isinstance(content, bytes):
        return content
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass")
    if name.endswith(".yaml") and isinstance(content, dict):
        return "\n".join(f"{key}: {json.dumps(value)}" for key, value in content.items()).encode("utf-8", "replace")
    if name.endswith(".jsonl") and isinstance(content, list):
        return "\n".join(map(json.dumps, content)).encode()
    return json.dumps(content, indent=draw.choice([None, None, 1])).encode()


def spoil_file(name: str, content: object, draw: random.Random) -> bytes:
    """A file whose values or bytes are spoilt, or both; sometimes nothing but random bytes."""
    if draw.random() < 0.02:
        return draw.randbytes(draw.randint(0, 60))
    is_tree, way = not isinstance(content, str | bytes), draw.random()
    if is_tree and way < 0.7:
        content = spoil_tree(content, draw)
    data = render(name, content, draw)
    return data if is_tree and way < 0.6 else spoil(data, draw)


def write_columns(sentences: list, end: str = "\n") -> str:
    """A column file of words and tags."""
    blocks = [end.join(f"{word} {tag}" for word, tag in zip(*sentence, strict=True)) for sentence in sentences]
    return (2 * end).join(["-DOCSTART- O", *blocks, ""])


def join_text(sentences: list) -> tuple[str, list[list]]:
    """The words as one text, and the entities in it as `[start, end, type]`."""
    text, spans = "", []
    for words, tags in sentences:
        for word, tag in zip(words, tags, strict=True):
            text += " " if text else ""
            if tag[0] == "B":
                spans.append([len(text), 0, tag[2:]])
            text += word
            if tag != "O":
                spans[-1][1] = len(text)
        text += " ."
    return text, spans
