"""Training examples from the cache, and which of them a step sees."""

import numpy as np
import pytest
import torch

from helpers.config import TrainConfig
from helpers.data.dataset import (
    TrainAudioSpectrogramDataset,
    draw_items,
    fit_clip_normaliser,
    members_of_classes,
    steps_per_epoch,
)


def test_items_are_spectrograms_and_one_hot_labels(clips, dataset):
    assert len(dataset) == 21  # seven of eight in each of three classes
    spectrogram, label_vec = dataset[0]
    assert spectrogram.shape == (1, 16, 16) and spectrogram.dtype == torch.float32
    assert label_vec.tolist() == [1, 0, 0] and label_vec.dtype == torch.float32
    torch.testing.assert_close(dataset[-1][0], dataset[20][0])
    with pytest.raises(IndexError):
        dataset[21]
    batch, label_vecs = dataset.batch(torch.arange(21))
    assert batch.shape == (21, 1, 16, 16)
    assert label_vecs.sum(dim=0).tolist() == [7, 7, 7]
    for item in (3, 17):
        torch.testing.assert_close(batch[item], dataset[item][0])
        torch.testing.assert_close(label_vecs[item], dataset[item][1])


def test_the_test_split_holds_other_clips_in_the_same_scale(clips, dataset):
    test = TrainAudioSpectrogramDataset(clips, dataset.normaliser, "test")
    assert len(test) == 3
    assert not set(test.indices) & set(dataset.indices)


def test_a_torch_loader_takes_the_data_set(dataset):
    batches = list(torch.utils.data.DataLoader(dataset, batch_size=8))
    assert [len(x) for x, _ in batches] == [8, 8, 5]


def test_statistics_are_those_of_the_training_split_alone(clips):
    normaliser = fit_clip_normaliser(clips)
    train = clips.mels[clips.indices("train")].astype(np.float64)
    np.testing.assert_allclose(normaliser.mean, train.mean(axis=(0, 2)), rtol=1e-5)


def test_log_mels_on_a_device_give_the_same_batches(clips):
    data = TrainAudioSpectrogramDataset(clips, fit_clip_normaliser(clips))
    items = torch.tensor([3, 0, 20])
    before = data.batch(items)
    data.move_to(torch.device("cpu"))
    data.cache = None  # is not read any more
    for one, other in zip(before, data.batch(items), strict=True):
        torch.testing.assert_close(one, other)


def few(n_each: tuple[int, ...]):
    labels = torch.arange(len(n_each)).repeat_interleave(torch.tensor(n_each))

    class Few:
        n_classes = len(n_each)

        def __len__(self):
            return len(labels)

    found = Few()
    found.labels = labels
    found.members = members_of_classes(labels)
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
