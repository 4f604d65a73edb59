import pytest

from inspection_tf import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.InspectionError, 70),
        (errors.ConfigError, 2),
        (errors.DataError, 3),
        (errors.ImageError, 3),
        (errors.BundleError, 4),
        (errors.StorageError, 5),
        (errors.DivergedError, 6),
        (errors.GateError, 7),
    ],
)
def test_every_error_has_the_exit_code_of_the_process_contract(kind, code):
    assert kind.exit_code == code
    assert issubclass(kind, errors.InspectionError)


def test_an_image_error_is_a_data_error_and_a_config_error_a_value_error():
    assert issubclass(errors.ImageError, errors.DataError)
    assert issubclass(errors.ConfigError, ValueError)


@pytest.mark.parametrize(
    ("codes", "gravest"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 1, 0], 1),
        ([1, 3, 0], 3),
        ([3, 4, 1], 4),
        ([4, 5, 3], 5),
        ([5, 143, 4], 143),  # a signal is no result of a file
        ([70, 5], 70),
    ],
)
def test_of_many_files_the_gravest_code_counts(codes, gravest):
    assert errors.gravest(codes) == gravest
    assert errors.gravest(iter(reversed(codes))) == gravest
