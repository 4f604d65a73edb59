"""A support vector machine on features, with calibrated probabilities, and its ONNX file.

Source: Platt 1999, "Probabilistic outputs for support vector machines": a sigmoid of the decision
values of examples that were not learned. `SVC(probability=True)` does this on folds that divide
groups, and scikit-learn gives it up.
"""

import dataclasses
import itertools
import logging
import warnings
from typing import Annotated, Any, Protocol

import numpy as np
import pydantic
from numpy.typing import NDArray

from inspection_tf import config, errors
from inspection_tf.engines import installed, onnxruntime_engine
from inspection_tf.engines.library_types import OnnxModel
from inspection_tf.models import classical
from inspection_tf.training.vector_classifiers import examples as labelled
from inspection_tf.training.vector_classifiers.examples import Examples, Fold

_LOG = logging.getLogger("inspection_tf")
_TOLERANCE = 1e-4  # between the probabilities of both, in float32 and in float64
_Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
_CHECKED = 64  # examples by which an ONNX file is compared

INPUT, OUTPUT = "features", "class_probability"
"""Names in the ONNX file."""
OPSET = 18
"""Of the ONNX file."""


class Options(config.Section):
    """How a support vector machine with a radial kernel is fitted to standardised features."""

    c: tuple[_Positive, ...] = pydantic.Field(default=(0.3, 1.0, 3.0, 10.0, 30.0), min_length=1)
    """Costs of an example on the wrong side to choose from, rising."""
    gamma: tuple[_Positive, ...] = pydantic.Field(default=(0.1, 0.3, 1.0, 3.0), min_length=1)
    """Widths of the kernel to choose from, times the number of features: `exp(-gamma d^2 / n)`."""
    folds: int = pydantic.Field(default=5, ge=2)
    """Of the training images, to choose and calibrate on; fewer where a class has fewer groups."""
    balanced: bool = True
    """Whether each class counts as much as any other; else each image does."""


class _Classifier(Protocol):
    """A pipeline of scikit-learn that ends with a classifier, as far as it is used here."""

    def fit(self, features: NDArray[np.float64], labels: NDArray[np.int64]) -> object: ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.int64]: ...

    def predict_proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]: ...

    @property
    def steps(self) -> Any:
        """Names and parts."""


@dataclasses.dataclass(frozen=True, slots=True)
class SupportVectorMachine:
    """A fitted support vector machine with calibrated probabilities.

    Attributes:
        classifier: of scikit-learn: standardisation and calibrated machine.
        classes: names of all classes, the good one first.
        c: cost that was chosen.
        gamma: width that was chosen, times the number of features.
        sample: (n, features) float32, by which what else computes its probabilities is compared.
    """

    classifier: _Classifier
    classes: tuple[str, ...]
    c: float
    gamma: float
    sample: NDArray[np.float32]

    def probabilities(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of each class.

        Args:
            features: (n, features).

        Returns:
            (n, classes), in 0..1, each row adding up to 1.
        """
        return self.classifier.predict_proba(np.asarray(features, np.float64))

    def parameters(self) -> classical.SvmParameters:
        """Return the numbers of the machine, for `models.classical`.

        Raises:
            errors.BundleError: this version of scikit-learn keeps them elsewhere.
        """
        try:
            return self._parameters()
        except AttributeError as problem:
            raise errors.BundleError(
                "The numbers of a machine must be read from scikit-learn's objects. "
                f"Got: {problem}. Install another version of scikit-learn."
            ) from problem

    def _parameters(self) -> classical.SvmParameters:
        (_, scaler), (_, calibrated) = self.classifier.steps
        (inner,) = calibrated.calibrated_classifiers_
        fitted, classes = inner.estimator, len(self.classes)
        # Of two classes scikit-learn returns the second one's decision; of more, a vector has one
        # coefficient for each class but its own: row j - 1 with those before j, row j after it.
        pairs = list(itertools.combinations(range(classes), 2))
        coefficients = fitted.dual_coef_.T
        if classes > 2:
            owner = np.repeat(range(classes), fitted.n_support_)
            coefficients = np.zeros((len(owner), len(pairs)))
            for pair, (first, second) in enumerate(pairs):
                for own, row in ((first, second - 1), (second, first)):
                    coefficients[owner == own, pair] = fitted.dual_coef_[row, owner == own]
        return classical.SvmParameters(
            mean=scaler.mean_,
            deviation=scaler.scale_,
            support_vectors=fitted.support_vectors_,
            coefficients=coefficients,
            intercept=fitted.intercept_,
            gamma=float(fitted.gamma),
            slope=np.array([-sigmoid.a_ for sigmoid in inner.calibrators]),
            offset=np.array([-sigmoid.b_ for sigmoid in inner.calibrators]),
        )

    def require_like(self, found: NDArray[np.floating], *, what: str, way_out: str) -> None:
        """Refuse probabilities of the `sample` that are not those of scikit-learn.

        Args:
            found: (n, classes).
            what: computed them, for the message.
            way_out: likewise.

        Raises:
            errors.GateError: one is off by more than 0.0001.
        """
        largest = float(np.abs(found - self.probabilities(self.sample)).max())
        if not largest <= _TOLERANCE:  # NaN too
            raise errors.GateError(
                f"{what} must give the probabilities of scikit-learn to {_TOLERANCE:g}. "
                f"Got a difference of {largest:.2g}. {way_out}."
            )

    def to_onnx(self) -> bytes:
        """Return an ONNX file, which was compared with this machine on some examples.

        Returns:
            The bytes of a file with the input `features`, float32 (batch, features), and the output
            `class_probability`, float32 (batch, classes). Equal machines give equal files.

        Raises:
            errors.BundleError: skl2onnx is absent or cannot convert it.
            errors.GateError: the probabilities of the file differ.
        """
        data = _convert(self.classifier, width=self.sample.shape[1], classes=len(self.classes))
        (found,) = onnxruntime_engine.start(data).run(None, {INPUT: self.sample})
        way_out = "Install another version of skl2onnx"
        self.require_like(found, what="The ONNX file", way_out=way_out)
        return data


def fit(
    examples: Examples, *, options: Options | None = None, seed: int = 0
) -> SupportVectorMachine:
    """Fit a support vector machine and calibrate its probabilities.

    Features are standardised by all examples, those too on which a fold is calibrated: ONNX has one
    scaler before the machines. Cost and width are those that give the best balanced accuracy on
    groups that were not learned; of equal ones the smallest cost, then the smallest width.

    Args:
        examples: which are learned, and on whose groups settings and sigmoids are chosen.
        options: `Options()` by default.
        seed: of the folds.

    Raises:
        errors.DataError: no folds of whole groups exist.
        errors.BundleError: scikit-learn is absent.
    """
    chosen = options or Options()
    folds = labelled.grouped_folds(examples, count=chosen.folds, seed=seed)
    values, labels = examples.features.astype(np.float64), examples.labels
    settings = list(itertools.product(chosen.c, chosen.gamma))
    scores = [
        _out_of_fold_accuracy(examples, folds, _machine(examples, c, gamma, chosen))
        if len(settings) > 1
        else 0.0
        for c, gamma in settings
    ]
    c, gamma = settings[int(np.argmax(scores))]
    _LOG.info("support vector machine: c = %g, gamma = %g / features", c, gamma)
    classifier = _machine(examples, c, gamma, chosen, folds=folds)
    classifier.fit(values, labels)
    rows = np.linspace(0, len(labels) - 1, min(_CHECKED, len(labels))).astype(int)
    sample = examples.features[rows].astype(np.float32)
    return SupportVectorMachine(classifier, examples.classes, c, gamma, sample)


def _machine(
    examples: Examples, c: float, gamma: float, options: Options, *, folds: list[Fold] | None = None
) -> _Classifier:
    """Return a machine that is not fitted yet, with calibration where there are folds for it."""
    try:
        from sklearn import calibration, pipeline, preprocessing, svm
    except ImportError as problem:
        what = "A support vector machine"
        raise installed.missing("scikit-learn", "classical", what) from problem
    machine = svm.SVC(
        C=c,
        kernel="rbf",
        gamma=gamma / examples.features.shape[1],
        class_weight="balanced" if options.balanced else None,
    )
    if folds is not None:
        machine = calibration.CalibratedClassifierCV(machine, cv=folds, ensemble=False)
    # Not inside the calibration: skl2onnx 1.20 converts that without an error, and for two classes
    # to a file that turns them round.
    found: _Classifier = pipeline.make_pipeline(preprocessing.StandardScaler(), machine)
    return found


def _out_of_fold_accuracy(examples: Examples, folds: list[Fold], machine: _Classifier) -> float:
    """Return the mean over the classes of the share of examples that are told rightly."""
    found = np.empty_like(examples.labels)
    for learn, tried in folds:
        machine.fit(examples.features[learn].astype(np.float64), examples.labels[learn])
        found[tried] = machine.predict(examples.features[tried].astype(np.float64))
    is_right = found == examples.labels
    shares = [is_right[examples.labels == k].mean() for k in range(len(examples.classes))]
    return float(np.mean(shares))


def _convert(classifier: _Classifier, *, width: int, classes: int) -> bytes:
    try:
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType
        from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
    except ImportError as problem:
        raise installed.missing("skl2onnx", "classical", "The ONNX file of a machine") from problem
    try:
        with warnings.catch_warnings():
            # It looks at all attributes, those too that scikit-learn gives up.
            warnings.simplefilter("ignore", FutureWarning)
            proto = skl2onnx.convert_sklearn(
                classifier,
                "support_vector_machine",
                [(INPUT, FloatTensorType([None, width]))],
                target_opset=OPSET,
                options={"zipmap": False},
            )
    except Exception as problem:  # its converters raise whatever they stumble over
        raise errors.BundleError(
            f"skl2onnx must be able to convert the machine. Got: {errors.first_line(problem)}. "
            "Install another version of skl2onnx or scikit-learn."
        ) from problem
    # The label is the likeliest class, which whoever runs it decides.
    proto = select_model_inputs_outputs(proto, outputs=["probabilities"])
    return _named(proto, width=width, classes=classes)


def _named(proto: OnnxModel, *, width: int, classes: int) -> bytes:
    """Return a file whose input and output have their names and shapes."""
    import onnx

    for node in proto.graph.node:
        for place, name in enumerate(node.output):
            if name == "probabilities":
                node.output[place] = OUTPUT
    # What cuts the label off leaves the output without a shape.
    for values, name, size in (
        (proto.graph.input, INPUT, width),
        (proto.graph.output, OUTPUT, classes),
    ):
        del values[:]
        kind = onnx.TensorProto.FLOAT
        values.append(onnx.helper.make_tensor_value_info(name, kind, ["batch", size]))
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())
