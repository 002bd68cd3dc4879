//! What moved: told to the sessions of this process, and between processes. On PostgreSQL processes listen to each
//! other; on SQLite, where only one serves, what a command writes is left in a table at which the server looks.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crdt_model::ids::{DeviceId, VenueId};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;

use super::engine::Transaction;
use super::error::{DatabaseError, HubError};
use super::statement::sql;
use super::{Db, Writing};

/// How often a server on SQLite looks what commands have changed.
const LOOK_EACH: Duration = Duration::from_millis(250);

/// News of commands that are older than this were read, or nobody serves: an hour, in milliseconds.
const KEPT_FOR: i64 = 60 * 60 * 1000;

/// What moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "moved")]
pub enum News {
    /// A venue's log.
    Venue {
        /// The venue.
        venue: VenueId,
        /// Up to this number it is visible.
        number: u64,
    },
    /// The catalogue.
    Catalogue {
        /// Up to this number it is visible.
        number: u64,
        /// Somebody is to be refused from now on.
        urgent: bool,
    },
    /// The sealed parts.
    Holders {
        /// Up to this number they are visible.
        number: u64,
    },
    /// What the hub states to desks.
    Notices {
        /// Up to this number they are visible.
        number: u64,
    },
    /// A device: its grants, its card keys, or that it was revoked.
    Device {
        /// The device.
        device: DeviceId,
    },
    /// All devices: the card keys.
    Devices,
    /// Nobody knows what: everything is to be looked at.
    Everything,
    /// The database was put back from an older copy under this process: every session ends, and begins anew.
    PutBack,
}

/// How far that goes which concerns every session at once, and how often it moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ForAll {
    /// The last number of the catalogue that refuses somebody.
    pub urgent: u64,
    /// The sealed parts are visible up to this number.
    pub holders: u64,
    /// What the hub states to desks is visible up to this number.
    pub notices: u64,
    /// How often something of all devices moved.
    pub devices: u64,
    /// How often nobody knew what moved.
    pub everything: u64,
    /// How often the database was put back.
    pub put_back: u64,
}

/// Where the sessions of a process hear what moved.
#[derive(Debug, Default)]
pub struct NewsRoom {
    venues: Mutex<HashMap<VenueId, watch::Sender<u64>>>,
    devices: Mutex<HashMap<DeviceId, watch::Sender<u64>>>,
    all: watch::Sender<ForAll>,
    /// Up to which number the catalogue is visible. Each tap moves it, and sessions that will tell their desks later are
    /// not woken by that.
    catalogue: watch::Sender<u64>,
    put_back: watch::Sender<u64>,
}

/// What one session hears: of its venue, its device, and all.
#[derive(Debug)]
pub struct Subscription {
    venue: watch::Receiver<u64>,
    device: watch::Receiver<u64>,
    all: watch::Receiver<ForAll>,
    catalogue: watch::Receiver<u64>,
    heard: ForAll,
    heard_catalogue: u64,
}

/// What moved since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Heard {
    /// The venue's log, up to this number.
    pub venue: Option<u64>,
    /// The catalogue, up to this number.
    pub catalogue: Option<u64>,
    /// Somebody is to be refused.
    pub urgent: bool,
    /// The sealed parts, up to this number.
    pub holders: Option<u64>,
    /// What the hub states to desks, up to this number.
    pub notices: Option<u64>,
    /// Something of this device: its grants, its card keys, or that it was revoked.
    pub device: bool,
    /// Nobody knows what: everything is to be looked at.
    pub everything: bool,
    /// The database was put back.
    pub put_back: bool,
}

fn subscribe<K: Hash + Eq>(
    to: &Mutex<HashMap<K, watch::Sender<u64>>>,
    key: K,
) -> watch::Receiver<u64> {
    let mut all = to.lock().unwrap_or_else(PoisonError::into_inner);
    // Whoever has gone is forgotten when somebody comes: there are never more than sessions and one.
    all.retain(|_, sender| sender.receiver_count() > 0);
    all.entry(key).or_default().subscribe()
}

impl NewsRoom {
    /// How many sessions hear of what concerns all.
    pub fn sessions(&self) -> usize {
        self.all.receiver_count()
    }

    /// From now on: what moves of this venue, this device and all.
    pub fn subscribe(&self, venue: VenueId, device: DeviceId) -> Subscription {
        let (all, catalogue) = (self.all.subscribe(), self.catalogue.subscribe());
        let (heard, heard_catalogue) = (*all.borrow(), *catalogue.borrow());
        Subscription {
            venue: subscribe(&self.venues, venue),
            device: subscribe(&self.devices, device),
            all,
            catalogue,
            heard,
            heard_catalogue,
        }
    }

    /// How often the database was put back: for whoever looks after that.
    pub fn put_back(&self) -> watch::Receiver<u64> {
        self.put_back.subscribe()
    }

    /// Tells the sessions of this process.
    pub fn publish(&self, news: &[News]) {
        for it in news {
            match it {
                News::Venue { venue, number } => {
                    let all = self.venues.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(sender) = all.get(venue) {
                        sender.send_if_modified(|known| grow(known, *number));
                    }
                }
                News::Device { device } => {
                    let all = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(sender) = all.get(device) {
                        sender.send_modify(|count| *count += 1);
                    }
                }
                News::Catalogue { number, urgent } => {
                    self.catalogue.send_if_modified(|known| grow(known, *number));
                    if *urgent {
                        self.all.send_if_modified(|known| grow(&mut known.urgent, *number));
                    }
                }
                News::Holders { number } => {
                    self.all.send_if_modified(|known| grow(&mut known.holders, *number));
                }
                News::Notices { number } => {
                    self.all.send_if_modified(|known| grow(&mut known.notices, *number));
                }
                News::PutBack => {
                    self.all.send_modify(|known| known.put_back += 1);
                    self.put_back.send_modify(|count| *count += 1);
                }
                News::Devices => self.all.send_modify(|known| known.devices += 1),
                News::Everything => self.all.send_modify(|known| known.everything += 1),
            }
        }
    }
}

fn grow(known: &mut u64, number: u64) -> bool {
    let grows = number > *known;
    *known = number.max(*known);
    grows
}

impl Subscription {
    /// Waits until something moves, and says what. Nothing is lost between two calls, nor where a call is given up.
    /// Nothing where the hub is stopping.
    pub async fn heard(&mut self) -> Option<Heard> {
        self.heard_where(true).await
    }

    /// The same, and the catalogue wakes it only where `catalogue` says so or somebody is to be refused: a session that
    /// will tell its desk of the catalogue anyhow sleeps on, and reads [`Subscription::catalogue`] then.
    pub async fn heard_where(&mut self, catalogue: bool) -> Option<Heard> {
        // The mark of the one that wakes is taken with it; the others are asked.
        let woken = tokio::select! {
            changed = self.venue.changed() => changed.map(|()| Woken::Venue),
            changed = self.device.changed() => changed.map(|()| Woken::Device),
            changed = self.all.changed() => changed.map(|()| Woken::All),
            changed = self.catalogue.changed(), if catalogue => changed.map(|()| Woken::All),
        };
        Some(self.take(woken.ok()?))
    }

    /// Up to which number the catalogue is visible now, which is then heard.
    pub fn catalogue(&mut self) -> u64 {
        self.heard_catalogue = self.heard_catalogue.max(*self.catalogue.borrow_and_update());
        self.heard_catalogue
    }

    fn take(&mut self, woken: Woken) -> Heard {
        let moved = |of: &watch::Receiver<u64>| of.has_changed().unwrap_or_default();
        let venue = woken == Woken::Venue || moved(&self.venue);
        let device = woken == Woken::Device || moved(&self.device);
        let number = *self.venue.borrow_and_update();
        self.device.borrow_and_update();
        let all = *self.all.borrow_and_update();
        let catalogue_before = self.heard_catalogue;
        let before = std::mem::replace(&mut self.heard, all);
        // The two are told one after the other: whoever hears that somebody is to be refused hears from where.
        let urgent = all.urgent > before.urgent;
        self.heard_catalogue = self.heard_catalogue.max(all.urgent);
        let catalogue = self.catalogue();
        Heard {
            venue: venue.then_some(number),
            catalogue: (urgent || catalogue > catalogue_before).then_some(catalogue),
            urgent,
            holders: (all.holders > before.holders).then_some(all.holders),
            notices: (all.notices > before.notices).then_some(all.notices),
            put_back: all.put_back > before.put_back,
            device: device || all.devices > before.devices,
            everything: all.everything > before.everything,
        }
    }
}

/// Which of them woke a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    Venue,
    Device,
    All,
}

/// Leaves the transaction's news for other processes.
pub(super) async fn before_commit(writing: &mut Writing) -> Result<(), HubError> {
    if writing.news.is_empty() {
        return Ok(());
    }
    let news = writing.news.clone();
    let db = writing.db.clone();
    let transaction = &mut writing.reading.transaction;
    if transaction.is_postgres() {
        return notify(&db, transaction, &news).await;
    }
    // Whoever serves is the only one who reads them, and knows its own.
    if db.0.serves.load(Ordering::Relaxed) {
        return Ok(());
    }
    let now = db.now().0;
    let old = sql("DELETE FROM news WHERE at < $1").bind(now.saturating_sub(KEPT_FOR));
    transaction.execute(old).await?;
    for it in news {
        let leave = "INSERT INTO news (id, told, at)
             SELECT COALESCE(MAX(id), 0) + 1, $1, $2 FROM news";
        let told = serde_json::to_string(&it).unwrap_or_default();
        transaction.execute(sql(leave).bind(told).bind(now)).await?;
    }
    Ok(())
}

/// Tells other processes when the transaction is committed: on PostgreSQL.
pub(super) async fn notify(
    db: &Db,
    transaction: &mut Transaction,
    news: &[News],
) -> Result<(), HubError> {
    let Some((_, channel)) = &db.0.listening else { return Ok(()) };
    for it in news {
        let told = serde_json::to_string(it).unwrap_or_default();
        let notify = sql("SELECT pg_notify($1, $2)").bind(channel).bind(told);
        transaction.execute(notify).await?;
    }
    Ok(())
}

fn read_back(told: &str) -> News {
    // A newer process may tell what this one does not know.
    serde_json::from_str(told).unwrap_or(News::Everything)
}

impl Db {
    /// Hears what other processes write, for as long as this one serves, and tells its sessions. What was written while
    /// nobody heard is made good by looking at everything.
    ///
    /// # Errors
    /// [`HubError`]: it is to be called again.
    pub async fn listen(&self) -> Result<(), HubError> {
        self.0.serves.store(true, Ordering::Relaxed);
        match &self.0.listening {
            Some((options, channel)) => self.listen_to(options.clone(), channel).await,
            None => self.look_again_and_again().await,
        }
    }

    async fn listen_to(
        &self,
        options: sqlx::postgres::PgConnectOptions,
        channel: &str,
    ) -> Result<(), HubError> {
        let connect = async {
            // A connection of its own: it never ends, and must not take one from those who read and write.
            let pool = PgPoolOptions::new().max_connections(1).connect_with(options).await?;
            let mut listener = PgListener::connect_with(&pool).await?;
            listener.listen(channel).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let mut listener = connect.await.map_err(DatabaseError::from)?;
        self.0.news.publish(&[News::Everything]);
        loop {
            match listener.try_recv().await.map_err(DatabaseError::from)? {
                Some(heard) => self.0.news.publish(&[read_back(heard.payload())]),
                // The line broke, and stands again.
                None => self.0.news.publish(&[News::Everything]),
            }
        }
    }

    async fn look_again_and_again(&self) -> Result<(), HubError> {
        let highest = sql("SELECT COALESCE(MAX(id), 0) AS found FROM news");
        let mut known: i64 = self.read().await?.value(highest).await?.unwrap_or_default();
        self.0.news.publish(&[News::Everything]);
        loop {
            tokio::time::sleep(LOOK_EACH).await;
            // The highest comes along, so that a database that was put in place of this one is noticed.
            let select = "SELECT id, told FROM news
                 WHERE id > $1 OR id = (SELECT MAX(id) FROM news) ORDER BY id";
            let rows = self.read().await?.all(sql(select).bind(known)).await?;
            let Some(last) = rows.last() else { continue };
            let last: i64 = last.get("id")?;
            if last < known {
                self.0.news.publish(&[News::Everything]);
            }
            for row in &rows {
                if row.get::<i64>("id")? > known {
                    self.0.news.publish(&[read_back(&row.get::<String>("told")?)]);
                }
            }
            known = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_news_is_read_back_by_another_process_as_it_was_told() {
        let (venue, device, number) = (venue("here"), DeviceId([1; 16]), 7);
        for news in [
            News::Venue { venue, number },
            News::Catalogue { number, urgent: true },
            News::Holders { number },
            News::Notices { number },
            News::Device { device },
            News::Devices,
            News::PutBack,
        ] {
            assert_eq!(read_back(&serde_json::to_string(&news).unwrap()), news);
        }
    }

    fn venue(name: &str) -> VenueId {
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn a_session_hears_of_its_own_venue_and_device_and_of_what_concerns_all() {
        let room = NewsRoom::default();
        let mut here = room.subscribe(venue("here"), DeviceId([1; 16]));
        let mut there = room.subscribe(venue("there"), DeviceId([2; 16]));
        room.publish(&[News::Venue { venue: venue("here"), number: 7 }]);
        assert_eq!(here.heard().await.unwrap().venue, Some(7));
        room.publish(&[News::Device { device: DeviceId([1; 16]) }]);
        assert!(here.heard().await.unwrap().device);
        let silent = tokio::time::timeout(Duration::ZERO, there.heard()).await;
        assert!(silent.is_err(), "nothing of that concerns it: {silent:?}");
        room.publish(&[News::Catalogue { number: 9, urgent: true }]);
        for session in [&mut here, &mut there] {
            let heard = session.heard().await.unwrap();
            assert_eq!((heard.catalogue, heard.urgent), (Some(9), true));
            assert!(!heard.device && heard.venue.is_none(), "of nothing else: {heard:?}");
        }
        room.publish(&[News::Catalogue { number: 10, urgent: false }]);
        let asleep = tokio::time::timeout(Duration::ZERO, here.heard_where(false)).await;
        assert!(asleep.is_err(), "it knows that the catalogue moves: {asleep:?}");
        assert_eq!(here.catalogue(), 10);
        room.publish(&[News::Catalogue { number: 8, urgent: false }]);
        assert!(tokio::time::timeout(Duration::ZERO, here.heard()).await.is_err(), "it knew that");
    }
}
