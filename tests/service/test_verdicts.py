"""What a service says of an image is what the bundle says of it, whatever way it came in."""

import json

import numpy as np
import pytest
import service_process
from service_process import KEPT, form

from inspection_tf import images, runtime

MODELS = {
    "segmentation": "schema_4_segmentation",
    "cascade": "schema_4_cascade",
    "fields": "schema_4_fields",
    "classification": "schema_5_classification",
    "pose": "schema_5_pose",
}
BESIDE = {"model", "version", "queue_ms", "id", "links", "name"}


@pytest.fixture(scope="module")
def service():
    words = [f"{name}={KEPT / folder}" for name, folder in MODELS.items()]
    with service_process.serving(*words) as found:
        yield found


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    root = KEPT / MODELS[request.param]
    files = sorted((root / "golden").glob("*.png"))
    inspector = runtime.Inspector.load(root, threads=1, check_golden=False)
    return request.param, files, [said(inspector.inspect(file).to_dict()) for file in files]


def said(verdict):
    """Return what a verdict says, without the milliseconds that it took."""
    found = json.loads(json.dumps(verdict))
    return {key: value for key, value in found.items() if key not in {"ms", *BESIDE}}


def test_one_by_one(service, model):
    name, files, expected = model
    for file, verdict in zip(files, expected, strict=True):
        found = service.json("POST", f"/inspect?model={name}", file.read_bytes())
        assert said(found) == verdict
        assert found["model"] == name
        assert found["queue_ms"] >= 0
        body, kind = form(("image", file.name, file.read_bytes()))
        assert said(service.json("POST", f"/inspect?model={name}", body, content_type=kind)) == (
            verdict
        )


def test_in_a_batch_a_line_each_in_their_order(service, model):
    name, files, expected = model
    spoilt = ("image", "spoilt.png", b"no picture")
    sent = [("image", file.name, file.read_bytes()) for file in files]
    body, kind = form(sent[0], spoilt, *sent[1:])
    status, headers, data = service.ask(
        "POST", f"/inspect/batch?model={name}", body, content_type=kind
    )
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    lines = [json.loads(line) for line in data.splitlines()]
    assert [line["name"] for line in lines] == [sent[0][1], "spoilt.png", *(s[1] for s in sent[1:])]
    assert lines.pop(1)["status"] == 422
    assert [said(line) for line in lines] == expected


@pytest.mark.parametrize("is_binary", [False, True])
def test_by_the_protocol_through_its_own_client(service, model, is_binary):
    client_of = pytest.importorskip("tritonclient.http")
    name, files, expected = model
    client = client_of.InferenceServerClient(f"127.0.0.1:{service.port}")
    try:
        for file, verdict in zip(files, expected, strict=True):
            data = np.frombuffer(file.read_bytes(), np.uint8)
            given = client_of.InferInput("image", list(data.shape), "UINT8")
            given.set_data_from_numpy(data, binary_data=is_binary)
            wanted = client_of.InferRequestedOutput("verdict", binary_data=is_binary)
            answer = client.infer(name, [given], outputs=[wanted], request_id="part 7")
            assert answer.get_response()["id"] == "part 7"
            assert said(json.loads(answer.as_numpy("verdict")[0])) == verdict
    finally:
        client.close()


def test_pixels_count_as_the_file_does(service, model):
    client_of = pytest.importorskip("tritonclient.http")
    name, files, expected = model
    client = client_of.InferenceServerClient(f"127.0.0.1:{service.port}")
    try:
        pixels = images.read(files[0])
        kind = {"uint8": "UINT8", "uint16": "UINT16"}[pixels.dtype.name]
        given = client_of.InferInput("image", list(pixels.shape), kind)
        given.set_data_from_numpy(pixels)
        answer = client.infer(name, [given], parameters={"camera": "left"})
        found = json.loads(answer.as_numpy("verdict")[0])
        assert found["metadata"] == {"camera": "left"}
        assert said({**found, "metadata": {}}) == expected[0]
        assert answer.as_numpy("outcome")[0].decode() == expected[0]["outcome"]
    finally:
        client.close()


def test_the_protocol_tells_what_there_is(service):
    client_of = pytest.importorskip("tritonclient.http")
    client = client_of.InferenceServerClient(f"127.0.0.1:{service.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("pose")
        assert not client.is_model_ready("unknown")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        told = client.get_model_metadata("pose")
        assert told["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1]}]
        assert client.is_model_ready("pose", told["versions"][0])
        with pytest.raises(client_of.InferenceServerException, match="version must be"):
            client.get_model_metadata("pose", "7")
    finally:
        client.close()


def test_a_part_is_as_good_as_its_worst_image(service):
    files = sorted((KEPT / MODELS["cascade"] / "golden").glob("*.png"))
    body, kind = form(*(("image", file.name, file.read_bytes()) for file in files))
    found = service.json("POST", "/inspect/part?model=cascade", body, content_type=kind)
    assert {one["outcome"] for one in found["verdicts"].values()} == {"OK", "NG"}
    assert found["outcome"] == "NG"
    assert set(found["verdicts"]) == {file.name for file in files}
    good = next(name for name, one in found["verdicts"].items() if one["outcome"] == "OK")
    file = next(file for file in files if file.name == good)
    body, kind = form(("image", good, file.read_bytes()), ("image", "spoilt.png", b"no picture"))
    found = service.json("POST", "/inspect/part?model=cascade", body, content_type=kind)
    assert found["verdicts"][good]["outcome"] == "OK"
    assert found["outcome"] == "REVIEW"
    assert found["decided_by"] == "spoilt.png"


def test_one_image_is_seen_by_every_model_that_there_is(service):
    file = sorted((KEPT / MODELS["segmentation"] / "golden").glob("*.png"))[0]
    found = service.json("POST", "/inspect/part", file.read_bytes())
    assert set(found["verdicts"]) | set(found["failures"]) == set(MODELS)


def test_pictures_can_be_asked_for_afterwards(service):
    file = sorted((KEPT / MODELS["segmentation"] / "golden").glob("*.png"))[0]
    verdict = runtime.Inspector.load(
        KEPT / MODELS["segmentation"], threads=1, check_golden=False
    ).inspect(file)
    found = service.json("POST", "/inspect?model=segmentation", file.read_bytes())
    assert set(found["links"]) == {"image", "overlay", "mask", "score"}
    pictures = {"image": verdict.image, "overlay": verdict.overlay(), "mask": verdict.mask() * 255}
    for name, expected in pictures.items():
        status, headers, data = service.ask("GET", found["links"][name])
        assert (status, headers["content-type"]) == (200, "image/png")
        np.testing.assert_array_equal(images.read(data), expected)
    assert service.json("GET", "/results/none/mask.png", status=404)["error"]


def test_what_comes_with_an_image_passes_through(service):
    file = sorted((KEPT / MODELS["segmentation"] / "golden").glob("*.png"))[0]
    body, kind = form(
        ("metadata", "", json.dumps({"camera": "left", "lot": "7"}).encode()),
        ("image", "a.png", file.read_bytes()),
    )
    found = service.json("POST", "/inspect?model=segmentation", body, content_type=kind)
    assert found["metadata"] == {"camera": "left", "lot": "7"}


def test_what_was_decided_is_counted(service):
    _, _, before = service.ask("GET", "/metrics")
    file = sorted((KEPT / MODELS["segmentation"] / "golden").glob("*.png"))[0]
    outcome = service.json("POST", "/inspect?model=segmentation", file.read_bytes())["outcome"]
    service.ask("POST", "/inspect?model=segmentation", b"no picture")
    _, _, after = service.ask("GET", "/metrics")
    for line in (
        f'inspection_inspected_total{{model="segmentation",outcome="{outcome}"}}',
        'inspection_refused_total{reason="image"}',
        'inspection_score_count{model="segmentation"}',
    ):
        assert number(after, line) == number(before, line) + 1


def number(text, name):
    """Return a number of the metrics; 0 where it is not there yet."""
    lines = [line for line in text.decode().splitlines() if line.startswith(f"{name} ")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0
