//! Small helpers for tables.

/// An ordered list of texts as `Vec<String>`.
macro_rules! texts {
    ($($it:expr),* $(,)?) => { vec![$(String::from($it)),*] };
}
