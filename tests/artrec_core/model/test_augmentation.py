import numpy as np

from artrec_core.model.augmentation import SYNONYMS, augmented, facts, with_synonyms

DOCUMENT = "The Sea at St. Ives. by A. B. Carr (British). c. 1890. painting; oil on canvas. boat, harbour."


def test_facts_end_in_full_stops_but_initials_and_short_words_do_not():
    assert facts(DOCUMENT) == [
        "The Sea at St. Ives.",
        "by A. B. Carr (British).",
        "c. 1890.",
        "painting; oil on canvas.",
        "boat, harbour.",
    ]
    assert facts("") == [""]


def test_facts_are_left_out_and_shuffled_but_nothing_is_made_up_and_something_is_left():
    told = [augmented("Dawn. by Noone. 1890.", np.random.default_rng(seed)) for seed in range(200)]
    left = [facts(one) for one in told]
    assert all(one and set(one) <= {"Dawn.", "by Noone.", "1890."} for one in left)
    assert {len(one) for one in left} == {1, 2, 3}
    assert ["1890.", "Dawn."] in left


def test_an_empty_document_stays_empty():
    assert augmented("", np.random.default_rng(0)) == ""


def test_terms_are_swapped_for_synonyms_with_their_capitals():
    told = {with_synonyms("Still life, oil on canvas", np.random.default_rng(seed)) for seed in range(300)}
    assert "Nature morte, oil painting on canvas" in told
    assert "Still life, oil on canvas" in told


def test_parts_of_words_are_no_terms():
    for seed in range(20):
        assert (
            with_synonyms("steamboat, portraits, iconic", np.random.default_rng(seed)) == "steamboat, portraits, iconic"
        )


def test_the_same_seed_tells_the_same():
    assert augmented(DOCUMENT, np.random.default_rng([1, 2])) == augmented(DOCUMENT, np.random.default_rng([1, 2]))


def test_no_term_means_two_things():
    terms = [term for group in SYNONYMS for term in group]
    assert len(terms) == len(set(terms))
    assert terms == [term.lower() for term in terms]
