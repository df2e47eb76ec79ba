"""From logits to spans, answers, EM and F1. Import the module that you need; the metrics import no torch."""
