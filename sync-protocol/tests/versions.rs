//! A hub or a desk of the version before: what it says is read, and it reads what is said to it.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

use crdt_model::ids::RewardId;
use crdt_model::stock::{GrantId, GrantedUnits, Units};
use minicbor::{Decode, Encode};
use sync_protocol::message::HubMessage;

/// The hub's messages of version 0.1, as far as they are looked at here.
#[derive(Debug, PartialEq, Encode, Decode)]
enum Before {
    #[n(11)]
    Grants(#[n(0)] Vec<GrantedUnits>),
}

#[test]
fn a_hub_of_before_says_nothing_of_what_is_left_and_a_desk_of_before_passes_over_it() {
    let units = Units { first: 3, count: 5 };
    let granted = vec![GrantedUnits { grant: GrantId(7), reward: RewardId(2), units }];
    let said = minicbor::to_vec(Before::Grants(granted.clone())).unwrap();
    assert_eq!(HubMessage::from_bytes(&said), Ok(HubMessage::Grants(granted.clone(), None, None)));
    let says = HubMessage::Grants(granted.clone(), Some(vec![RewardId(9)]), Some(7));
    assert_eq!(HubMessage::from_bytes(&says.to_bytes()), Ok(says.clone()));
    let heard: Before = minicbor::decode(&says.to_bytes()).unwrap();
    assert_eq!(heard, Before::Grants(granted));
}
