"""A gate of the demo that failed for want of processors is told from one that a release failed."""

from cli.demo.__main__ import words_of_load


def test_a_machine_with_more_to_do_than_it_can_is_named() -> None:
    said = words_of_load(11.06, 2)

    assert said is not None
    assert "11 programs share 2 processors" in said


def test_of_a_machine_that_is_quiet_nothing_is_said() -> None:
    assert words_of_load(3.9, 2) is None
