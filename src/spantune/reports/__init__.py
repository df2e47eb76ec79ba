"""Tables and plots, from records alone: `reports.table.comparison`, `reports.plots`. No torch."""
