"""One training in several processes: started by torchrun, joined by torch.distributed."""
