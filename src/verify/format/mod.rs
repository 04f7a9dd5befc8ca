//! A report in the forms that programs read; what people read is the command's.

mod json;

pub use json::json;
