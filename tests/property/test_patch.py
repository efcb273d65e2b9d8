"""Merge patches over any documents that the server can hold: objects without a null anywhere."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fire22.core.message import Json
from fire22.core.patch import Document, apply, compose, diff

NAMES = st.sampled_from(["a", "b"])  # few, so that patches meet
SCALARS: st.SearchStrategy[Json] = st.sampled_from([0, 1, 1.0, 2.5, True, False, "", "x"])
LISTS: st.SearchStrategy[Json] = st.lists(st.one_of(SCALARS, st.dictionaries(NAMES, SCALARS, max_size=1)), max_size=2)


def values(*leaves: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    """A leaf, or an object of leaves or of objects of leaves."""
    inner: st.SearchStrategy[Json] = st.one_of(*leaves, st.dictionaries(NAMES, st.one_of(*leaves), max_size=2))
    return st.one_of(*leaves, st.dictionaries(NAMES, inner, max_size=2))


VALUES = values(SCALARS, LISTS)
PATCH_VALUES = values(SCALARS, LISTS, st.none())
DOCUMENTS: st.SearchStrategy[Document] = st.dictionaries(NAMES, VALUES, max_size=4)
PATCHES: st.SearchStrategy[Document] = st.dictionaries(NAMES, PATCH_VALUES, max_size=4)


def same(one: Json, other: Json) -> bool:
    """Equal as JSON: 1 and 1.0 are one number, true is none."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other and isinstance(one, bool) is isinstance(other, bool)


@given(old=DOCUMENTS, new=DOCUMENTS)
def test_what_was_diffed_applies(old: Document, new: Document) -> None:
    """A client that has the old document and takes the patch has the new one."""
    assert same(apply(old, diff(old, new)), new)


@given(document=DOCUMENTS)
def test_nothing_changed_is_an_empty_patch(document: Document) -> None:
    """A view that stays as it is says nothing."""
    assert diff(document, dict(document)) == {}


@given(document=DOCUMENTS, patch=PATCHES)
def test_applying_twice_is_applying_once(document: Document, patch: Document) -> None:
    """A patch that comes again changes nothing."""
    once = apply(document, patch)
    assert same(apply(once, patch), once)


@settings(max_examples=300)
@given(document=DOCUMENTS, first=PATCHES, second=PATCHES)
def test_composed_is_both(document: Document, first: Document, second: Document) -> None:
    """One composed patch leaves a client where the two would have."""
    both = compose(first, second)
    if both is not None:
        assert same(apply(document, both), apply(apply(document, first), second))


@settings(max_examples=300)
@given(start=DOCUMENTS, middle=DOCUMENTS, end=DOCUMENTS)
def test_composed_diffs(start: Document, middle: Document, end: Document) -> None:
    """Two changes of a view, as the server computes them, may reach a slow client as one."""
    both = compose(diff(start, middle), diff(middle, end))
    if both is not None:
        assert same(apply(start, both), end)
