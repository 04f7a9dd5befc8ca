//! `byoi build`, by its command line: what it writes, what it moves, what it says.

mod awkward_bases;
mod command;
mod interrupted;
mod judged;
mod obsolete;
mod outputs;
mod pushes;
mod rebuild;
mod same_bytes;
mod shell;
mod trouble;
