"""Downloads: models, data sets, the starter model."""
