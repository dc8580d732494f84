import numpy as np

from artrec_core.model.augmentation import SYNONYMS, augment_document, split_facts, swap_synonyms

DOCUMENT = "The Sea at St. Ives. by A. B. Carr (British). c. 1890. painting; oil on canvas. boat, harbour."


def test_facts_end_in_full_stops_but_initials_and_short_words_do_not():
    assert split_facts(DOCUMENT) == [
        "The Sea at St. Ives.",
        "by A. B. Carr (British).",
        "c. 1890.",
        "painting; oil on canvas.",
        "boat, harbour.",
    ]
    assert split_facts("") == [""]


def test_facts_are_dropped_and_shuffled_but_none_is_invented_and_one_stays():
    documents = [augment_document("Dawn. by Noone. 1890.", np.random.default_rng(seed)) for seed in range(200)]
    results = [split_facts(document) for document in documents]
    assert all(facts and set(facts) <= {"Dawn.", "by Noone.", "1890."} for facts in results)
    assert {len(facts) for facts in results} == {1, 2, 3}
    assert ["1890.", "Dawn."] in results


def test_an_empty_document_stays_empty():
    assert augment_document("", np.random.default_rng(0)) == ""


def test_terms_are_swapped_for_synonyms_with_their_capitals():
    texts = {swap_synonyms("Still life, oil on canvas", np.random.default_rng(seed)) for seed in range(300)}
    assert "Nature morte, oil painting on canvas" in texts
    assert "Still life, oil on canvas" in texts


def test_parts_of_words_are_not_terms():
    for seed in range(20):
        assert (
            swap_synonyms("steamboat, portraits, iconic", np.random.default_rng(seed)) == "steamboat, portraits, iconic"
        )


def test_the_same_seed_gives_the_same_document():
    assert augment_document(DOCUMENT, np.random.default_rng([1, 2])) == augment_document(
        DOCUMENT, np.random.default_rng([1, 2])
    )


def test_no_term_is_in_two_groups():
    terms = [term for group in SYNONYMS for term in group]
    assert len(terms) == len(set(terms))
    assert terms == [term.lower() for term in terms]
