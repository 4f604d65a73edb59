"""What a strategy or the bundle needs, refused before anything is trained."""

from inspection_tf import errors
from inspection_tf.engines import installed
from inspection_tf.recipes.strategies.spec import ClassifierSpec
from inspection_tf.tasks import classification


def check(spec: ClassifierSpec, rules: classification.Settings) -> None:
    """Refuse what a strategy or the bundle needs of the classifier and it does not have.

    Args:
        spec: of the recipe.
        rules: whether the bundle is to show where the classes are seen, and to know what is new.

    Raises:
        errors.ConfigError: the strategy uses the backbone as it is, and it has no weights; its head
            is not linear in what the backbone returns; the head does not pool, so that its graph
            can return no evidence; or what names weights or layers belongs to another strategy.
        errors.BundleError: scikit-learn is absent, and the strategy fits by it.
    """
    if spec.trainable_from is not None and spec.strategy != "finetune":
        raise errors.ConfigError(
            f"classifier.trainable_from belongs to the strategy finetune. Got {spec.strategy}. "
            "Leave it out."
        )
    if spec.strategy in ("features", "classical") and not installed.versions("scikit-learn"):
        what = f"classifier.strategy {spec.strategy}"
        raise installed.missing("scikit-learn", "classical", what)
    if spec.strategy == "classical":
        _check_classical(spec, rules)
        return
    knows = bool(spec.start or spec.weights or spec.model.backbone.weights)
    if spec.strategy != "scratch" and not knows:
        raise errors.ConfigError(
            f"classifier.strategy {spec.strategy} needs a backbone that was trained before. Got "
            "classifier.model.backbone.weights none. Give a .weights.h5 file, or use scratch."
        )
    is_plain = spec.model.head == "pooled" and spec.model.patches.size_px is None
    if spec.strategy == "features" and not is_plain:
        raise errors.ConfigError(
            "classifier.strategy features needs classifier.model.head pooled, and no patches. Got "
            f"{spec.model.head} and patches of {spec.model.patches.size_px} px. "
            "Choose it, or another strategy."
        )
    if rules.has_novelty and spec.model.patches.size_px is not None:
        raise errors.ConfigError(
            "rules.max_novelty needs a classifier of whole images, whose features it compares. "
            f"Got patches of {spec.model.patches.size_px} px. Set max_novelty: null."
        )
    if rules.has_evidence and spec.model.patches.size_px is not None:
        raise errors.ConfigError(
            "rules.has_evidence needs a classifier of whole images: evidence of patches, which "
            f"overlap, lies on no even grid. Got patches of {spec.model.patches.size_px} px. "
            "Set has_evidence: false."
        )
    if rules.has_evidence and spec.model.head == "vgg":
        raise errors.ConfigError(
            "rules.has_evidence needs classifier.model.head pooled or cells. Got vgg, whose answer "
            "is no sum over places. Set has_evidence: false."
        )


def _check_classical(spec: ClassifierSpec, rules: classification.Settings) -> None:
    named = {
        "start": spec.start,
        "weights": spec.weights,
        "model.backbone.weights": spec.model.backbone.weights,
    }
    given = next((name for name, value in named.items() if value), None)
    if given is not None:
        raise errors.ConfigError(
            "classifier.strategy classical starts from nothing. Got "
            f"classifier.{given} {named[given]}. Leave it out."
        )
    if not rules.has_novelty:
        raise errors.ConfigError(
            "classifier.strategy classical needs rules.max_novelty: far from what it learned a "
            "support vector machine says the same of every image, whatever it shows. Got null. "
            "Set it, such as max_novelty: 1.0."
        )
    if rules.has_evidence:
        raise errors.ConfigError(
            "rules.has_evidence needs a network of features that lie somewhere; those of "
            "classifier.strategy classical are of the whole image. Got true. "
            "Set has_evidence: false."
        )
