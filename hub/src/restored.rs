//! A database that was put back from an older copy, by whatever tool: how the hub finds it out, and what it does then.
//!
//! Three things tell it: the journal beside the database, which knows of a run or a number that the database lacks
//! ([`begin`], at each start); the running server, which has seen a higher number (`watch`); and the desks, which were
//! told by a run that the database does not know (`note`). From then on nothing limited is granted before each desk
//! has stated what it holds, or an operator has said that it will not come back ([`waive`]); what desks know of
//! revocations and invitations is taken up from them ([`crate::notices`]); and each desk is told from the last number
//! that both know ([`sync_protocol::runs`]).

use std::collections::BTreeSet;

use crdt_model::ids::DeviceId;
use crdt_model::stock::{GrantState, GrantedUnits, StockError};
use data_encoding::HEXLOWER;
use sync_protocol::message::{Stated, StatedGrant};
use sync_protocol::seal::stated_by;

use crate::db::Line;
use crate::db::{Db, HubError, Writing};
use crate::notices::shut_out;
use crate::records::{devices, invitations, notices, runs, stock as kept};
use crate::stock;

/// Does again what the journal knows and the database does not, and opens this process's run.
///
/// # Errors
/// [`HubError`].
pub async fn begin(db: &Db) -> Result<(), HubError> {
    let put_back = compare(db).await?;
    db.open_run().await?;
    if put_back && let Some(present) = runs::last(&mut db.read().await?).await? {
        // Desks are going to say the same, and that is no news then.
        let mut writing = db.write().await?;
        runs::note_restored(&mut writing, present.id).await?;
        writing.commit().await?;
    }
    let Some(beside) = db.beside() else { return Ok(()) };
    let last = last_run(&beside.lines()?);
    if let Some(run) = runs::last(&mut db.read().await?).await?
        && Some(run.id) != last
    {
        beside.append(&[Line::Run { id: run.id }])?;
    }
    Ok(())
}

fn last_run(lines: &[Line]) -> Option<u64> {
    lines.iter().rev().find_map(|line| match line {
        Line::Run { id } => Some(*id),
        Line::Revoked { .. }
        | Line::InvitationUsed { .. }
        | Line::Granted { .. }
        | Line::Passes { .. } => None,
    })
}

/// Compares the database with the journal beside it: what it lacks is done again. Before a process numbers anything, for
/// an older copy would number again what desks were told. Whether it was put back, as far as the journal tells.
///
/// # Errors
/// [`HubError`].
pub async fn compare(db: &Db) -> Result<bool, HubError> {
    let Some(beside) = db.beside() else { return Ok(false) };
    let lines = beside.lines()?;
    // Before the database is asked: others may number meanwhile.
    let reached = beside.reached();
    let mut writing = db.write_to_whatever_stands_there().await?;
    let stands_at = runs::reached(&mut writing).await?;
    let last = last_run(&lines);
    let lost_run = match last {
        Some(id) if runs::known(&mut writing, &[id]).await?.is_empty() => Some(id),
        // The copy was taken in that run, and the run went on.
        Some(id) if reached.is_some_and(|reached| reached > stands_at) => Some(id),
        _ => None,
    };
    if let Some(run) = lost_run
        && !runs::is_noted(&mut writing, run).await?
    {
        tracing::error!(
            "the database was put back from an older copy: what desks hold comes back from them, and nothing limited is granted before they have stated what they were granted. Import again what was imported since"
        );
        runs::note_restored(&mut writing, run).await?;
    }
    for line in &lines {
        do_again(&mut writing, line, lost_run.is_some()).await?;
    }
    writing.commit().await?;
    db.goes_on_from(stands_at);
    if lost_run.is_some() {
        db.forgets_its_run();
        beside.goes_on_from(stands_at)?;
    }
    Ok(lost_run.is_some())
}

/// Does again what the journal says, where the database lacks it.
async fn do_again(writing: &mut Writing, line: &Line, restored: bool) -> Result<(), HubError> {
    match line {
        Line::Run { .. } => {}
        Line::Revoked { device } => {
            shut_out(writing, *device).await?;
        }
        Line::InvitationUsed { token_hash } => {
            let now = writing.now().0;
            if let Ok(hash) = HEXLOWER.decode(token_hash.as_bytes()) {
                invitations::note_used_before(writing, &hash, now).await?;
            }
        }
        // Its desk may have given them back since, or they may have gone to another desk: it states that.
        Line::Granted { grant, reward, device, units } if restored => {
            let granted = GrantedUnits { grant: *grant, reward: *reward, units: *units };
            take_up_grant(writing, *device, granted, true).await?;
        }
        Line::Granted { .. } => {}
        Line::Passes { up_to } => {
            writing.ids_beyond("pass", *up_to).await?;
        }
    }
    Ok(())
}

/// Whether a grant is settled with the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Booked {
    /// It is booked, or is none.
    Settled,
    /// What it is of is not here yet: an operator imports it again.
    NotYet,
}

/// Books a grant that the database lacks as its desk's. Where units of it are another grant's, whose desk has not stated
/// what it holds, both are booked: the later one counts, and what that desk states settles it.
async fn take_up_grant(
    writing: &mut Writing,
    device: DeviceId,
    granted: GrantedUnits,
    from_journal: bool,
) -> Result<Booked, HubError> {
    let GrantedUnits { grant, reward, units } = granted;
    if i64::try_from(grant.0).is_err() {
        return Ok(Booked::Settled);
    }
    // A number that is another desk's, or of another reward, is not the desk's to state.
    if let Some(known) = kept::of_grant(writing, grant).await?
        && known != (reward, device)
    {
        tracing::error!(grant = grant.0, %device, "a desk states a grant that is another's");
        return Ok(Booked::Settled);
    }
    if devices::enrolment(writing, device).await?.is_none() {
        // It was enrolled since, and comes with what the hub signed then: nothing is granted before.
        if !notices::is_revoked(writing, device).await? {
            runs::hold(writing, device).await?;
        }
        return Ok(Booked::NotYet);
    }
    let Some(mut of_reward) = stock::lock(writing, reward).await? else {
        return Ok(Booked::NotYet);
    };
    // The journal is the hub's own word. A desk's raises no total: it may have been raised since the copy.
    if !from_journal && units.end().saturating_sub(1) > of_reward.total {
        return Ok(Booked::NotYet);
    }
    match of_reward.restate(device, granted) {
        Ok(false) => return Ok(Booked::Settled),
        Ok(true) => {}
        Err(StockError::Overlaps { held_by, .. }) if held_by != granted.grant => {
            let other = of_reward.grants.get(&held_by).map(|it| it.device);
            let unsettled = match other {
                // The copy knows a grant that was given back since: the journal says what became of its units. What
                // this desk handed out by either stays handed out.
                Some(other) if other == device => from_journal,
                Some(other) => runs::is_held(writing, other).await?,
                None => false,
            };
            if !unsettled {
                let said_by = if from_journal { "the journal" } else { "a desk" };
                tracing::error!(grant = granted.grant.0, %device, other = held_by.0, said_by, "units that are said to be granted are another grant's");
                return Ok(Booked::Settled);
            }
            of_reward.book(device, granted);
        }
        Err(error) => {
            tracing::error!(grant = granted.grant.0, %device, %error, "a desk states a grant that cannot be");
            return Ok(Booked::Settled);
        }
    }
    if let Some(grant) = of_reward.grants.get(&granted.grant) {
        stock::keep_total(writing, &of_reward).await?;
        kept::keep_grant(writing, grant).await?;
    }
    Ok(Booked::Settled)
}

/// A desk states what it holds. What it holds and the database lacks is booked as its; what the database knows as its and
/// it does not hold any more was given back.
///
/// # Errors
/// [`HubError`].
pub async fn take_statement(
    db: &Db,
    device: DeviceId,
    public_key: &[u8],
    stated: &Stated,
) -> Result<(), HubError> {
    let Some(grants) = stated_by(stated, public_key) else {
        tracing::warn!(%device, "a statement of grants that is not this desk's");
        return Ok(());
    };
    let mut writing = db.write().await?;
    // Only who is asked says what was given back: at other times the hub knows it.
    if !runs::is_held(&mut writing, device).await? {
        return Ok(());
    }
    settle_what_is_not_stated(&mut writing, device, &grants).await?;
    let mut booked = Vec::new();
    for it in &grants {
        let granted = GrantedUnits { grant: it.grant, reward: it.reward, units: it.units };
        booked.push(take_up_grant(&mut writing, device, granted, false).await?);
    }
    if booked.contains(&Booked::NotYet) {
        // It states it again in its next session, and until then nothing is granted.
        tracing::warn!(%device, "a desk holds units of a reward that this database does not know, or knows fewer of: import again what was imported since the copy");
        writing.commit().await?;
        return Ok(());
    }
    runs::release(&mut writing, device).await?;
    writing.device_moved(device);
    writing.commit().await?;
    Ok(())
}

async fn settle_what_is_not_stated(
    writing: &mut Writing,
    device: DeviceId,
    stated: &[StatedGrant],
) -> Result<(), HubError> {
    for known in kept::granted(writing, device).await? {
        if stated.iter().any(|it| it.grant == known.grant) {
            continue;
        }
        let Some(mut of_reward) = stock::lock(writing, known.reward).await? else { continue };
        let active =
            of_reward.grants.get(&known.grant).is_some_and(|it| it.state == GrantState::Active);
        if !active {
            continue;
        }
        let units = of_reward.grants.get(&known.grant).map(|grant| grant.units);
        let used: BTreeSet<u32> = of_reward
            .used
            .iter()
            .filter(|it| {
                it.grant == known.grant && units.is_some_and(|units| units.contains(it.unit))
            })
            .map(|it| it.unit)
            .collect();
        if let Err(error) = of_reward.close(known.grant, used) {
            tracing::warn!(grant = known.grant.0, %error, "a grant that its desk does not hold any more");
        } else if let Some(grant) = of_reward.grants.get(&known.grant) {
            kept::keep_grant(writing, grant).await?;
        }
    }
    Ok(())
}

/// A desk was told by this run, which the database does not know, or beyond its end: the database was put back. Where
/// that is news, each desk is to state what it holds, and all sessions begin anew, so that each is asked.
///
/// # Errors
/// [`HubError`].
pub(crate) async fn note(db: &Db, run: u64) -> Result<(), HubError> {
    let mut writing = db.write().await?;
    // Once for each run of this database: whoever says names of runs again and again holds up nobody.
    let present = runs::last(&mut writing).await?.map_or(run, |last| last.id);
    if runs::is_noted(&mut writing, present).await? {
        return Ok(());
    }
    tracing::error!(
        "the database was put back from an older copy, says a desk: what desks hold comes back from them, and nothing limited is granted before they have stated what they were granted. Import again what was imported since"
    );
    runs::note_restored(&mut writing, present).await?;
    writing.asks_all_anew();
    writing.commit().await?;
    Ok(())
}

/// An operator says that a desk will not come back: nothing waits for what it holds. Whether anything did.
///
/// # Errors
/// [`HubError`].
pub async fn waive(db: &Db, device: DeviceId) -> Result<bool, HubError> {
    let mut writing = db.write().await?;
    let waited = runs::release(&mut writing, device).await?;
    writing.commit().await?;
    Ok(waited)
}

/// Looks after a database that is put back under the running server: then all begins anew.
///
/// # Errors
/// [`HubError`]: it is to be called again.
pub(crate) async fn watch(db: &Db) -> Result<(), HubError> {
    let mut put_back = db.news().put_back();
    // Also where this was called again, for it failed: the database may just have been away.
    loop {
        begin(db).await?;
        if put_back.changed().await.is_err() {
            return Ok(());
        }
    }
}
