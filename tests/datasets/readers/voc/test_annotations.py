"""XML files of Pascal VOC: what is read, and what is refused with file and line."""

import numpy as np
import pytest

from inspection_tf import errors, images
from inspection_tf.datasets.readers.voc import annotations

HEIGHT, WIDTH = 20, 30
BOX = """<object>
<name>crack</name>
<pose>Unspecified</pose>
<bndbox><xmin>3</xmin><ymin>4</ymin>
<xmax>9</xmax><ymax>6</ymax></bndbox>
</object>"""
SIZE = "<size><width>30</width><height>20</height><depth>1</depth></size>"


@pytest.fixture
def read(tmp_path):
    """Read an annotation with this content of an image of 30 x 20 px."""
    images.write_png(tmp_path / "a.png", np.zeros((HEIGHT, WIDTH), np.uint8))

    def read_text(text, **options):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "a.xml").write_bytes(data)
        return annotations.read(tmp_path / "a.xml", tmp_path / "a.png", **options)

    return read_text


def whole(*parts):
    return "\n".join(("<annotation>", *parts, "</annotation>"))


def boxed(xmin, ymin, xmax, ymax, name="crack"):
    """An annotation whose box ends in line 5."""
    edges = dict(xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax)
    inside = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges.items())
    return whole("<object>", f"<name>{name}</name>", "<bndbox>", f"{inside}</bndbox></object>")


def test_a_box_is_read_with_its_name(read):
    (found,) = read(whole("<filename>another.jpg</filename>", SIZE, BOX))
    assert (found.name, found.xyxy) == ("crack", (3, 4, 9, 6))


def test_coordinates_from_1_are_brought_to_edges(read):
    # The first of them counted from 0: pixels 2 to 8 and 3 to 5, whose edges are 2, 9 and 3, 6.
    (found,) = read(whole(BOX), one_based=True)
    assert found.xyxy == (2, 3, 9, 6)
    # One pixel, the first of the image.
    (found,) = read(boxed(1, 1, 1, 1), one_based=True)
    assert found.xyxy == (0, 0, 1, 1)


def test_parts_of_an_object_are_no_objects(read):
    part = BOX.replace("object>", "part>").replace("crack", "corner")
    (found,) = read(whole(BOX.replace("</object>", f"{part}</object>")))
    assert (found.name, found.xyxy) == ("crack", (3, 4, 9, 6))


def test_an_annotation_may_hold_no_object(read):
    assert read(whole(SIZE)) == ()


def test_names_keep_their_letters(read):
    text = '<?xml version="1.0" encoding="UTF-16"?>' + boxed(
        1, 2, 3, 4, name="Ri\u00df &amp; Kratzer"
    )
    assert read(text.encode("utf-16"))[0].name == "Ri\u00df & Kratzer"


@pytest.mark.parametrize("edges", [(0, 0, 30, 20), (29, 19, 30, 20), (2.5, 0.25, 2.75, 20)])
def test_a_box_may_touch_the_border(read, edges):
    assert read(boxed(*edges))[0].xyxy == edges


@pytest.mark.parametrize(
    ("edges", "one_based"),
    [
        ((-1, 0, 5, 5), False),
        ((0, 0, 31, 5), False),
        ((0, 0, 5, 20.5), False),
        ((0, 1, 5, 5), True),
        ((1, 1, 31, 5), True),
    ],
)
def test_a_box_outside_the_image_is_refused(read, edges, one_based):
    told = rf"a\.xml, line 5: a box must lie inside .* 30 x 20 px.*Got xmin {edges[0]}, ymin"
    with pytest.raises(errors.DataError, match=told):
        read(boxed(*edges), one_based=one_based)


@pytest.mark.parametrize("edges", [(3, 4, 3, 6), (3, 4, 9, 4), (9, 4, 3, 6)])
def test_a_box_without_an_area_is_refused(read, edges):
    told = rf"line 5: a box must have an area\. Got xmin {edges[0]}, ymin {edges[1]}, xmax"
    with pytest.raises(errors.DataError, match=told):
        read(boxed(*edges))


@pytest.mark.parametrize("value", ["four", "1_0", "nan", "inf"])
def test_a_coordinate_is_a_number(read, value):
    with pytest.raises(errors.DataError, match=r"a\.xml, line \d: .*<xmin>" + value):
        read(boxed(value, 2, 4, 4))


def test_the_size_is_that_of_the_image(read):
    with pytest.raises(errors.DataError, match=r"line 2: the size must be .* 30 x 20 px.*31 x 20"):
        read(whole(SIZE.replace("30", "31")))
    with pytest.raises(errors.DataError, match="20 x 30, as if the image was not turned"):
        read(whole("<size><width>20</width><height>30</height></size>"))
    with pytest.raises(errors.DataError, match="line 2: height must be a number"):
        read(whole("<size><width>30</width></size>"))


def test_an_empty_coordinate_is_a_missing_one(read):
    with pytest.raises(errors.DataError, match=r"line 2: .* without xmin"):
        read(boxed("", 2, 4, 4))


@pytest.mark.parametrize("missing", ["name", "ymax"])
def test_an_object_has_a_name_and_a_box(read, missing):
    text = whole(BOX.replace(f"<{missing}>", "<other>").replace(f"</{missing}>", "</other>"))
    told = rf"line 2: an object must have a name.*Got '<object>' without {missing}"
    with pytest.raises(errors.DataError, match=told):
        read(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: an annotation must be XML"),
        ("no XML", "line 1: an annotation must be XML. Got 'no XML'"),
        ("<annotation>\n<object>\n</annotation>", "line 3: .*Got '</annotation>': mismatched tag"),
        ("<annotations></annotations>", "line 1: .*must begin with <annotation>. Got '<annotati"),
        (b"\xff\xfe\x00", "must be XML"),
    ],
)
def test_what_is_no_annotation_is_refused(read, text, told):
    with pytest.raises(errors.DataError, match=told):
        read(text)


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;&x;">]>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotation SYSTEM "https://example.org/a.dtd">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_entity_is_expanded_or_fetched(read, doctype, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n{doctype}\n{boxed(1, 1, 2, 2, "&x;")}'
    with pytest.raises(errors.DataError, match=r"line 2: .*must have no document type"):
        read(text.encode(encoding))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.xml").mkdir()
    with pytest.raises(errors.DataError, match=r"a\.xml must be a readable file\. Got: Is a dir"):
        annotations.read(tmp_path / "a.xml", tmp_path / "a.png")
