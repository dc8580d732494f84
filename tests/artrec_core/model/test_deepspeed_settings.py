import pytest

from artrec_core.errors import ArtrecError
from artrec_core.model.deepspeed_settings import deepspeed_file, has_bfloat16_weights


def test_settings_that_are_not_there_are_named():
    with pytest.raises(ArtrecError, match=r"zero9\.json"):
        deepspeed_file("infra/deepspeed/zero9.json")


@pytest.mark.parametrize(("name", "has_half"), [("zero2", False), ("zero2_bf16", True)])
def test_the_weights_type_is_read_from_the_file(name: str, has_half: bool):
    assert has_bfloat16_weights(deepspeed_file(f"infra/deepspeed/{name}.json")) == has_half
