//! Both generations of sync over HTTP, besides what the models in `sync_model` ask.

mod bad_input;
mod event_fields;
mod extensions;
mod merged;
mod own_echo;
