import pytest

from recipe.data.schemes import (
    build_labels,
    count_slips,
    find_continuations,
    is_iob2,
    is_tag,
    is_well_formed,
    list_entities,
    list_types,
    split_tag,
    to_iob2,
)


@pytest.mark.parametrize(
    ("tag", "parts"), [("O", ("O", "")), ("B-PER", ("B", "PER")), ("I-work-of-art", ("I", "work-of-art"))]
)
def test_split_tag(tag, parts):
    assert split_tag(tag) == parts


@pytest.mark.parametrize("tag", ["", "o", "PER", "B", "B-", "X-PER", "BI-PER", "-PER", "O-PER"])
def test_split_tag_refuses_what_is_no_tag(tag):
    with pytest.raises(ValueError, match="is not a tag"):
        split_tag(tag)


@pytest.mark.parametrize(
    ("tags", "iob2"),
    [
        ("", ""),
        ("O O", "O O"),
        ("I-A I-A O I-B", "B-A I-A O B-B"),  # IOB1
        ("I-A B-A I-A I-B", "B-A B-A I-A B-B"),
        ("B-A I-A B-A O B-B", "B-A I-A B-A O B-B"),  # IOB2
        ("S-A B-A E-A O B-B I-B E-B S-B", "B-A B-A I-A O B-B I-B I-B B-B"),  # IOBES
        ("U-A B-A L-A O B-B I-B L-B U-B", "B-A B-A I-A O B-B I-B I-B B-B"),  # BILOU
        ("S-A I-A", "B-A B-A"),  # ill formed: an entity that ended does not go on
        ("E-A E-A", "B-A B-A"),
    ],
)
def test_to_iob2(tags, iob2):
    assert to_iob2(tags.split()) == iob2.split()


@pytest.mark.parametrize(
    ("tags", "schemes"),
    [
        ("O O", "IOB1 IOB2 IOBES BILOU"),
        ("I-A I-A O", "IOB1"),
        ("I-A B-A O", "IOB1"),
        ("B-A I-A O", "IOB2"),
        ("B-A B-A O", "IOB2"),
        ("B-A I-B", ""),
        ("B-A E-A S-B", "IOBES"),
        ("B-A I-A", "IOB2"),
        ("B-A L-A U-B", "BILOU"),
        ("S-A U-A", ""),
        ("B-A O E-A", ""),
        ("B-A I-B E-B", ""),
    ],
)
def test_is_well_formed(tags, schemes):
    fitting = {scheme for scheme in ("IOB1", "IOB2", "IOBES", "BILOU") if is_well_formed(tags.split(), scheme)}
    assert fitting == set(schemes.split())


@pytest.mark.parametrize("tag", ["B-A|I-B", "B-A,O", "B-A;E-B", "I-A/L-B", "S-A+U-B", "B-A&O"])
def test_two_tags_are_no_tag(tag):
    with pytest.raises(ValueError, match="is two tags"):
        split_tag(tag)
    assert not is_tag(tag)
    assert is_tag(tag.replace(tag[3], "."))


@pytest.mark.parametrize(
    ("tags", "scheme", "slips"),
    [
        ("I-A O I-A I-B", "IOB2", 3),
        ("B-A O B-A I-A", "IOB1", 2),
        ("B-A O I-A E-A", "IOBES", 2),  # an entity that does not end, and one that does not start
        ("B-A O I-A L-A", "IOBES", 3),
        ("O B-A", "BILOU", 1),
        ("", "BILOU", 0),
    ],
)
def test_count_slips(tags, scheme, slips):
    assert count_slips([tags.split()])[scheme] == slips
    assert count_slips([tags.split(), ["O"], tags.split()])[scheme] == 2 * slips


@pytest.mark.parametrize(
    ("tags", "entities"),
    [
        ("B-A I-A B-A O B-B", [(0, 2, "A"), (2, 3, "A"), (4, 5, "B")]),
        ("I-A B-A I-B I-A", [(1, 2, "A")]),  # an I that continues no entity is none
        ("O B-work-of-art I-work-of-art", [(1, 3, "work-of-art")]),
        ("", []),
    ],
)
def test_list_entities(tags, entities):
    assert list_entities(tags.split()) == entities


def test_types_and_labels_follow_each_other():
    assert list_types(["O", "I-B", "B-A", "O", "I-A"]) == ["A", "B"]
    assert build_labels(["B", "A"]) == ["O", "B-B", "I-B", "B-A", "I-A"]
    assert find_continuations(["I-C", "O", "I-A", "B-A", "B-B", "I-B"]) == [(2, 3), (5, 4)]
    assert all(map(is_iob2, ("O", "B-A", "I-A", "B-work-of-art")))
    assert not any(map(is_iob2, ("S-A", "B-", "B", "O-A", "")))
