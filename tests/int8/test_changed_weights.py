"""However weights change, the next call computes with the new ones: nothing old is kept.

Each way is tried on a module that has run before, so that anything kept from that call would show.
"""

import copy
import pickle

import pytest
import torch
from torch import nn

import recipe_helpers as rh

KINDS = {"lstm": (rh.Int8LSTM, nn.LSTM, (7, 5, 2)), "linear": (rh.Int8Linear, nn.Linear, (7, 5))}


def made(kind, seed, fast):
    """An int8 module of this seed; `fast` None lets it run compiled, False only the reference."""
    int8, floats, sizes = KINDS[kind]
    torch.manual_seed(seed)
    return int8.from_float(floats(*sizes).eval(), fast=fast)


def output(module):
    given = torch.linspace(-1, 1, 3 * 2 * 7).view(3, 2, 7)
    found = module(given)
    return found[0] if isinstance(found, tuple) else found


def loaded(module, other):
    module.load_state_dict(other.state_dict())
    return module


def assigned(module, other):
    module.load_state_dict(other.state_dict(), assign=True)
    return module


def written_in_place(module, other):
    for name, tensor in module.named_buffers():
        tensor.copy_(dict(other.named_buffers())[name])
    return module


def written_through_data(module, other):
    for name, tensor in module.named_buffers():
        tensor.data.copy_(dict(other.named_buffers())[name])
    return module


def replaced(module, other):
    for name, tensor in other.named_buffers():
        setattr(module, name, tensor.clone())
    return module


def copied_and_loaded(module, other):
    copied = copy.deepcopy(module)
    output(copied)
    copied.load_state_dict(other.state_dict())
    return copied


def pickled_and_loaded(module, other):
    sent = pickle.loads(pickle.dumps(module))
    output(sent)
    sent.load_state_dict(other.state_dict(), assign=True)
    return sent


WAYS = [
    loaded, assigned, written_in_place, written_through_data, replaced, copied_and_loaded,
    pickled_and_loaded,
]  # fmt: skip


@pytest.mark.parametrize("fast", [None, False], ids=["fast", "reference"])
@pytest.mark.parametrize("change", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_next_call_sees_the_new_weights(kind, change, fast):
    module, other = made(kind, 1, fast), made(kind, 2, fast)
    before = output(module)
    after = output(change(module, other))
    assert not torch.equal(before, after)
    assert torch.equal(after, output(other))


@pytest.mark.parametrize("fast", [None, False], ids=["fast", "reference"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_changes_leaves_the_original_alone(kind, fast):
    module, other = made(kind, 1, fast), made(kind, 2, fast)
    before = output(module)
    written_in_place(copy.deepcopy(module), other)
    assert torch.equal(output(module), before)
