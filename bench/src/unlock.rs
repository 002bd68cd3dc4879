//! How long the sealed part of a record takes to open: once for a tap, behind the verdict. The peer is
//! a look-up name, which is what somebody without patience would have used instead: the ratio is what
//! each guess costs more.

use std::hint::black_box;
use std::time::Instant;

use crdt_model::catalogue::LookupKey;
use crdt_model::holder::{
    CardSecret, ContentKey, Cost, Details, Holder, NONCE_BYTES, Picture, seal,
};
use crdt_model::ids::{Identification, PassId};

use crate::measure::Times;

/// Names that are made.
const NAMES: u32 = 100_000;

pub(crate) fn measure(times: u32) {
    let lookup = LookupKey([7; 32]);
    let card: Identification = "0900000095902".parse().expect("a number of the test dataset");
    let secret = CardSecret::of(&card, &lookup);
    let details = Details::new("Fien Fictief".to_owned(), None).expect("a short name");
    // A PNG's first bytes and 30 KiB behind them: opening does not look inside.
    let file = [&b"\x89PNG\r\n\x1a\n"[..], &[7; 30 * 1024]].concat();
    let holder = Holder { details, picture: Picture::from_file(file).ok() };
    let (pass, key) = (PassId(7), ContentKey::new([9; 32]));
    let mut nonces = || [5; NONCE_BYTES];
    let sealed = seal(&holder, pass, &key, &[secret], Cost::STANDARD, &mut nonces)
        .expect("it can be sealed");
    let secret = CardSecret::of(&card, &lookup);
    let opened = (0..times).map(|_| {
        let begun = Instant::now();
        black_box(sealed.open(pass, &secret)).expect("it opens");
        begun.elapsed()
    });
    let opened = Times::of(opened.collect());
    let begun = Instant::now();
    for _ in 0..NAMES {
        black_box(lookup.card_key(black_box(&card)));
    }
    let name = begun.elapsed().as_secs_f64() * 1e3 / f64::from(NAMES);
    let (median, tail) = (opened.percentile(50), opened.percentile(95));
    println!("{} MiB, {} passes", Cost::STANDARD.memory_kib / 1024, Cost::STANDARD.passes);
    println!("opened, with a picture of 30 KiB   {median:8.1} ms, p95 {tail:.1} ms (target 60)");
    println!("a look-up name                     {name:8.5} ms");
    println!("ratio                              {:8.0}", median / name);
}
