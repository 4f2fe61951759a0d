"""Which clips a step sees: classes equally often, in groups; or all clips once an epoch."""

import pytest
import torch

from helpers.config import TrainConfig
from helpers.data.dataset import draw_items, steps_per_epoch


def few(n_each: tuple[int, ...]):
    labels = torch.arange(len(n_each)).repeat_interleave(torch.tensor(n_each))

    class Few:
        n_classes = len(n_each)

        def __len__(self):
            return len(labels)

    found = Few()
    found.labels = labels
    return found


def test_balanced_draws_take_every_class_equally_often():
    data, rng, config = (
        few((200, 20, 2)),
        torch.Generator().manual_seed(0),
        TrainConfig(batch_size=3000),
    )
    items = draw_items(data, config, 0, rng)
    shares = torch.bincount(data.labels[items], minlength=3) / 3000
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.04, rtol=0)
    assert len(items[data.labels[items] == 0].unique()) > 190


@pytest.mark.parametrize("size", [2, 4, 10, 32])
def test_balanced_draws_come_in_groups_of_a_class(size):
    data, rng = few((20,) * 5), torch.Generator().manual_seed(0)
    labels = data.labels[draw_items(data, TrainConfig(batch_size=size), 0, rng)]
    assert len(labels) == size
    for first in range(0, size, 4):
        assert len(labels[first : first + 4].unique()) == 1
    assert len(labels.unique()) == min(5, -(-size // 4))


@pytest.mark.parametrize(("n_each", "size"), [((7, 3), 4), ((6, 6), 4), ((2, 1), 8)])
def test_unbalanced_draws_visit_every_item_once_an_epoch(n_each, size):
    data, config = few(n_each), TrainConfig(batch_size=size, class_balanced=False)
    per_epoch = steps_per_epoch(data, config)
    epochs = []
    for epoch in range(2):
        drawn = [
            draw_items(data, config, epoch * per_epoch + step, None) for step in range(per_epoch)
        ]
        assert {len(items) for items in drawn} == {size}
        epochs.append(torch.cat(drawn)[: len(data)].tolist())
        assert sorted(epochs[-1]) == list(range(len(data)))
    if len(data) > 5:
        assert epochs[0] != epochs[1] and epochs[0] != sorted(epochs[0])
