"""Downloads: models, data sets, the starter model; and uploads of exports."""
