//! Sans-IO forwarder: subscriptions, layer admission, queues and drop policy.
