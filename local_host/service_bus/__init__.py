"""The Service Bus triggers and the `serviceBus` output."""
