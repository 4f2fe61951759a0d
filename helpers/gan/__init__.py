"""The generative adversarial network: one network makes sounds, another tells them from real.

Read `networks` (the two players), `losses` (what each wants), `augment` (what the discriminator
sees), `players` (one update of each), `captured` (the same repeated by a GPU), `processes` (the
same in several processes), `generator_file` (a generator on disk), then `generate` (from classes
to sounds).
"""
