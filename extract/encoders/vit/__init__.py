"""Vision transformers: CLIP, SigLIP and VideoMAE."""
