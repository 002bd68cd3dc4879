//! publiq's public test dataset in the form that the hub's `import` takes, with points
//! and prices of our own so that there is something to redeem. All holders are fictional.

/// It as a catalogue file, JSON.
pub const CATALOGUE: &str = include_str!("dataset.json");
