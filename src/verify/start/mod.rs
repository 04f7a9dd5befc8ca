//! What a container's command comes to: entrypoint and command are followed through wrappers, shells and the image's own scripts, to the program
//! that stays. Nothing is run; of a script, every command that it may run is looked at, and the best of several starts counts.

mod expand;
mod follow;
mod lexer;
mod script;
mod server;
mod trail;
mod word;
mod wrapper;

pub use follow::{follow, follow_own};
pub use server::{Server, Value, options};
pub use trail::{End, Hop, Start};
pub use word::Word;
