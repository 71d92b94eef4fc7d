#![doc = include_str!("../README.md")]

mod address_guard;
mod authorization;
mod browser;
mod callback;
mod error;
mod flow;
mod grant;
mod http;
mod keeper;
mod revocation;
mod settings;
mod token_store;

pub use authorization::{Authorization, Login, Logout};
pub use browser::{Browser, SystemBrowser};
pub use error::{Kind, OAuthError};
pub use settings::{Algorithm, Client, Proof, Settings};
pub use token_store::{StoreError, TokenStore};
