"""The local Service Bus: AMQP 1.0 on a port, over the embedded broker."""
