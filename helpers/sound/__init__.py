"""Sounds as files, waveforms and log-mels, and the way back from a log-mel to a waveform.

Read in this order: `file_kinds`, `straight_file`, `ffmpeg`, `audio_files`, `mel`, `normalisation`;
then, for the way back, `magnitudes` and `phase`, and `inversion`, which joins them; `copy_error`:
what is lost on the way; last, for sounds that are taken away, `web_audio`, `handed_out` and
`loops`.
"""
