"""What half precision buys on a device: memory, time and energy of a training step, behind `halfsim.cost`."""
