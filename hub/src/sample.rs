//! The sample catalogue: publiq's public test dataset in the form that `import` takes, with points
//! and prices of our own so that there is something to redeem. All holders are fictional.

/// The sample catalogue, JSON.
pub const CATALOGUE: &str = include_str!("sample.json");
