//! What notifies whom, over HTTP and through push gateways.

mod counts;
mod push_rules;
mod pushers;
mod thread_subscriptions;
