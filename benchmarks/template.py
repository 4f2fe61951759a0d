"""The peer: a notebook as most people start from, with our networks, losses and geometry.

Eager, in fp32; both players make and judge their own batches; one file is decoded, resampled and
turned into a mel by a new transform for every item and epoch; one sound is made at a time.
"""

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from helpers.config import AudioConfig, RunConfig
from helpers.gan.augment import augment
from helpers.gan.losses import class_loss, discriminator_loss, generator_loss, r1_penalty
from helpers.gan.networks import ProjectionDiscriminator, make_discriminator, make_generator
from helpers.sound.mel import compress, mel_settings

ITERATIONS = 32  # of torchaudio's GriffinLim, by default


def read_item(path: str, audio: AudioConfig) -> Tensor:
    """A file as a compressed mel (n_mels, n_frames)."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    waveform = torch.from_numpy(samples.mean(axis=1))
    if rate != audio.sample_rate:
        waveform = torchaudio.transforms.Resample(rate, audio.sample_rate)(waveform)
    waveform = torch.nn.functional.pad(waveform, (0, max(0, audio.clip_samples - len(waveform))))
    mel = torchaudio.transforms.MelSpectrogram(
        n_fft=audio.n_fft,
        hop_length=audio.hop_length,
        power=audio.power,
        pad_mode="constant",
        **mel_settings(audio),
    )
    return compress(mel(waveform[: audio.clip_samples]), audio)


class Loop:
    """Both networks and their optimisers, updated as plainly as can be."""

    def __init__(self, config: RunConfig, n_classes: int, device: torch.device):
        torch.manual_seed(config.train.seed)
        self.config, self.device = config, device
        self.generator = make_generator(config.model, config.audio, n_classes).to(device)
        self.discriminator = make_discriminator(config.model, config.audio, n_classes).to(device)
        self.average = make_generator(config.model, config.audio, n_classes).to(device)
        betas = (config.train.beta1, config.train.beta2)
        self.optimiser_g = torch.optim.Adam(
            self.generator.parameters(), config.train.learning_rate_g, betas
        )
        self.optimiser_d = torch.optim.Adam(
            self.discriminator.parameters(), config.train.learning_rate_d, betas
        )

    def step(
        self, real: Tensor, y: Tensor, silence: Tensor, step: int, rng: torch.Generator
    ) -> None:
        """One update of each player on real (B, 1, H, W) and labels y, and of the average."""
        train = self.config.train
        real, y = real.to(self.device), y.to(self.device)
        real, fake = (
            self._shown(real, silence, rng),
            self._shown(self._made(y).detach(), silence, rng),
        )
        logits, heard = self._judge(real, y)
        loss = discriminator_loss(logits, self._judge(fake, y)[0])
        if train.class_weight:
            loss = loss + class_loss(heard, y)
        if train.r1_gamma and step % train.r1_every == 0:
            real = real.detach().requires_grad_()
            loss = loss + train.r1_gamma * train.r1_every * r1_penalty(
                self._judge(real, y)[0], real
            )
        self._update(self.optimiser_d, loss)
        logits, heard = self._judge(self._shown(self._made(y), silence, rng), y)
        loss = generator_loss(logits)
        if train.class_weight:
            loss = loss + train.class_weight * class_loss(heard, y)
        self._update(self.optimiser_g, loss)
        if train.ema_half_life_images:
            with torch.no_grad():
                for ours, theirs in zip(
                    self.average.parameters(), self.generator.parameters(), strict=True
                ):
                    ours.lerp_(theirs, 0.01)

    def _made(self, y: Tensor) -> Tensor:
        return self.generator(torch.randn(len(y), self.config.model.z_dim, device=self.device), y)

    def _shown(self, x: Tensor, silence: Tensor, rng: torch.Generator) -> Tensor:
        return augment(x, self.config.train.augmentations, silence, rng)

    def _judge(self, x: Tensor, y: Tensor):
        if isinstance(self.discriminator, ProjectionDiscriminator):
            return self.discriminator.forward_with_class(x, y)
        return self.discriminator(x, y), None

    def _update(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def invert_one(compressed: Tensor, audio: AudioConfig) -> np.ndarray:
    """A compressed mel (n_mels, n_frames) to a waveform, by torchaudio's transforms, made anew."""
    inverse = torchaudio.transforms.InverseMelScale(
        n_stft=audio.n_freqs, driver="gelsd", **mel_settings(audio)
    )
    griffin_lim = torchaudio.transforms.GriffinLim(
        audio.n_fft,
        ITERATIONS,
        hop_length=audio.hop_length,
        power=audio.power,
        length=audio.clip_samples,
    )
    return griffin_lim(inverse(compressed.exp())).numpy()
