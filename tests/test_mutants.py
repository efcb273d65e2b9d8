"""The list of mutants is true of the code, so that `make mutants` breaks what it says."""

import pytest

from tests.mutants import ROOT, Mutant, listed

MUTANTS = listed()


@pytest.mark.parametrize("mutant", MUTANTS, ids=[each.breaks for each in MUTANTS])
def test_a_mutant_names_one_place_and_its_tests(mutant: Mutant) -> None:
    """Whoever changes a line that the list names, or moves a test, learns of the entry at once."""
    found = (ROOT / mutant.file).read_text().count(mutant.was)
    assert found == 1, f"{mutant.file} has {found} times {mutant.was!r}; mend the entry in tests/mutants.toml"
    assert mutant.now != mutant.was
    assert mutant.tests
    missing = [test for test in mutant.tests if not (ROOT / test.partition("::")[0]).exists()]
    assert not missing


def test_no_mutant_is_listed_twice() -> None:
    """Each entry says by one sentence what it breaks."""
    sentences = [each.breaks for each in MUTANTS]
    assert len(set(sentences)) == len(sentences)
