"""What pages share: the project's recipe, dataset, base model, run and jobs."""
