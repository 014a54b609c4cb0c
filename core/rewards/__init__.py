"""Reward models: a score for an answer to a prompt, learnt from what people preferred; one module a method."""
