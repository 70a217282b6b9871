"""Files and states that earlier versions wrote."""

import json

import pytest
import torch
from made_up import DATA, X, equal_states, metadata, reference
from torch import nn

from int8_rnn import load, quantize, save

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")


class OfVersion10(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, 2, bidirectional=True), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0])


class OfVersion20(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.gru = nn.LSTM(3, 6, 2, proj_size=4), nn.GRU(4, 3, bidirectional=True)
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.gru(self.lstm(x)[0])[0])


def expected_of(name):
    if name == "version_1_0":
        return torch.load(DATA / "version_1_0.pt", weights_only=True)
    found = torch.load(DATA / "version_2_0.pt", weights_only=True)
    return found[8 if name.endswith("8_bits") else 16]


EARLIER = {
    "version_1_0": (OfVersion10, (16, None)),
    "version_2_0": (OfVersion20, (16, 16)),
    "version_2_0_8_bits": (OfVersion20, (8, 8)),
}


@pytest.mark.parametrize("name", EARLIER)
@pytest.mark.parametrize("converted", [True, False])
def test_files_of_earlier_versions_load_and_are_written_again_as_they_were(
    tmp_path, name, converted
):
    """With the bits they were saved with; what is saved again, the earlier version reads."""
    kind, (bits, hidden) = EARLIER[name]
    model, expected = kind().eval(), expected_of(name)
    loaded = reference(load(DATA / f"{name}.safetensors", quantize(model) if converted else model))
    assert loaded.lstm.activation_bits == bits
    assert loaded.lstm.hidden_bits == (hidden or 16)
    newer = name != "version_1_0"
    scheme = loaded.lstm.scheme
    assert (scheme.columns, scheme.residual, scheme.pairs) == (newer, newer, False)
    torch.testing.assert_close(loaded(X), expected["output"], rtol=0, atol=1e-6)
    assert equal_states(loaded.state_dict(), expected["state"])
    save(loaded, tmp_path / "again")
    before, after = (metadata(path) for path in (DATA / f"{name}.safetensors", tmp_path / "again"))
    old, new = (json.loads(one["layout"])["modules"] for one in (before, after))
    if name != "version_1_0":  # whose schemes say less
        assert new == old
    assert {one["format"] for one in (before, after)} == {"recipe_helpers.int8"}
    assert before["version"] == after["version"]
    again = reference(load(tmp_path / "again", kind()))
    assert torch.equal(again(X), loaded(X))


@pytest.mark.parametrize("assign", [True, False])
def test_a_state_of_version_1_0_loads_which_knew_no_columns(assign):
    old = torch.load(DATA / "version_1_0.pt", weights_only=True)
    floats = OfVersion10().eval()
    with torch.no_grad():
        floats.lstm.weight_ih_l0[:, 1] *= 100
    model = quantize(floats, activation_bits=16)
    newer, expected = model.state_dict(), model(X)
    assert model.lstm.weight_ih_l0_columns.min() < 1
    model.load_state_dict(old["state"], assign=assign)
    torch.testing.assert_close(model(X), old["output"], rtol=0, atol=2e-4)
    assert model.lstm.weight_ih_l0_columns is None
    assert not model.lstm.scheme.columns
    assert set(model.state_dict()) == set(old["state"])
    model.load_state_dict(newer, assign=assign)
    assert torch.equal(model(X), expected)
    assert model.lstm.scheme.columns
