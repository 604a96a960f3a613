"""The loss scales that suit a model's gradients."""
