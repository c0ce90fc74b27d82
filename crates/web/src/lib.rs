//! The pages for people: signing in and up, approving a client, typing a device's code, the account.
//!
//! They are rendered by the server, work without scripts (but for passkeys, which browsers give to scripts alone), load nothing
//! from elsewhere, and speak the reader's language
//! (`messages`). [`routes::ROUTES`] lists them. An authorization request travels in the pages' URLs and is read anew by each;
//! nothing of it is stored until somebody approves. What is posted comes from one of these pages in the same browser
//! (`guard`): a token in the form equals a cookie, and the browser says that the form is ours.

mod brand;
mod browser;
mod cookie;
mod guard;
mod layout;
mod messages;
mod next;
mod pages;
mod passkey;
mod people;
mod problem;
mod qr;
mod routes;
mod state;
mod strength;
mod wish;

pub use brand::{About, BadBranding, Brand, Branding, FootLink, FootText, MAX_LOGO};
pub use routes::{ROUTES, is_page, router};
pub use state::Pages;
pub use wish::ACTIONS;
