"""VIDEVAL's 60 features of a video (Tu et al., 2021), written from their formulas."""
