"""The scvi-tools model: :class:`scgim.model.GIM`, its module, training plan and data modules."""
