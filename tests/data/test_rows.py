"""Files of rows, as annotation tools and data sets write them: each kind is read, or refused by its right name."""

import gzip
import json

import datasets
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipe.arguments import NerArguments
from recipe.data.documents import Notes, list_sentences
from recipe.data.splits import load_splits
from recipe.errors import RecipeError

TEXT = "Mara Okello left Oslo."
WORDS, TAGS = ["Mara", "Okello", "left", "Oslo", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"]
SPANS = [[0, 11, "PER"], [17, 21, "LOC"]]
LABELLED = [{"start": start, "end": end, "labels": [kind]} for start, end, kind in SPANS]
ROWS = {
    "doccano": {"id": 3, "text": TEXT, "label": SPANS},
    "doccano, labels": {"text": TEXT, "labels": SPANS},
    "doccano, entities": {
        "text": TEXT,
        "entities": [{"id": 1, "start_offset": s, "end_offset": e, "label": k} for s, e, k in SPANS],
        "relations": [],
    },
    "Label Studio": {"data": {"text": TEXT}, "annotations": [{"result": [{"value": part} for part in LABELLED]}]},
    "Label Studio, short": {"text": TEXT, "label": LABELLED},
    "Prodigy": {
        "text": TEXT,
        "tokens": [{"text": "Mara", "start": 0, "end": 4, "id": 0}],
        "spans": [{"start": s, "end": e, "label": k} for s, e, k in SPANS],
        "answer": "accept",
    },
    "spaCy": [TEXT, {"entities": SPANS}],
    "Dataturks": {
        "content": TEXT,
        "annotation": [{"label": [k], "points": [{"start": s, "end": e - 1, "text": TEXT[s:e]}]} for s, e, k in SPANS],
    },
    "words": {"words": WORDS, "tags": TAGS},
    "words and all names": {"tokens": WORDS, "ner_tags": TAGS, "label_names": ["O", "B-PER", "I-PER", "B-LOC"]},
    "words and numbers": {"tokens": WORDS, "tags": [1, 2, 0, 3, 0], "label_names": ["O", "B-PER", "I-PER", "B-LOC"]},
    "a text and its tags": {"text": " ".join(WORDS), "labels": " ".join(TAGS)},
    "a text and a list": {"text": " ".join(WORDS), "labels": TAGS},
}


def load(path, notes=None, **settings):
    found: dict[str, Notes] = {}
    documents = load_splits(NerArguments(train_file=[str(path)], **settings), ["train"], notes=found)["train"]
    if notes is not None:
        notes.append(found["train"])
    return documents


def list_pairs(documents):
    return [list(zip(s.words, s.tags, strict=True)) for s in list_sentences(documents)]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("layout", ["lines", "array", "pretty array", "compressed"])
def test_each_tool_s_rows_are_read(tmp_path, kind, layout):
    row, path = ROWS[kind], tmp_path / ("rows.jsonl" if layout == "lines" else "rows.json")
    if layout == "compressed":
        path = tmp_path / "rows.jsonl.gz"
        path.write_bytes(gzip.compress(json.dumps(row).encode()))
    else:
        rows = (
            f"{json.dumps(row)}\n" * 2 if layout == "lines" else json.dumps([row, row], indent=2 * (layout[0] == "p"))
        )
        path.write_text(rows)
    assert list_pairs(load(path))[0] == list(zip(WORDS, TAGS, strict=True))


def test_one_pair_alone_on_a_line_is_read(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROWS["spaCy"]))
    assert list_pairs(load(tmp_path / "rows.jsonl")) == [list(zip(WORDS, TAGS, strict=True))]


KAGGLE = 'Sentence #,Word,POS,Tag\nSentence: 1,Mara,NNP,B-per\n,left,VBD,O\n,"1,000",CD,O\nSentence: 2,Oslo,NNP,B-geo\n'


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", KAGGLE, [[("Mara", "B-per"), ("left", "O"), ("1,000", "O")], [("Oslo", "B-geo")]]),
        (
            "a.csv",
            "sentence_id,word,tag\n7,Mara,B-PER\n7,left,O\n8,Oslo,B-LOC\n",
            [[("Mara", "B-PER"), ("left", "O")], [("Oslo", "B-LOC")]],
        ),
        ("a.csv", "sentence_id;words;labels\n0;Mara;B-PER\n0;left;O\n", [[("Mara", "B-PER"), ("left", "O")]]),
        ("a.csv", "sentence_id,word,tag\n7,Mara,B-PER\n", [[("Mara", "B-PER")]]),
        ("a.csv", "sentence_id,word,tag\n7,Mara,B-PER\n7,,O\n", [[("Mara", "B-PER"), ("_", "O")]]),
        (
            "a.csv",
            "doc,sentence_id,word,tag\na,1,Mara,B-PER\na,,left,O\na,2,Oslo,B-LOC\n",
            [[("Mara", "B-PER"), ("left", "O")], [("Oslo", "B-LOC")]],
        ),
        ("a.csv", "sentence_id,word,tag\n0,New Oslo,B-LOC\n0,is,O\n", [[("New Oslo", "B-LOC"), ("is", "O")]]),
        ("a.csv", " sentence_id, Word ,TAG\n1,;,O\n1,;,B-PER\n", [[(";", "O"), (";", "B-PER")]]),
        ("a.csv", 'text,label\n"Mara\r\nleft","[[6, 10, ""X""]]"\n', [[("Mara", "O"), ("left", "B-X")]]),
        ("a.csv", "sentence_id,token,tag\r1,Mara,B-PER\r", [[("Mara", "B-PER")]]),
        ("a.csv", "sentence_id,text,labels\n1,Mara left,B-PER O\n", [[("Mara", "B-PER"), ("left", "O")]]),
        ("a.csv", "text,labels\nMara left,B-PER O\n", [[("Mara", "B-PER"), ("left", "O")]]),
        ("a.csv", "tokens,ner_tags\n\"['Mara', 'left']\",\"['B-PER', 'O']\"\n", [[("Mara", "B-PER"), ("left", "O")]]),
    ],
)
def test_tables_are_read(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    assert list_pairs(load(tmp_path / name)) == expected


LABELS = datasets.List(datasets.ClassLabel(names=["B-PER", "I-PER", "O", "B-LOC"]))
STRINGS = datasets.List(datasets.Value("string"))


def write_parquet(path, tags, kind):
    """Rows of WORDS with an id."""
    features = datasets.Features({"id": datasets.Value("int64"), "tokens": STRINGS, "ner_tags": kind})
    rows = {"id": list(range(len(tags))), "tokens": [WORDS] * len(tags), "ner_tags": tags}
    datasets.Dataset.from_dict(rows, features).to_parquet(path)


def test_parquet_files_are_read_with_the_names_of_their_labels(tmp_path):
    for kind, tags in ((LABELS, [0, 1, 2, 3, 2]), (STRINGS, TAGS)):
        write_parquet(tmp_path / "a.parquet", [tags], kind)
        assert list_pairs(load(tmp_path / "a.parquet")) == [list(zip(WORDS, TAGS, strict=True))]
    (tmp_path / "b.parquet").write_text("no table")
    with pytest.raises(RecipeError, match=r"b\.parquet: not a Parquet file"):
        load(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ([-1] * 5, "'-1' is not a tag"),  # a hidden tag, not the last label
        ([None] * 5, "'None' is not a tag"),
        (None, "an object with the keys id tokens ner_tags: expected"),
    ],
)
def test_parquet_rows_without_labels_are_refused_with_their_number(tmp_path, tags, message):
    write_parquet(tmp_path / "a.parquet", [[2, 2, 2, 3, 2], tags], LABELS)
    with pytest.raises(RecipeError, match=rf"a\.parquet:2: {message}"):
        load(tmp_path / "a.parquet")


def test_parquet_with_words_that_are_no_text_is_refused(tmp_path):
    rows = {"tokens": [["Mara\u00e9"]], "ner_tags": [["O"]]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content.replace("a\u00e9".encode(), b"a\xff\xff"))
    with pytest.raises(RecipeError, match=r"a\.parquet: not a Parquet file"):
        load(tmp_path / "a.parquet")


def test_parquet_with_other_metadata_than_those_of_datasets_is_refused(tmp_path):
    table = pyarrow.table({"tokens": [["Mara"]], "ner_tags": [["O"]]})
    features = {"huggingface": json.dumps({"info": {"features": "a"}})}
    pyarrow.parquet.write_table(table.replace_schema_metadata(features), tmp_path / "a.parquet")
    with pytest.raises(RecipeError, match=r"a\.parquet: not a Parquet file"):
        load(tmp_path / "a.parquet")


def test_an_array_may_begin_with_a_byte_order_mark_and_blank_lines(tmp_path):
    (tmp_path / "a.json").write_text("\ufeff\n " + json.dumps([ROWS["words"]], indent=1))
    assert read_all(tmp_path / "a.json") == list(zip(WORDS, TAGS, strict=True))


def test_a_file_its_scheme_and_its_spelling_are_noted(tmp_path):
    notes: list[Notes] = []
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": ["Mara", "left"], "ner_tags": ["PER", "O"]}))
    load(tmp_path / "a.jsonl", notes)
    place = f"{tmp_path}/a.jsonl"
    remarks = {"tags such as PER are read as type PER, without a prefix": (place, 1)}
    assert notes == [Notes(files=[place], schemes={"IOB1"}, remarks=remarks)]


def test_the_scheme_of_the_settings_counts(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": ["Mara"], "ner_tags": ["S-PER"]}))
    with pytest.raises(RecipeError, match=r"a.jsonl:1: .* the prefix S, which is not in the scheme IOB2"):
        load(tmp_path / "a.jsonl", tag_scheme="IOB2")


def test_numbers_get_their_names_from_a_setting(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": WORDS, "ner_tags": [1, 2, 0, 3, 0]}))
    names = ["O", "B-PER", "I-PER", "B-LOC"]
    assert list_pairs(load(tmp_path / "a.jsonl", tag_names=names)) == [list(zip(WORDS, TAGS, strict=True))]
    with pytest.raises(RecipeError, match=r"a.jsonl:1: the tag 3 is not one of the 3 tag_names"):
        load(tmp_path / "a.jsonl", tag_names=names[:3])
    with pytest.raises(RecipeError, match=r"a.jsonl:1: .* set tag_names"):
        load(tmp_path / "a.jsonl")
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": WORDS, "ner_tags": [1, 2, -1, 3, 0]}))
    with pytest.raises(RecipeError, match=r"a.jsonl:1: the tag -1 is not one of the 4 tag_names"):
        load(tmp_path / "a.jsonl", tag_names=names)


def test_spans_that_are_no_words_are_extended_left_out_and_counted(tmp_path):
    spans = [[0, 6, "PER"], [0, 4, "PER"], [16, 21, "LOC"], [11, 12, "X"]]  # cut, nested, with a blank, without a word
    (tmp_path / "a.jsonl").write_text("\n" + json.dumps({"text": TEXT, "label": spans}))
    notes: list[Notes] = []
    assert list_pairs(load(tmp_path / "a.jsonl", notes)) == [list(zip(WORDS, TAGS, strict=True))]
    place = f"{tmp_path}/a.jsonl:2"
    assert notes[0].remarks == {
        "span(s) cut words and were extended to whole words": (f"{place}: 'Mara O' to 'Mara Okello'", 1),
        "span(s) inside or across longer ones, or in the same word, were left out": (f"{place}: 'Mara', PER", 1),
        "span(s) without a word were left out": (place, 1),
    }


def test_an_entity_keeps_its_sentences_together(tmp_path):
    row = {"text": "See Dr. Who? Now! today. Oslo waits.", "label": [[8, 17, "ART"], [25, 29, "LOC"]]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    tags = [tag for s in list_sentences(load(tmp_path / "a.jsonl")) for tag in s.tags]
    assert [tag for tag in tags if tag != "O"] == ["B-ART", "I-ART", "I-ART", "I-ART", "B-LOC"]


def test_the_first_annotator_of_a_task_is_read_and_unfinished_tasks_are_left_out(tmp_path):
    first, second = ([{"value": part}] for part in LABELLED)
    rating = {"type": "choices", "value": {"choices": ["good"]}}
    annotations = [{"was_cancelled": True, "result": []}, {"result": [rating, *first]}, {"result": second}]
    rows = [{"data": {"text": TEXT}, "annotations": each} for each in (annotations, [], None, annotations[1:2])]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    notes: list[Notes] = []
    assert list_pairs(load(tmp_path / "a.json", notes)) == [list(zip(WORDS, [*TAGS[:3], "O", "O"], strict=True))] * 2
    assert notes[0].remarks == {
        "row(s) have several annotators, of whom the first was read": (f"{tmp_path}/a.json: item 1", 1),
        "row(s) without annotations were left out": (f"{tmp_path}/a.json: item 2", 2),
    }


def test_rejected_rows_are_left_out_and_counted(tmp_path):
    rows = [ROWS["Prodigy"], *(ROWS["Prodigy"] | {"answer": answer} for answer in ("reject", "ignore"))]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    notes: list[Notes] = []
    assert len(load(tmp_path / "a.jsonl", notes)) == 1
    assert notes[0].remarks == {"rejected row(s) were left out": (f"{tmp_path}/a.jsonl:2", 2)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "Oslo", "label": [[0, 9, "LOC"]]}', ":1: the span 0 to 9 .LOC. is not in the text, which has 4"),
        ('{"text": "Oslo", "label": [[0, "4", "LOC"]]}', r":1: .*expected a span .start, end, label."),
        ('{"text": "Oslo", "label": [[0, 4, ["A", "B"]]]}', "expected a span"),
        ('{"text": "Oslo"}', ":1: an object with the keys text: expected a list of words"),
        ('[{"q": 1, "a": 2}]', "item 1: an object with the keys q a: expected a list of words"),
        ("{}", r":1: an object with the keys \(none\): expected a list of words"),
        (
            "7",
            ":1: no object: expected a list of words in 'tokens' and a list of tags in 'ner_tags', "
            "or a text and spans: set text_column_name and label_column_name$",
        ),
        ("\n", "a.jsonl: no sentences: check the path"),
        ('{"data": {"body": "Oslo"}, "annotations": [{"result": []}]}', ":1: an object with the keys body: expected"),
        ('\n{\n"data": []}', "one JSON object with the keys data: expected an array of objects"),
        ('{"data": [\n{"q": 1}]}', "one JSON object with the keys data: expected an array of objects"),
        ('["Oslo",\n"LOC"]', ":1: not valid JSON: Expecting .*: fix the line"),
        ('{"tokens": ["a", 1], "ner_tags": ["O", "O"]}', ":1: an object with the keys tokens ner_tags"),
        ('{"tokens": ["a", "b"], "ner_tags": ["O"]}', ":1: 2 words but 1 tags"),
        ('{"text": "a b", "labels": "O"}', ":1: 2 words but 1 tags"),
        (
            '{"tokens": ["a"], "ner_tags": ["B-X"], "ner_tags": ["O"]}',
            ":1: not valid JSON: the key 'ner_tags' is there twice: fix the line",
        ),
        ('[\n{"text": "a",\n"label": [[0, 1, "X"]], "label": []}]', "a.jsonl: the key 'label' is there twice: rename"),
        ('{"text": "a b", "labels": ["O"]}', ":1: 2 words but 1 tags"),
        ('{"tokens": ["a"], "ner_tags": ["Q-X"]}', ":1: 'Q-X' is not a tag: .*: check label_column_name"),
    ],
)
def test_other_rows_are_refused_by_what_they_are(tmp_path, content, message):
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(RecipeError, match=message) as caught:
        load(tmp_path / "a.jsonl")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"PAR1", "a Parquet file"), (b"PK\x03\x04", "a ZIP or Excel file"), (b"%PDF-1.7", "a PDF file")],
)
def test_binary_files_are_refused_by_their_names(tmp_path, start, name):
    (tmp_path / "a.conll").write_bytes(start + b"\xff\x00")
    with pytest.raises(RecipeError, match=f"this is {name}, not text"):
        load(tmp_path / "a.conll")


def test_compressed_column_files_are_read_and_damaged_ones_refused(tmp_path):
    packed = gzip.compress(b"Oslo B-LOC\n" * 50)
    (tmp_path / "train.conll.gz").write_bytes(packed)
    assert len(list_sentences(load_splits(NerArguments(data_dir=str(tmp_path)), ["train"])["train"])[0].words) == 50
    (tmp_path / "train.conll.gz").write_bytes(packed[:20])
    with pytest.raises(RecipeError, match="damaged gzip data"):
        load_splits(NerArguments(data_dir=str(tmp_path)), ["train"])


def test_folders_of_brat_are_read(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "one.txt").write_text(TEXT)
    entities = "T1\tPER 0 11\tMara Okello\nT2\tLOC 17 21\tOslo\nR1\tIn Arg1:T1 Arg2:T2\nT3\tX 0 4;17 21\tMara Oslo\n"
    (tmp_path / "train" / "one.ann").write_text(entities)
    notes: dict[str, Notes] = {}
    documents = load_splits(NerArguments(data_dir=str(tmp_path)), ["train"], notes=notes)["train"]
    assert list_pairs(documents) == [list(zip(WORDS, TAGS, strict=True))]
    assert notes["train"].remarks == {"entity(ies) in several pieces were left out": (f"{tmp_path}/train/one.ann:4", 1)}
    for line in ("T1 PER 0 11 Mara Okello", f"T1\tPER 0 {'9' * 5000}\tMara"):  # Python reads no number so long
        (tmp_path / "train" / "one.ann").write_text(f"{line}\n")
        with pytest.raises(RecipeError, match=r"one.ann:1: expected a name, a type with start and end"):
            load_splits(NerArguments(data_dir=str(tmp_path)), ["train"])


KEYS = st.sampled_from(
    ["text", "tokens", "ner_tags", "label", "spans", "entities", "annotations", "annotation", "data"]
)
KEYS |= st.sampled_from(["result", "value", "start", "end", "points", "content", "label_names", "\n"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.floats()
    | st.sampled_from(["Mara left", "O", "B-PER", "", "\n"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(VALUES, max_size=3), comma=st.booleans())
def test_any_rows_are_read_or_refused_in_one_line(tmp_path_factory, rows, comma):
    path = tmp_path_factory.getbasetemp() / ("any.json" if comma else "any.jsonl")
    path.write_text(json.dumps(rows) if comma else "\n".join(map(json.dumps, rows)))
    try:
        load(path)
    except RecipeError as error:
        assert "\n" not in str(error)  # noqa: PT017 - many are read


@settings(max_examples=300, deadline=None)
@given(
    cells=st.lists(st.sampled_from([*"ab,;\n\t\"'", "word", "tag", "sentence_id", "B-PER", "O", "\r\n"]), max_size=30)
)
def test_any_table_is_read_or_refused_in_one_line(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("".join(cells))
    try:
        load(path)
    except RecipeError as error:
        assert "\n" not in str(error)  # noqa: PT017 - many are read


def read_all(path, **settings):
    return [pair for pairs in list_pairs(load(path, **settings)) for pair in pairs]


def test_numbers_in_parquet_are_named_by_their_own_column(tmp_path):
    names = {"chunk_tags": ["O", "B-NP", "I-NP", "B-VP"], "ner_tags": ["O", "B-PER", "I-PER", "B-LOC"]}
    kinds = {key: datasets.List(datasets.ClassLabel(names=own)) for key, own in names.items()}
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), **kinds})
    rows = {"tokens": [["Mara", "Okello", "left"]], "chunk_tags": [[1, 2, 3]], "ner_tags": [[1, 2, 0]]}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "a.parquet")
    assert read_all(tmp_path / "a.parquet") == [("Mara", "B-PER"), ("Okello", "I-PER"), ("left", "O")]
    found = read_all(tmp_path / "a.parquet", label_column_name="chunk_tags")
    assert found == [("Mara", "B-NP"), ("Okello", "I-NP"), ("left", "B-VP")]


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        ("sentence_id,form,gold\n1,Mara,PER\n1,Okello,PER\n1,left,O\n", {"text": "form", "label": "gold"}),
        ("sentence_id,text,label\n1,Mara,PER\n1,Okello,PER\n1,left,O\n", {}),
        ("Sentence_ID,FORM,Gold\n1,Mara,PER\n1,Okello,PER\n1,left,O\n", {"text": "Form", "label": "gold"}),
        ("Form,Gold\nMara Okello left,PER PER O\n", {"text": "Form", "label": "Gold"}),
        ("id,sentence_id,word,tag,ner\n1,1,Mara,NP,PER\n2,1,Okello,NP,PER\n3,1,left,VP,O\n", {"label": "ner"}),
    ],
)
def test_columns_of_a_table_are_those_of_the_settings(tmp_path, content, settings):
    (tmp_path / "a.csv").write_text(content)
    named = {f"{key}_column_name": value for key, value in settings.items()}
    assert list_pairs(load(tmp_path / "a.csv", **named)) == [[("Mara", "B-PER"), ("Okello", "I-PER"), ("left", "O")]]


def test_lists_as_numpy_prints_them_stay_lists(tmp_path):
    cells = "\"['Mara' 'Okello' 'left']\",\"['B-PER' 'I-PER' 'O']\""
    (tmp_path / "a.csv").write_text(f'tokens,ner_tags\n{cells}\n"[\'Oslo\', ""it\'s""]","[\'B-LOC\', \'O\']"\n')
    words = [("Mara", "B-PER"), ("Okello", "I-PER"), ("left", "O"), ("Oslo", "B-LOC"), ("it's", "O")]
    assert read_all(tmp_path / "a.csv") == words


RESULT = {"value": {"start": 0, "end": 4, "text": "Mara", "labels": ["PER"]}}


@pytest.mark.parametrize(
    "row",
    [
        {"data": {"text": "Mara left", "entities": [], "label": "news"}, "annotations": [{"result": [RESULT]}]},
        {"text": "Mara left", "spans": [], "entities": [[0, 4, "PER"]]},
        {"text": "Mara left", "spans": [[0, 4, "PER"]], "label": "PER", "answer": "accept"},
        {
            "data": {"text": "Mara left"},
            "annotations": [{"result": [RESULT, {"value": {"start": 0, "choices": ["x"]}}]}],
        },
    ],
)
def test_other_keys_do_not_hide_the_spans(tmp_path, row):
    (tmp_path / "a.json").write_text(json.dumps([row]))
    assert read_all(tmp_path / "a.json") == [("Mara", "B-PER"), ("left", "O")]


def test_an_empty_text_and_empty_spans_count_as_what_they_are(tmp_path):
    rows = [{"text": "", "content": "note", "spans": []}, {"text": "left", "spans": []}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert read_all(tmp_path / "a.json") == [("left", "O")]


def test_texts_and_spans_can_have_any_keys_and_be_missing(tmp_path):
    rows = [{"body": TEXT, "marks": SPANS, "label": "news"}, {"body": TEXT, "marks": None}, {"body": TEXT}]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    notes: list[Notes] = []
    found = load(tmp_path / "a.json", notes, text_column_name="body", label_column_name="marks")
    assert list_pairs(found) == [list(zip(WORDS, TAGS, strict=True))]
    assert notes[0].count_remarks() == {"row(s) without annotations were left out": 2}


def test_the_text_of_a_label_studio_task_can_have_any_key(tmp_path):
    row = {"data": {"text": "Oslo", "body": "Mara left"}, "annotations": [{"result": [RESULT]}]}
    (tmp_path / "a.json").write_text(json.dumps([row]))
    assert read_all(tmp_path / "a.json", text_column_name="body") == [("Mara", "B-PER"), ("left", "O")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sentence_id,word,tag\n1,Mara,B-PER\n1,left\n", ":2: '' is not a tag"),
        ("sentence_id,word,tag,tag\n1,Mara,B-PER,O\n", ":1: the column 'tag' is there twice: rename or remove one"),
        ("word,tag\nMara,O\n", ":2: an object with the keys word tag: expected a list of words"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_with_their_line(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(RecipeError, match=f"a.csv{message}"):
        load(tmp_path / "a.csv")


def test_a_span_whose_text_is_another_is_refused(tmp_path):
    row = {"text": "Mara left Oslo", "spans": [{"start": 5, "end": 9, "text": "Oslo", "label": "LOC"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    with pytest.raises(RecipeError, match=r"a.jsonl:1: the span 5 to 9 \(LOC\) is 'left' in the text, but 'Oslo' in"):
        load(tmp_path / "a.jsonl")


def test_sentences_of_two_documents_with_one_number_stay_apart(tmp_path):
    rows = "a,1,Mara,B-PER\na,1,left,O\nb,1,Oslo,B-LOC\n,,-DOCSTART-,O\nb,1,won,O\n"
    (tmp_path / "a.csv").write_text(f"doc,sentence_id,word,tag\n{rows}")
    documents = load(tmp_path / "a.csv")
    words = [[sentence.words for sentence in document.sentences] for document in documents]
    assert words == [[["Mara", "left"], ["Oslo"]], [["won"]]]


@pytest.mark.parametrize(
    "empty", [{"text": TEXT}, {"text": TEXT, "label": None}, {"content": TEXT, "annotation": None}]
)
def test_texts_that_nobody_has_annotated_are_left_out_and_counted(tmp_path, empty):
    (tmp_path / "a.json").write_text(json.dumps([empty, {"text": TEXT, "label": LABELLED}]))
    notes: list[Notes] = []
    assert len(load(tmp_path / "a.json", notes)) == 1
    assert notes[0].remarks == {"row(s) without annotations were left out": (f"{tmp_path}/a.json: item 1", 1)}


def test_endings_are_read_in_any_case(tmp_path):
    for name in ("a.NDJSON", "A.JSON"):
        (tmp_path / name).write_text(json.dumps({"tokens": WORDS, "ner_tags": TAGS}))
        assert list_pairs(load(tmp_path / name)) == [list(zip(WORDS, TAGS, strict=True))]
