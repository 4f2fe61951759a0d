"""Sounds as files, waveforms and log-mels, and the way back from a log-mel to a waveform.

Read in this order: `file_kinds`, `straight_file`, `ffmpeg`, `audio_files`, `mel`, `normalisation`;
then, for the way back, `magnitudes` and `phase`, and `inversion`, which joins them; last
`copy_error`: what is lost on the way, and `web_audio`: sounds for a web page.
"""
