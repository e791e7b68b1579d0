"""The paper's pipeline as one system: audio files through Kueue onto slices, their transcripts through a gateway."""
