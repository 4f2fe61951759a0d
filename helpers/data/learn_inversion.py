"""Train the network of the inversion on the recordings themselves: every clip has both its mel and its magnitudes."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.config import AudioConfig
from helpers.data.clips import ClipCache
from helpers.device import pick_precision
from helpers.network_file import load_network, save_network
from helpers.progress import n_workers
from helpers.sound.magnitudes import MagnitudeNet
from helpers.sound.mel import compress, expand
from helpers.sound.phase import modulus, raised, spectrum

STEPS = 1_200
BATCH_SIZE, FRAMES = 16, 64
LEARNING_RATE = 2e-3
LOG_WEIGHT = 0.1  # of the error in the logarithm, beside that in the magnitude
MEL_NOISE = (
    0.1  # largest standard deviation, in nepers: generated mels are not quite those of sounds
)
QUIETEST_DB, LOUDEST_DB = -20.0, 6.0  # gains that clips are heard at
SECONDS_READ = 1_800  # of recordings, at random: more is no better in as many steps
TINY = 1e-10  # a root has no slope at 0
FEWEST_CLIPS = 20  # a tenth of them tells whether it pays
SILENT = 1e-3  # peak of a clip from which nothing can be learned


def open_magnitude_net(
    path: Path,
    clips: ClipCache,
    steps: int = STEPS,
    device: torch.device | str = "cpu",
    progress: Callable | None = None,
) -> MagnitudeNet | None:
    """The network of a run's training clips: from its file if trained on the same clips, else trained and saved.

    None with steps 0, with very few clips, and where it does not pay: on a tenth of the clips, which it has not
    learned from, it must be nearer than the estimate it corrects. Raises AudioError if a recording is gone.
    """
    note = {"clips": clips.key, "steps": str(steps)}
    network = load_magnitude_net(path, clips.audio, note)
    if network is not None:
        return network
    path.unlink(
        missing_ok=True
    )  # of other clips or settings: 03_train would take it for this run's
    waveforms = read_waveforms(clips) if steps else ()
    if len(waveforms) < FEWEST_CLIPS:
        return None
    n_checked = len(waveforms) // 10
    network = train_magnitude_net(
        waveforms[n_checked:], clips.audio, steps, device=device, progress=progress
    )
    if not improves_on_untrained(network, waveforms[:n_checked]):
        return None
    save_network(path, network, note)
    return network


def load_magnitude_net(
    path: Path, audio: AudioConfig, note: dict[str, str] | None = None
) -> MagnitudeNet | None:
    """The network in a file, if it is of this geometry and, when a note is given, was saved with that note.

    None where there is none, or it is damaged: without it the inversion is "joint".
    """
    return load_network(path, MagnitudeNet(audio), note)


def read_waveforms(clips: ClipCache, seconds: float = SECONDS_READ, seed: int = 0) -> Tensor:
    """Training clips (N, clip_samples), of `seconds` in all at most, chosen at random; silent ones are left out."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(clips.indices("train"))[
        : max(1, int(seconds / clips.audio.duration_s))
    ]
    with ThreadPoolExecutor(n_workers()) as pool:
        waveforms = torch.from_numpy(np.stack(list(pool.map(clips.waveform, chosen))))
    return waveforms[waveforms.abs().amax(dim=1) > SILENT]


def train_magnitude_net(
    waveforms: Tensor,
    audio: AudioConfig,
    steps: int = STEPS,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable | None = None,
) -> MagnitudeNet:
    """Train on clips (N, clip_samples); the network comes back on the CPU.

    The loss is spectral convergence, the distance of the magnitudes as a share of their norm, and the mean error of
    their logarithms. Half of the batches' mels are noisy, as generated ones are.
    """
    device = torch.device(device)
    waveforms, rng = waveforms.to(device), torch.Generator().manual_seed(seed)
    short = dataclasses.replace(audio, n_frames=min(FRAMES, audio.n_frames))
    amp = {
        "device_type": device.type,
        "dtype": torch.bfloat16,
        "enabled": pick_precision("auto", device) == "bf16",
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = MagnitudeNet(audio).to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), LEARNING_RATE, betas=(0.9, 0.99), fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.05
    )
    for _ in progress(range(steps), desc="inversion", total=steps) if progress else range(steps):
        magnitude, mel = _draw_batch(waveforms, short, network.bank, rng)
        with torch.autocast(**amp):
            found = network(mel)
        loss = magnitude_loss(raised(found + TINY, 1 / audio.power), magnitude)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    return network.cpu().eval()


@torch.no_grad()
def improves_on_untrained(network: MagnitudeNet, waveforms: Tensor) -> bool:
    """Whether a network is nearer to the magnitudes of clips (N, clip_samples) than one that was not trained."""
    return _loss_on(network, waveforms) < _loss_on(MagnitudeNet(network.audio), waveforms)


def magnitude_loss(found: Tensor, magnitude: Tensor) -> Tensor:
    """Mean over a batch of how far magnitudes (B, n_freqs, n_frames) are from the true ones, loudness aside."""
    power = magnitude.square().sum(dim=(1, 2)) + 1e-3
    convergence = ((found - magnitude).square().sum(dim=(1, 2)) / power + 1e-6).sqrt()
    floor = 1e-3 * magnitude.amax(dim=(1, 2), keepdim=True) + 1e-6
    log_error = ((found + floor).log() - (magnitude + floor).log()).abs().mean(dim=(1, 2))
    return (convergence + LOG_WEIGHT * log_error).mean()


def _loss_on(network: MagnitudeNet, waveforms: Tensor) -> float:
    audio, total = network.audio, 0.0
    for part in waveforms.split(BATCH_SIZE):
        magnitude, compressed = _pair(part, audio, network.bank)
        found = network(expand(compressed, audio))
        total += len(part) * float(magnitude_loss(raised(found + TINY, 1 / audio.power), magnitude))
    return total


def _pair(waveforms: Tensor, audio: AudioConfig, bank: Tensor) -> tuple[Tensor, Tensor]:
    """Magnitudes (B, n_freqs, n_frames) and compressed mels (B, n_mels, n_frames) of waveforms, by one STFT."""
    magnitude = modulus(spectrum(waveforms, audio)).transpose(1, 2)
    return magnitude, compress(bank.T @ raised(magnitude, audio.power), audio)


def _draw_batch(
    waveforms: Tensor, audio: AudioConfig, bank: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Magnitudes (B, n_freqs, n_frames) and mels (B, n_mels, n_frames) of parts of clips at random gains."""
    rows = torch.randint(len(waveforms), (BATCH_SIZE,), generator=rng)
    starts = torch.randint(
        waveforms.shape[1] - audio.clip_samples + 1, (BATCH_SIZE,), generator=rng
    )
    parts = torch.stack(
        [waveforms[r, s : s + audio.clip_samples] for r, s in zip(rows, starts, strict=True)]
    )
    decibels = QUIETEST_DB + (LOUDEST_DB - QUIETEST_DB) * torch.rand((BATCH_SIZE, 1), generator=rng)
    parts = parts * (10 ** (decibels / 20)).to(parts.device)
    magnitude, compressed = _pair(parts, audio, bank)
    if audio.compression == "log" and torch.rand((), generator=rng) < 0.5:
        amount = MEL_NOISE * torch.rand((BATCH_SIZE, 1, 1), generator=rng)
        compressed = compressed + (amount * torch.randn(compressed.shape, generator=rng)).to(
            parts.device
        )
    return magnitude, expand(compressed, audio)
