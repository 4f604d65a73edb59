import io
import json

import pytest
import rich.console
import rich.table

from inspection_tf import process


@pytest.mark.parametrize(
    "name",
    [
        "lot 7_a-b.png", "检查.png", "Prüfung é e\u0301", "перевірка", "שלום", "क्\u200dष", "😄",
        "a\u3000b\u00a0c", r"C:\new\table", "$x$ [blue] :smile:",
    ],
)  # fmt: skip
def test_names_of_any_script_stay_as_they_are(name):
    assert process.printable(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\tb", r"a\r\tb"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b2J", r"\x9b2J"),  # the same in one byte
        ("bell\x07\x00", r"bell\x07\x00"),
        ("bad\udcff", r"bad\udcff"),
        ("a\u2028b\u2029c\x85d", r"a\u2028b\u2029c\x85d"),
        ("gnp.\u202efdp", r"gnp.\u202efdp"),  # would be read from the right
    ],
)
def test_what_moves_a_cursor_or_ends_a_line_is_shown_as_python_writes_it(name, shown):
    assert process.printable(name) == shown
    assert process.printable(f"检{name}") == f"检{shown}"


def test_a_newline_may_be_kept():
    assert process.printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize(
    "name", ["[blue].png", ":smile:.png", "lot[/7]/a.png", r"a\[b].png", "[link=x]y[/link]"]
)
def test_a_cell_is_no_markup_in_any_console(name):
    table = rich.table.Table(box=None)
    table.add_row(process.cell(name))
    text = io.StringIO()
    rich.console.Console(file=text, width=60, markup=True, emoji=True).print(table)
    assert text.getvalue().strip() == name


@pytest.mark.parametrize("name", ["a b", "检\n", "\x1b\x7f\x00", "\udcff", "\u2028"])
def test_a_line_of_json_is_printable_and_holds_the_name(name):
    line = process.json_line({"path": name})
    assert line.isascii()
    assert line == process.printable(line)
    assert json.loads(line) == {"path": name}


@pytest.mark.parametrize(
    "name", ["iou_class_mean", "pin-hole", "no field", "Prüfung", "检查", "{'a': 40.0}", "a__b"]
)
def test_a_plain_name_is_the_same_in_markdown(name):
    assert process.markdown(name) == name


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a|b", r"a\|b"),
        ("*x* `c`", r"\*x\* \`c\`"),
        ("_u_ __v", r"\_u\_ \_\_v"),
        ("[a](b)", r"\[a\](b)"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("$x$", r"\$x\$"),
        (":smile:", r"\:smile:"),
        ("a\nb", r"a\\nb"),
        ("~~gone~~", r"\~\~gone\~\~"),
    ],
)
def test_what_markdown_would_read_is_escaped(name, written):
    assert process.markdown(name) == written
