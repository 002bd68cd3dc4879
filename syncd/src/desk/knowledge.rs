//! What the desk knows from the hub: its pass list and the rest of the catalogue, the policy, and which activity the
//! volunteers chose of it.

use std::fs;

use crdt_model::catalogue::{
    Activity, CardSystem, CatalogueLimits, Coupon, Item, ItemName, LookupKey, PassRecord, Policy,
    Reward,
};
use crdt_model::counter::{self, Confirmed};
use crdt_model::ids::Identification;
use crdt_model::time::UnixMillis;
use serde::{Deserialize, Serialize};

use super::{Desk, Refusal};
use crate::disk::DiskTrouble;
use crate::paths::{DeskFolder, write_durably};
use crate::store::{Cursor, Store, StoreError};
use desk_api::types::ActivityView;

/// What the volunteers chose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    /// The contract's `eventId` of the desk's activity.
    activity: Option<String>,
}

/// Two clocks that are both right are never so far apart: one day, in milliseconds.
const MOST_TOLERANCE: i64 = 86_400_000;

/// What is known from the hub.
#[derive(Debug)]
pub(super) struct Knowledge {
    pub(super) store: Store,
    /// How cards are looked up in it.
    pub(super) lookup: LookupKey,
    /// The small parts of the catalogue, kept at hand: a few dozen each.
    pub(super) activities: Vec<Activity>,
    pub(super) rewards: Vec<Reward>,
    pub(super) coupons: Vec<Coupon>,
    pub(super) card_systems: Vec<CardSystem>,
    pub(super) policy: Policy,
    /// The limits of this catalogue.
    pub(super) limits: CatalogueLimits,
    settings: Settings,
}

impl Knowledge {
    /// What the volunteers chose in this folder; [`Knowledge::take_up`] reads the rest from the store.
    pub(super) fn new(folder: &DeskFolder, store: Store, lookup: LookupKey) -> Self {
        let settings = fs::read(folder.settings())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self {
            store,
            lookup,
            activities: Vec::new(),
            rewards: Vec::new(),
            coupons: Vec::new(),
            card_systems: Vec::new(),
            policy: Policy::default(),
            limits: CatalogueLimits::default(),
            settings,
        }
    }

    /// Takes up the small parts of the catalogue from the store.
    fn take_up(&mut self) {
        self.activities = self.store.activities();
        self.rewards = self.store.rewards();
        self.coupons = self.store.coupons();
        self.card_systems = self.store.card_systems();
        self.take_up_limits();
        self.take_up_policy();
    }

    /// Takes up what these items of a page changed, which the store has.
    fn take_up_changed(&mut self, items: &[Item]) {
        let mut limits = false;
        for item in items {
            let name = item.name();
            limits |=
                matches!(name, ItemName::Activity(_) | ItemName::Reward(_) | ItemName::Coupon(_));
            match name {
                ItemName::Activity(_) => self.activities = self.store.activities(),
                ItemName::Reward(_) => self.rewards = self.store.rewards(),
                ItemName::Policy => self.take_up_policy(),
                ItemName::Coupon(_) => self.coupons = self.store.coupons(),
                ItemName::CardSystem(_) => self.card_systems = self.store.card_systems(),
                ItemName::Pass(_) => {}
            }
        }
        if limits {
            self.take_up_limits();
        }
    }

    fn take_up_limits(&mut self) {
        let mut limits = CatalogueLimits::default();
        limits.add_activities(&self.activities);
        limits.add_rewards(&self.rewards);
        limits.add_coupons(&self.coupons);
        self.limits = limits;
    }

    /// What the policy says of clocks came over the wire, so it is brought within its bounds.
    fn take_up_policy(&mut self) {
        let policy = self.store.policy();
        let clock_tolerance = policy.clock_tolerance.clamp(0, MOST_TOLERANCE);
        self.policy = Policy { clock_tolerance, ..policy };
    }

    /// The record of the pass that carries this card.
    pub(super) fn record(&self, card: &Identification) -> Result<Option<PassRecord>, StoreError> {
        self.store.pass_of_card(&self.lookup.card_key(card))
    }

    /// The versions of the catalogue and of the venue that the desk has.
    pub(super) fn have(&self) -> (u64, u64) {
        let cursor = |cursor| self.store.cursor(cursor).unwrap_or_default();
        (cursor(Cursor::Catalogue), cursor(Cursor::Venue))
    }

    /// The desk's activity, where one is chosen.
    pub(super) fn activity(&self) -> Option<&Activity> {
        let chosen = self.settings.activity.as_deref()?;
        self.activities.iter().find(|activity| activity.event_id == chosen)
    }
}

impl Desk {
    /// Takes up the small parts of the catalogue from the store.
    pub(super) fn take_up_catalogue(&mut self) {
        self.knowledge.take_up();
        self.time.clock.set_tolerance(self.knowledge.policy.clock_tolerance);
    }

    /// Takes up what these items of a page changed.
    pub(super) fn take_up_changed(&mut self, items: &[Item]) {
        self.knowledge.take_up_changed(items);
        self.time.clock.set_tolerance(self.knowledge.policy.clock_tolerance);
    }

    /// What the desk has of the catalogue and of the venue.
    pub fn have(&self) -> (u64, u64) {
        self.knowledge.have()
    }

    /// For how long the hub has not confirmed the catalogue, in milliseconds.
    pub(super) fn catalogue_age(&self, now: UnixMillis) -> i64 {
        counter::age_of(self.catalogue_confirmed(), &self.knowledge.policy, now)
    }

    fn catalogue_confirmed(&self) -> Confirmed {
        if self.links.confirmed() {
            return Confirmed::Now;
        }
        // Nobody knows how old the records of a damaged list are, nor for how long a desk was off whose clock lags.
        if self.knowledge.store.is_damaged() || self.time.clock.may_be_behind() {
            return Confirmed::Unknown;
        }
        let at = self.knowledge.store.cursor(Cursor::CatalogueAt).ok().filter(|at| *at > 0);
        at.map_or(Confirmed::Unknown, |at| {
            Confirmed::At(UnixMillis(i64::try_from(at).unwrap_or(i64::MAX)))
        })
    }

    pub(super) fn activity_view(&self, activity: &Activity) -> ActivityView {
        ActivityView {
            event_id: activity.event_id.clone(),
            title: activity.title.clone(),
            checkin_points: activity.checkin_points,
            chosen: self.knowledge.settings.activity.as_deref() == Some(&activity.event_id),
            open: self.time.clock.is_a_guess()
                || activity.opening_hours.takes_checkins(&self.calendar, self.time.clock.latest()),
            prices: activity.prices.clone(),
            checkin_codes: activity.checkin_codes.iter().map(|it| it.code.clone()).collect(),
        }
    }

    /// The venue's activities.
    pub fn activities(&self) -> Vec<ActivityView> {
        self.knowledge.activities.iter().map(|activity| self.activity_view(activity)).collect()
    }

    /// Chooses the desk's activity.
    ///
    /// # Errors
    /// [`Refusal::NoSuchActivity`]; [`Refusal::Settings`] where the choice cannot be kept.
    pub fn choose_activity(&mut self, event_id: &str) -> Result<ActivityView, Refusal> {
        if !self.knowledge.activities.iter().any(|activity| activity.event_id == event_id) {
            return Err(Refusal::NoSuchActivity);
        }
        let settings = Settings { activity: Some(event_id.to_owned()) };
        let json = serde_json::to_vec_pretty(&settings).unwrap_or_default();
        if let Err(error) = write_durably(&self.folder.settings(), &json) {
            self.disk_failed(DiskTrouble::of_failed_write(&error));
            return Err(Refusal::Settings(error));
        }
        self.knowledge.settings = settings;
        self.publish_status();
        self.knowledge
            .activity()
            .map(|activity| self.activity_view(activity))
            .ok_or(Refusal::NoSuchActivity)
    }
}
