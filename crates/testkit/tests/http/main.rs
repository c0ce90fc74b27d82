//! What holds for every route, and what the server says of itself; media.

mod edges;
mod media;
mod refusals;
mod routes;
mod security_table;
mod spec_coverage;
mod support;
mod url_previews;
mod versions;
