"""The embedded broker: Service Bus queues, topics and subscriptions in the host's database."""
