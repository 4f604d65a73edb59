"""A tagged union of sections: which one it is says one of its fields, as `format` says of data."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self, get_args, get_origin

import pydantic
import pydantic_core

from inspection_tf.config.section import Section


def listed(names: Sequence[str], conjunction: str = "and") -> str:
    """Return names as a sentence lists them: "a, b and c"."""
    return f" {conjunction} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


class TaggedSection(Section):
    """A section that stands for several, its members, told apart by the field `TAG`.

    A member is a subclass, near or far, whose `TAG` is a `Literal` of one name; what all members
    have stands in the union. As `pathlib.Path()` returns a path of the system it runs on, the union
    returns the member that the values name: `Union(tag="b", ...)`, `Union.model_validate(...)` and
    a field that is annotated with it alike. So YAML and the command line hold one flat section.

    A value for a field of another member is left out where it is that field's default, and refused
    otherwise.
    """

    TAG: ClassVar[str] = ""
    """Name of the field that tells the members apart; its default names the usual one."""
    EARLIER: ClassVar[frozenset[str]] = frozenset()
    """Fields that stand together only where an earlier version wrote the fields of all members into
    one section: what belongs to another member is then left out whatever it is."""

    def __new__(cls, *_: object, **values: object) -> Self:
        """Return a member for `__init__` to fill."""
        return super().__new__(cls if cls.is_member() else cls.for_values(values))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[pydantic.BaseModel], handler: pydantic.GetCoreSchemaHandler
    ) -> pydantic_core.CoreSchema:
        """Let the union be validated as the member that the values name."""
        if cls.is_member():
            return handler(source)
        return pydantic_core.core_schema.no_info_plain_validator_function(cls._validated)

    @classmethod
    def _validated(cls, values: object) -> Self:
        return values if isinstance(values, cls) else cls.for_values(values).model_validate(values)

    @classmethod
    def is_member(cls) -> bool:
        """Return whether this is one of the sections that the union stands for."""
        tag = cls.model_fields.get(cls.TAG)
        return tag is not None and get_origin(tag.annotation) is Literal

    @classmethod
    def members(cls) -> dict[str, type[Self]]:
        """Return the sections that this one stands for, by their names, in alphabetical order."""
        if cls.is_member():
            (name,) = get_args(cls.model_fields[cls.TAG].annotation)
            return {name: cls}
        found: dict[str, type[Self]] = {}
        for below in cls.__subclasses__():
            found |= below.members()
        return dict(sorted(found.items()))

    @classmethod
    def for_values(cls, values: object) -> type[Self]:
        """Return the member that values name, or the usual one.

        Raises:
            pydantic.ValidationError: they are no table, or name none.
        """
        members = cls.members()
        if cls.is_member():
            return cls
        if not isinstance(values, Mapping):
            raise _problem(cls, "model_type", (), values, class_name=cls.__name__)
        name = values.get(cls.TAG, cls.model_fields[cls.TAG].default)
        if name not in list(members):
            expected = listed([repr(known) for known in members], "or")
            raise _problem(cls, "literal_error", (cls.TAG,), name, expected=expected)
        return members[name]

    @classmethod
    def owners(cls, field: str) -> dict[str, type["TaggedSection"]]:
        """Return the members of the whole union that have a field, by their names."""
        members = cls._union().members()
        return {name: one for name, one in members.items() if field in one.model_fields}

    def converted(self, name: str) -> "TaggedSection":
        """Return another member with the values of the fields that both have."""
        other = self._union().members()[name]
        shared = type(self).model_fields.keys() & other.model_fields.keys() - {self.TAG}
        return other.model_validate({field: getattr(self, field) for field in shared})

    @classmethod
    def _union(cls) -> "type[TaggedSection]":
        return next(one for one in reversed(cls.__mro__) if getattr(one, "TAG", ""))

    @pydantic.model_validator(mode="before")
    @classmethod
    def _leave_out_other_members(cls, values: object) -> object:
        if not isinstance(values, Mapping):
            return values
        strange = [name for name in values if name not in cls.model_fields and cls.owners(name)]
        if cls.EARLIER and values.keys() >= cls.EARLIER:
            return {name: value for name, value in values.items() if name not in strange}
        for name in strange:
            owners = cls.owners(name)
            if not any(_is_default(owner, name, values[name]) for owner in owners.values()):
                plural = "s" if len(owners) > 1 else ""
                message = (
                    f"it belongs to the {cls.TAG}{plural} {listed(list(owners))}, "
                    f"not to {cls.model_fields[cls.TAG].default}"
                )
                raise _problem(cls, "other_member", (name,), values[name], message=message)
        return {name: value for name, value in values.items() if name not in strange}


def _is_default(section: type[Section], field: str, value: object) -> bool:
    try:
        found = section.model_validate({field: value})
    except pydantic.ValidationError:
        return False
    return bool(getattr(found, field) == getattr(section(), field))


def _problem(
    section: type[Section], kind: str, place: tuple[str, ...], value: object, **context: str
) -> pydantic.ValidationError:
    """Return what pydantic says of a value at a place in a section."""
    error: str | pydantic_core.PydanticCustomError = kind
    if "message" in context:
        error = pydantic_core.PydanticCustomError("other_member", "{message}", dict(context))
        context = {}
    details = pydantic_core.InitErrorDetails(type=error, loc=place, input=value, ctx=context)
    return pydantic.ValidationError.from_exception_data(section.__name__, [details])
