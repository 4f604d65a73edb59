"""What is told of what was not decided: one sentence, and nothing of the inside."""

import json

import pytest
import service_process
from toy_station import PNG, Slow, png, sent, together


def test_no_decision_is_never_ok_and_tells_nothing_of_the_inside(stationed):
    station = stationed(Slow())
    nan, broken, unreadable = together(
        station, sent(png(b"nan")), sent(png(b"broken")), sent(png(b"unreadable"))
    )
    assert (nan.status_code, broken.status_code, unreadable.status_code) == (500, 500, 422)
    assert nan.json() == {
        "error": "No decision: the map is not finite. Leave the part to a person."
    }
    assert "secret" not in broken.text
    assert broken.json()["error"].startswith("No decision")
    body, kind = service_process.form(("image", "a", PNG), ("image", "b", png(b"nan")))
    (part,) = together(station, sent(body, "/inspect/part", content_type=kind))
    assert part.json()["outcome"] == "REVIEW"
    assert set(part.json()["failures"]) == {"b"}


MALFORMED = [
    ("/inspect", {"content_type": "text/plain"}, b"x", 415),
    ("/inspect", {"content_type": "multipart/form-data"}, b"x", 400),
    ("/inspect", {"content_type": "multipart/form-data; boundary=b"}, b"x", 400),
    ("/inspect", {}, b"", 422),
    ("/inspect", {}, b"no picture", 422),
    ("/inspect?model=other", {}, PNG, 404),
    ("/v2/models/other/infer", {}, b"{}", 404),
    ("/v2/models/toy/infer", {}, b"", 400),
    ("/v2/models/toy/infer", {}, b"[]", 400),
    ("/v2/models/toy/infer", {}, b"{}", 400),
    ("/v2/models/toy/infer", {}, b'{"inputs": [NaN]}', 400),
    ("/v2/models/toy/infer", {}, b"[" * 100_000, 400),
    ("/v2/models/toy/infer", {"content_encoding": "gzip"}, b"{}", 415),
    ("/v2/models/toy/infer", {"inference_header_content_length": "9"}, b"{}", 400),
    ("/v2/models/toy/infer", {"inference_header_content_length": "-1"}, b"{}", 400),
    ("/v2/models/toy/infer", {"inference_header_content_length": "9" * 5000}, b"{}", 400),
    ("/inspect/", {}, PNG, 404),
    ("/v2/models/toy/versions/7/infer", {}, b"{}", 404),
    ("/nothing", {}, b"", 404),
    ("/metrics", {}, b"", 405),
]


@pytest.mark.parametrize(("path", "headers", "body", "status"), MALFORMED)
def test_what_is_wrong_is_told_in_one_sentence(stationed, path, headers, body, status):
    station = stationed(Slow())
    (answer,) = together(station, sent(body, path, **headers))
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert "Traceback" not in answer.text


def tensor(**changes):
    data = list(PNG)
    return {"name": "image", "datatype": "UINT8", "shape": [len(data)], "data": data, **changes}


TENSORS = [
    ([tensor(shape=[10**4000] * 100)], "of more than 4 axes"),
    ([tensor(shape=[10**10, 1])], "of more than 4 axes"),
    ([tensor(shape=[1] * 300_000)], "of more than 4 axes"),
    ([tensor(data=[[1], [2, 3]])], "cannot be read"),
    ([tensor(), tensor()], "twice"),
    ([tensor(name="other")], "takes"),
    ([tensor(name=7)], "without a name"),
    ([tensor(shape=[3])], "of shape"),
    ([tensor(shape=[-1])], "no list of numbers from 0"),
    ([tensor(shape=[True])], "no list of numbers from 0"),
    ([tensor(shape=[len(PNG), 1, 1, 1])], "no file and no image"),
    ([tensor(datatype="FP32")], "datatype"),
    ([tensor(datatype="BYTES")], "holds text alone"),
    ([tensor(data=[256] * len(PNG))], "whole number"),
    ([tensor(data=[1.5] * len(PNG))], "whole number"),
    ([tensor(data=[True] * len(PNG))], "whole number"),
    ([tensor(data=None)], "cannot be read"),
    ([tensor(parameters={"binary_data_size": 5})], "0 are left"),
    ([tensor(parameters=[])], "no object"),
    ([7], "no object"),
]


@pytest.mark.parametrize(("inputs", "said"), TENSORS)
def test_a_tensor_that_is_none_is_told(stationed, inputs, said):
    body = json.dumps({"inputs": inputs}).encode()
    (answer,) = together(stationed(Slow()), sent(body, "/v2/models/toy/infer"))
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_a_form_holds_what_it_may(stationed):
    def form(*parts):
        body, kind = service_process.form(*parts)
        return sent(body, content_type=kind)

    answers = together(
        stationed(Slow()),
        form(("image", "a", PNG), ("image", "b", PNG)),
        form(("template", "a", PNG)),
        form(("image", "a", PNG), ("other", "", b"1")),
        form(("image", "a", PNG), ("metadata", "", b"[1]")),
        form(("image", "a", PNG), ("metadata", "", b'{"a": NaN}')),
        form(("image", "a", PNG), ("metadata", "", b'{"a": "%s"}' % (b"x" * 70_000))),
        form(("image", "a", PNG), ("metadata", "", b'{"lot": "7"}')),
    )
    assert [answer.status_code for answer in answers] == [400, 400, 400, 400, 400, 400, 200]
    assert answers[-1].json()["metadata"] == {"lot": "7"}


def test_a_form_that_stops_before_its_end_is_refused(stationed):
    body, kind = service_process.form(("image", "a", PNG))
    (answer,) = together(stationed(Slow()), sent(body[:-8], content_type=kind))
    assert answer.status_code == 400
    assert "stops before its end" in answer.json()["error"]
