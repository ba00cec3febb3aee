import pytest

from recipe.data.schemes import is_well_formed, split_tag, to_iob2


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
